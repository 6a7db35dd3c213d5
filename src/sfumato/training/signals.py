"""Signals of a training run: what each number means, and where it is healthy.

`SIGNALS` is the table: a new signal is one entry. `probes.py` measures those of the group "pictures"; the training step
reports the others. `monitor.py` derives further ones from them, by comparing a signal with its own past; `title` names
both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Signal:
    """A number that is observed while training.

    Attributes:
        title: the heading of its chart.
        says: what it means, a sentence.
        low, high: healthy range; None where it has no end, or where only the change counts.
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
        "How much outputs differ from each other, against how much the photos do (without photos: the training "
        "pictures). Near 0 the generator paints one picture.",
        0.4,
        None,
        "pictures",
    ),
    "response": Signal(
        "Response to the input",
        "How much the pixels change when the photo (or the noise) changes, against how much the photos' own differ.",
        0.25,
        None,
        "pictures",
    ),
    "dependence": Signal(
        "Alike stays alike",
        "Whether photos that are alike give outputs that are alike: 1 is yes, 0 is no relation.",
        0.3,
        None,
        "pictures",
    ),
    "recognition": Signal(
        "Recognition of the photo",
        "How often an output is nearer to its own photo than to another one. 0.5 is chance: the photo is not in it.",
        0.75,
        None,
        "pictures",
    ),
    "style_sensitivity": Signal(
        "Response to the style",
        "How much the output changes when the style is swapped, against how much the paintings differ. Near 0 all "
        "styles look the same.",
        0.1,
        None,
        "pictures",
    ),
    "rank": Signal(
        "Richness of features",
        "In how many independent ways outputs vary, against real pictures. Near 0 few things are painted again and "
        "again.",
        0.3,
        None,
        "pictures",
    ),
    "change": Signal(
        "Change of the photo",
        "How far outputs are from their photos, against how far the paintings are. Near 0 nothing is painted at all.",
        0.1,
        None,
        "pictures",
    ),
    "colour_inversion": Signal(
        "Inverted colours", "Light and dark swapped against the photo; above 2 anybody sees it.", None, 1.5, "pictures"
    ),
    "checkerboard": Signal(
        "Checkerboard",
        "Grids of 2 or 4 pixels in the outputs that the paintings have not; above 2 anybody sees it.",
        None,
        1.5,
        "pictures",
    ),
    "blobs": Signal(
        "Blobs",
        "Round spots in most outputs that the paintings have not; above 2 anybody sees it.",
        None,
        1.5,
        "pictures",
    ),
    "broken": Signal("Broken pixels", "Share of the probes' pixels that are no numbers.", None, 0.0, "pictures"),
    # reported by the training step
    "real_accuracy": Signal(
        "Discriminator right on paintings",
        "Share of real patches that it takes for real. Together with the next: 0.5 is guessing, 1 leaves the generator "
        "nothing to learn from.",
        0.4,
        0.95,
        "discriminator",
    ),
    "fake_accuracy": Signal(
        "Discriminator right on outputs",
        "Share of the generator's patches that it takes for fake.",
        0.4,
        0.95,
        "discriminator",
    ),
    "sign_balance": Signal(
        "Sureness about paintings",
        "Mean sign of its answers to real patches, r_t of ADA (Karras et al. 2020). Near 1 it knows the few training "
        "pictures by heart; ADA aims at 0.6.",
        None,
        0.8,
        "discriminator",
    ),
    "logit_variance": Signal(
        "Variance of its answers",
        "How much the discriminator's answers differ at all. 0 is a dead one.",
        1e-5,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "adversarial_gradient": Signal(
        "What the discriminator tells",
        "Size of the gradient that the generator gets from it. When it vanishes, the generator learns nothing more.",
        None,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "loss": Signal(
        "Generator's loss",
        "The sum that the generator descends. Its level says little in adversarial training; a jump of 50 times is a "
        "divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_loss": Signal(
        "Discriminator's loss",
        "It need not fall: the generator works against it. That it moves about a level is a good sign.",
        None,
        None,
        "training",
    ),
    "generator_gradient": Signal(
        "Generator's gradient",
        "Size of its gradient before clipping. A jump of 50 times is a divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "weight_size": Signal(
        "Size of the weights",
        "Norm of all of the generator's weights. It grows slowly; where it leaps, steps are too large, though no loss "
        "may rise.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_gradient": Signal(
        "Discriminator's gradient",
        "Size of its gradient. A jump of 50 times is a divergence; 0 is a dead discriminator.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
}
#: Signals that are judged by their size against their own past. `NAME_rise` is the size over the usual size, and
#: `NAME_left` the size over the largest usual size so far.
RELATIVE = ("loss", "generator_gradient", "discriminator_gradient", "adversarial_gradient")

_ENDINGS = {
    "_growth": "(times what it was)",
    "_rise": "(times its usual size)",
    "_left": "(share of its largest usual size)",
}
_DERIVED = {
    "not_finite": "numbers that are none",
    "accuracy": "Discriminator right on both, mean",
    "variety": "Change of outputs, whatever is changed",
    "diversity_falls": "observations in a row at which diversity fell",
}


def title(signal: str) -> str:
    """The heading of a signal, measured or derived.

    Raises:
        KeyError: there is no such signal.
    """
    for ending, says in _ENDINGS.items():
        if signal.endswith(ending):
            return f"{SIGNALS[signal.removesuffix(ending)].title} {says}"
    return SIGNALS[signal].title if signal in SIGNALS else _DERIVED[signal]
