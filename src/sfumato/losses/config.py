"""What training asks for, in plain numbers that are known without torch: weights of terms, adversarial training,
augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from sfumato.config import Config


class LossWeights(Config):
    """Weight of each term; 0 leaves a term out. The style terms are relative, at most about 1.

    ``alpha`` is no term: it shares out three weights as the articles' α·L_content + (1-α)·L_style does. L_style is
    statistics and gram in the ratio of their weights, and the three keep their sum, so that the other terms and the
    learning rate still fit them. Their weights are what is saved with a run; alpha is only a way to set them.

    Attributes:
        alpha: share of `content` in the sum of the weights of content, statistics and gram; not set: as they are.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, exclude=True)

    content: NonNegativeFloat = 0.06  # VGG19 features of relu4_1, each channel normalised: where things are
    statistics: NonNegativeFloat = 6.0  # mean and deviation of VGG19's channels: colour, contrast, strength of marks
    gram: NonNegativeFloat = 3.0  # Gram matrices of VGG19's features: strokes, hatching, grain
    adversarial: NonNegativeFloat = 0.05  # the discriminator's opinion of outputs, in adversarial phases
    identity: NonNegativeFloat = 0.7  # L1 at strength 0, of pixels and their differences: the photo comes back
    consistency: NonNegativeFloat = 1.0  # L1 of an enlarged crop and its region of the thumbnail, both as 2 × 2 means
    total_variation: NonNegativeFloat = 0.05  # mean difference of neighbouring pixels: against speckle
    range: NonNegativeFloat = 5.0  # mean square of what lies outside of [0, 1]
    leak: NonNegativeFloat = 0.05  # how much of the photo's own detail passes through, from 0 to 1
    content_raw: NonNegativeFloat = 0.0  # content without the normalisation, as Gatys et al. have it: colours too
    laplacian: NonNegativeFloat = 0.0  # squared difference of Laplacians at two scales: the photo's edges
    sliced: NonNegativeFloat = 0.0  # as statistics, for whole distributions of features, along random directions
    style_contrast: NonNegativeFloat = 0.0  # telling an output's style from the batch's other ones, by its code
    # Of a collection
    contrast: NonNegativeFloat = 0.0  # of a collection: each place of an output is told to be that place of the photo
    contrast_identity: NonNegativeFloat = 0.0  # of a collection: the same for paintings that go through the generator
    cycle: NonNegativeFloat = 0.0  # of a collection: L1 after the way to the other side and back, both ways added up
    # Of matching
    reconstruction: NonNegativeFloat = 0.0  # of matching: L1 of pixels and 4 × 4 means, from a picture's own features
    reconstruction_features: NonNegativeFloat = 0.0  # of matching: the same for hypercolumns
    matched: NonNegativeFloat = 0.0  # of matching: decoded pictures have the features that they are decoded from
    lattice: NonNegativeFloat = 0.0  # of matching: no pattern with a period of 4 or 2 pixels

    @model_validator(mode="after")
    def _share_out(self) -> Self:
        if self.alpha is None:
            return self
        style = self.statistics + self.gram
        if not style:
            raise ValueError(
                "alpha shares out weights.content, weights.statistics and weights.gram; one of the latter two must be "
                "above 0"
            )
        whole = self.content + style
        shares = {"content": self.alpha * whole}
        shares |= {name: (1 - self.alpha) * whole * getattr(self, name) / style for name in ("statistics", "gram")}
        for name, weight in shares.items():
            object.__setattr__(self, name, weight)  # frozen from here on
        return self

    @classmethod
    def from_alpha(cls, alpha: float) -> LossWeights:
        """The articles' α·L_content + (1-α)·L_style, nothing else, the weights adding up to 1; α in [0, 1]."""
        others = dict.fromkeys(("adversarial", "identity", "consistency", "total_variation", "range", "leak"), 0.0)
        return cls(content=alpha, statistics=(1 - alpha) / 2, gram=(1 - alpha) / 2, **others)


class Augment(Config):
    """What a discriminator's pictures are given (`losses.augment.augment_pictures`)."""

    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.125  # the farthest, as a share of the side
    cutout: Annotated[float, Field(ge=0, le=1)] = 0.25  # side of the hole, as a share of the picture's
    colour: Annotated[float, Field(ge=0, le=1)] = 0.1  # share of the paper's brightness, saturation and contrast
    p: Annotated[float, Field(ge=0, le=1)] = 1.0  # for each of the three by itself; 0 gives pictures back as they are


class AdversarialConfig(Config):
    """How adversarial training is played (`losses.adversarial`).

    Attributes:
        gan_loss: the loss of both sides.
    """

    # The formulas are in docs/theory.md, 3. The objective.
    gan_loss: Literal["bce", "nonsaturating", "lsgan", "hinge", "relativistic"] = "hinge"
    r1: NonNegativeFloat = 0.0  # γ of the penalty on paintings; 0 leaves it out
    r2: NonNegativeFloat = 0.0  # γ of the penalty on outputs
    penalty_every: PositiveInt = 16  # steps; the penalty then counts for all of them
    augment: Augment = Augment(p=0.0)  # of what the discriminator sees; off by default
