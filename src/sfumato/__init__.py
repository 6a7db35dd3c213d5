"""Sfumato: photos in the style of paintings, by a GAN that you can train, run, evaluate and personalise.

>>> from sfumato import PaintOptions, Pipeline                            # doctest: +SKIP
>>> result = Pipeline("great-wave", PaintOptions(strength=0.8))("photo.jpg")  # doctest: +SKIP
>>> result.save("painted.png")                                            # doctest: +SKIP

The names in ``__all__`` here, in ``sfumato.medical``, ``sfumato.quality``, ``sfumato.training`` and ``sfumato.video``
are public; all others may change.
They are imported on first use, so that ``import sfumato`` is quick and does not need torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sfumato.public import exports

if TYPE_CHECKING:
    from sfumato.errors import (
        InputError,
        MissingExtraError,
        ModelError,
        OutputError,
        QualityError,
        SfumatoError,
        TrainingError,
        UsageError,
    )
    from sfumato.image import Photo, read_image, read_photo, write_image, write_photo
    from sfumato.inference.augment import StyleAugment
    from sfumato.inference.library import list_styles
    from sfumato.inference.options import PaintOptions
    from sfumato.inference.pipeline import Pipeline, Result
    from sfumato.inference.recipe import Recipe
    from sfumato.inference.retouch import Finish
    from sfumato.inference.style import PersonalStyle, Style, load_style
    from sfumato.inference.stylizer import Stylizer
    from sfumato.style_code import StyleCode

__version__ = "0.1.0"

# Turns off the telemetry of official ONNX Runtime builds, for the privacy of users. Otherwise they report each process
# to their maker, and store an id of the machine in the home folder. Must be set before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__getattr__, __dir__ = exports(
    "sfumato",
    {
        "Finish": "inference.retouch",
        "InputError": "errors",
        "MissingExtraError": "errors",
        "ModelError": "errors",
        "OutputError": "errors",
        "PaintOptions": "inference.options",
        "PersonalStyle": "inference.style",
        "Photo": "image",
        "Pipeline": "inference.pipeline",
        "QualityError": "errors",
        "Recipe": "inference.recipe",
        "Result": "inference.pipeline",
        "SfumatoError": "errors",
        "Style": "inference.style",
        "StyleAugment": "inference.augment",
        "StyleCode": "style_code",
        "Stylizer": "inference.stylizer",
        "TrainingError": "errors",
        "UsageError": "errors",
        "list_styles": "inference.library",
        "load_style": "inference.style",
        "read_image": "image",
        "read_photo": "image",
        "write_image": "image",
        "write_photo": "image",
    },
)

__all__ = [
    "Finish",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "PaintOptions",
    "PersonalStyle",
    "Photo",
    "Pipeline",
    "QualityError",
    "Recipe",
    "Result",
    "SfumatoError",
    "Style",
    "StyleAugment",
    "StyleCode",
    "Stylizer",
    "TrainingError",
    "UsageError",
    "__version__",
    "list_styles",
    "load_style",
    "read_image",
    "read_photo",
    "write_image",
    "write_photo",
]
