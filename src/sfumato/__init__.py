"""Sfumato: photos in the style of paintings, by a GAN that you can train, run, judge and make your own.

>>> from sfumato import Style, Stylizer                                   # doctest: +SKIP
>>> picture = Stylizer()("photo.jpg", Style.named("great-wave"))          # doctest: +SKIP

Names are imported when first used, so that ``import sfumato`` is quick and needs no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato.errors import (
        InputError,
        MissingExtraError,
        ModelError,
        OutputError,
        SfumatoError,
        TrainingError,
        UsageError,
    )
    from sfumato.inference.style import Style
    from sfumato.inference.stylizer import Stylizer
    from sfumato.style_code import StyleCode

__version__ = "0.1.0"

# Official builds of ONNX Runtime report each process to their maker, and keep an id of the machine in the home folder,
# unless this is set before they are loaded. What people do with their pictures is nobody's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "InputError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "SfumatoError",
    "Style",
    "StyleCode",
    "Stylizer",
    "TrainingError",
    "UsageError",
    "__version__",
]

_HOMES = {"Style": "inference.style", "Stylizer": "inference.stylizer", "StyleCode": "style_code"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sfumato' has no attribute {name!r}")
    value = getattr(import_module(f"sfumato.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
