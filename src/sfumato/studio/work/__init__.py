"""The kinds of work that Studio does in a painter (`studio.painter`), by name.

Each kind is a function that calls `inference` or `personal`; it has no image processing of its own. It knows neither
the database nor the store: it gets paths, and returns new files.
"""

from __future__ import annotations

from sfumato.studio.work.explain import explain
from sfumato.studio.work.finish import finish
from sfumato.studio.work.paint import paint
from sfumato.studio.work.parts import Inputs, Kind, Made, OwnStyleInput, Stored
from sfumato.studio.work.taste import answer, learn, question, taste_sheet
from sfumato.studio.work.video import video

KINDS: dict[str, Kind] = {
    "paint": paint,
    "video": video,
    "finish": finish,
    "explain": explain,
    "learn": learn,
    "question": question,
    "answer": answer,
    "taste_sheet": taste_sheet,
}

__all__ = ["KINDS", "Inputs", "Kind", "Made", "OwnStyleInput", "Stored"]
