"""Settings of the losses, readable without torch: weights of terms, adversarial training, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from sfumato.config import Config


class LossWeights(Config):
    """The weight of each loss term; a weight of 0 leaves the term out. The style terms are normalised to about 1.

    `alpha` is not a term. It redistributes three weights as in the articles' α·L_content + (1-α)·L_style, where
    L_style is statistics and gram in the ratio of their weights. Their sum stays the same, so that the other weights
    and the learning rate still fit. A run stores the three weights; alpha is only a way to set them.

    Attributes:
        alpha: share of `content` in the summed weights of content, statistics and gram; None leaves them as they are.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, exclude=True)

    content: NonNegativeFloat = 0.06  # instance-normalised VGG19 features of relu4_1: the photo's layout
    statistics: NonNegativeFloat = 6.0  # mean and deviation of VGG19's channels: colour, contrast, stroke strength
    gram: NonNegativeFloat = 3.0  # Gram matrices of VGG19's features: strokes, hatching, grain
    adversarial: NonNegativeFloat = 0.05  # the generator's GAN loss, in adversarial phases
    identity: NonNegativeFloat = 0.7  # L1 of pixels and their differences at strength 0, which must return the photo
    consistency: NonNegativeFloat = 1.0  # L1 of an enlarged crop and its region of the thumbnail, both as 2 × 2 means
    total_variation: NonNegativeFloat = 0.05  # mean absolute difference of neighbouring pixels: against speckle
    range: NonNegativeFloat = 5.0  # mean squared excursion outside [0, 1]
    leak: NonNegativeFloat = 0.05  # share of the photo's own detail that passes through, from 0 to 1
    content_raw: NonNegativeFloat = 0.0  # content without the normalisation (Gatys et al.): includes colours
    laplacian: NonNegativeFloat = 0.0  # squared difference of Laplacians at two scales: the photo's edges
    sliced: NonNegativeFloat = 0.0  # sliced Wasserstein distance of VGG19's features along random directions
    style_contrast: NonNegativeFloat = 0.0  # InfoNCE: an output's style code against the other styles of the batch
    # Of a collection
    contrast: NonNegativeFloat = 0.0  # collection only: PatchNCE between the output and the photo
    contrast_identity: NonNegativeFloat = 0.0  # collection only: PatchNCE for paintings passed through the generator
    cycle: NonNegativeFloat = 0.0  # collection only: L1 after translation to the other domain and back, both ways
    energy: NonNegativeFloat = 0.0  # noise on features only: energy distance of coarse maps, against mode collapse
    # Of matching
    reconstruction: NonNegativeFloat = 0.0  # matching only: L1 of pixels and 4 × 4 means, decoded from own features
    reconstruction_features: NonNegativeFloat = 0.0  # matching only: L1 of hypercolumns, decoded from own features
    matched: NonNegativeFloat = 0.0  # matching only: distance of an output's features to those it was decoded from
    lattice: NonNegativeFloat = 0.0  # matching only: patterns with a period of 4 or 2 pixels

    @model_validator(mode="after")
    def _share_out(self) -> Self:
        if self.alpha is None:
            return self
        style = self.statistics + self.gram
        if not style:
            raise ValueError(
                "alpha divides the sum of weights.content, weights.statistics and weights.gram; weights.statistics or "
                "weights.gram must be above 0"
            )
        whole = self.content + style
        shares = {"content": self.alpha * whole}
        shares |= {name: (1 - self.alpha) * whole * getattr(self, name) / style for name in ("statistics", "gram")}
        for name, weight in shares.items():
            object.__setattr__(self, name, weight)  # the model is frozen
        return self

    @classmethod
    def from_alpha(cls, alpha: float) -> LossWeights:
        """Return the weights of the articles' α·L_content + (1-α)·L_style alone, summing to 1; α in [0, 1]."""
        others = dict.fromkeys(("adversarial", "identity", "consistency", "total_variation", "range", "leak"), 0.0)
        return cls(content=alpha, statistics=(1 - alpha) / 2, gram=(1 - alpha) / 2, **others)


class Augment(Config):
    """The augmentation of the discriminator's pictures (`losses.augment.augment_pictures`)."""

    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.125  # largest shift, as a share of the side
    cutout: Annotated[float, Field(ge=0, le=1)] = 0.25  # side of the hole, as a share of the picture's side
    colour: Annotated[float, Field(ge=0, le=1)] = 0.1  # strength, relative to the paper's colour changes
    p: Annotated[float, Field(ge=0, le=1)] = 1.0  # probability of each of the three; 0 turns augmentation off


class AdversarialConfig(Config):
    """The settings of adversarial training (`losses.adversarial`).

    Attributes:
        gan_loss: the loss of generator and discriminator.
    """

    # The formulas are in docs/theory.md, 3. The objective.
    gan_loss: Literal["bce", "nonsaturating", "lsgan", "hinge", "relativistic"] = "hinge"
    r1: NonNegativeFloat = 0.0  # γ of the gradient penalty on paintings; 0 leaves it out
    r2: NonNegativeFloat = 0.0  # γ of the gradient penalty on outputs; 0 leaves it out
    penalty_every: PositiveInt = 16  # steps between penalties; each is multiplied by this number
    augment: Augment = Augment(p=0.0)  # augmentation of the discriminator's pictures; off by default
