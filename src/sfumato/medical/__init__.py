"""Look-alikes of medical pictures: DICOM in and out (extra ``medical``). Not for diagnosis.

The names in ``__all__`` are public; all others of this package may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.public import exports

if TYPE_CHECKING:
    from sfumato.medical.gates import Measured
    from sfumato.medical.lookalike import Look, Lookalike, look_alike

__getattr__, __dir__ = exports(
    "sfumato.medical",
    {"Look": "lookalike", "Lookalike": "lookalike", "Measured": "gates", "look_alike": "lookalike"},
)

__all__ = ["Look", "Lookalike", "Measured", "look_alike"]
