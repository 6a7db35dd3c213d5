"""The signals of a training run: their meanings and healthy ranges.

`SIGNALS` is the table; a new signal is one entry. `probes.py` measures those of the group "pictures", and the training
step reports the others. `monitor.py` derives further signals by comparing a signal with its past. `title` names all of
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Signal:
    """A number that is observed during training.

    Attributes:
        title: the heading of its chart.
        says: a sentence that explains it.
        low: lower end of the healthy range; None if there is none, or if only changes matter.
        high: upper end of the healthy range, likewise.
        group: the section of the health page that shows it.
        logarithmic: whether its chart has a logarithmic axis.
    """

    title: str
    says: str
    low: float | None
    high: float | None
    group: Literal["pictures", "discriminator", "training"]
    logarithmic: bool = False


SIGNALS: dict[str, Signal] = {
    # measured by the probes
    "diversity": Signal(
        "Diversity of outputs",
        "The mean difference between outputs, relative to that between the photos (or, without photos, the training "
        "pictures). Near 0, the generator always paints the same picture.",
        0.4,
        None,
        "pictures",
    ),
    "response": Signal(
        "Response to the input",
        "The change of pixels when the photo (or the noise) changes, relative to the difference between the photos.",
        0.25,
        None,
        "pictures",
    ),
    "dependence": Signal(
        "Similarity is preserved",
        "Correlation of the distances between photos and between their outputs. At 0 there is no relation.",
        0.3,
        None,
        "pictures",
    ),
    "recognition": Signal(
        "Recognition of the photo",
        "How often an output is nearer to its own photo than to another one. At 0.5 (chance) the photo has no effect.",
        0.75,
        None,
        "pictures",
    ),
    "style_sensitivity": Signal(
        "Response to the style",
        "The change of the output when the style changes, relative to the difference between the paintings. Near 0, "
        "all styles look the same.",
        0.1,
        None,
        "pictures",
    ),
    "rank": Signal(
        "Richness of features",
        "In how many independent ways outputs vary (effective rank), relative to real pictures. Near 0, the generator "
        "repeats a few elements.",
        0.3,
        None,
        "pictures",
    ),
    "change": Signal(
        "Change of the photo",
        "The distance of outputs to their photos, relative to that of the paintings. Near 0, nothing is painted.",
        0.1,
        None,
        "pictures",
    ),
    "colour_inversion": Signal(
        "Inverted colours",
        "How far light and dark are swapped compared with the photo. Clearly visible above 2.",
        None,
        1.5,
        "pictures",
    ),
    "checkerboard": Signal(
        "Checkerboard",
        "Grids of 2 or 4 pixels in the outputs that the paintings do not have. Clearly visible above 2.",
        None,
        1.5,
        "pictures",
    ),
    "blobs": Signal(
        "Blobs",
        "Round spots in most outputs that the paintings do not have. Clearly visible above 2.",
        None,
        1.5,
        "pictures",
    ),
    "broken": Signal("Broken pixels", "Share of the outputs' pixels that are not finite.", None, 0.0, "pictures"),
    # reported by the training step
    "real_accuracy": Signal(
        "Discriminator right on paintings",
        "Share of real patches that it classifies as real. If this and the next are 0.5, it guesses; if both are 1, "
        "the generator learns nothing from it.",
        0.4,
        0.95,
        "discriminator",
    ),
    "fake_accuracy": Signal(
        "Discriminator right on outputs",
        "Share of the generator's patches that it classifies as fake.",
        0.4,
        0.95,
        "discriminator",
    ),
    "sign_balance": Signal(
        "Certainty about paintings",
        "Mean sign of its logits on real patches, r_t of ADA (Karras et al. 2020). Near 1 it has memorised the "
        "training pictures; ADA aims at 0.6.",
        None,
        0.8,
        "discriminator",
    ),
    "logit_variance": Signal(
        "Variance of its logits",
        "Variance of the discriminator's logits. At 0 the discriminator is dead.",
        1e-5,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "adversarial_gradient": Signal(
        "Adversarial gradient",
        "Norm of the gradient that the generator gets from the discriminator. If it vanishes, the generator learns "
        "nothing more.",
        None,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "loss": Signal(
        "Generator's loss",
        "The weighted sum of the generator's loss terms. Its level means little in adversarial training; a 50-fold "
        "jump is a divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_loss": Signal(
        "Discriminator's loss",
        "It need not fall, because the generator works against it. A steady level is a good sign.",
        None,
        None,
        "training",
    ),
    "generator_gradient": Signal(
        "Generator's gradient",
        "Norm of its gradient before clipping. A 50-fold jump is a divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "weight_size": Signal(
        "Size of the weights",
        "Norm of the generator's weights. It should grow slowly; if it jumps, steps are too large, even if no loss "
        "rises.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_gradient": Signal(
        "Discriminator's gradient",
        "Norm of its gradient. A 50-fold jump is a divergence; at 0 the discriminator is dead.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
}
#: Signals that are compared with their own past. `NAME_rise` is the size relative to the usual size, and `NAME_left`
#: that relative to the largest usual size so far.
RELATIVE = ("loss", "generator_gradient", "discriminator_gradient", "adversarial_gradient")

_ENDINGS = {
    "_growth": "(times what it was)",
    "_rise": "(times its usual size)",
    "_left": "(share of its largest usual size)",
}
_DERIVED = {
    "not_finite": "values that are not finite",
    "accuracy": "Discriminator right on both, mean",
    "variety": "Change of outputs with photo or style",
    "diversity_falls": "observations in a row at which diversity fell",
}


def title(signal: str) -> str:
    """Return the title of a measured or derived signal.

    Raises:
        KeyError: there is no such signal.
    """
    for ending, says in _ENDINGS.items():
        if signal.endswith(ending):
            return f"{SIGNALS[signal.removesuffix(ending)].title} {says}"
    return SIGNALS[signal].title if signal in SIGNALS else _DERIVED[signal]
