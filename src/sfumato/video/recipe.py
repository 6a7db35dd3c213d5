"""The recipe of a painted video: everything that decides its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.checks import check_range
from sfumato.errors import InputError, UsageError, first_line
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe
from sfumato.inference.stylizer import Stylizer
from sfumato.video.schedule import MAX_SECONDS, Schedule

#: The value of ``kind`` in the recipes of videos.
VIDEO = "video"
#: The keys that a video's recipe has beside those of a picture's.
_OWN = ("kind", "times", "steady", "begin", "end", "codec")


@dataclass(frozen=True)
class VideoRecipe:
    """How a video was painted.

    Attributes:
        painting: model, styles and options, as for a picture; ``photo_sha256`` is that of the source's file.
        times: the second of each style (`schedule.Schedule`).
        steady: steadiness, from 0 to 1.
        begin: second of the source at which painting began.
        end: second at which it ended; ``None``: at its end.
        codec: of the result.
    """

    painting: Recipe
    times: tuple[float, ...]
    steady: float
    begin: float
    end: float | None
    codec: str

    @classmethod
    def of(
        cls,
        stylizer: Stylizer,
        schedule: Schedule,
        options: PaintOptions,
        *,
        steady: float,
        begin: float,
        end: float | None,
        codec: str,
        max_size: int,
        source_sha256: str,
    ) -> VideoRecipe:
        """Return the recipe of a painting with these arguments."""
        painting = Recipe.of(stylizer, schedule.styles, options, max_size=max_size, photo_sha256=source_sha256)
        return cls(painting, tuple(seconds for seconds, _ in schedule.keys), steady, begin, end, codec)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values: those of a picture's recipe, and those of the video beside them."""
        return {
            **self.painting.to_json(),
            "kind": VIDEO,
            "times": list(self.times),
            "steady": self.steady,
            "begin": self.begin,
            "end": self.end,
            "codec": self.codec,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str) -> VideoRecipe:
        """Return the recipe that a file holds, which may come from an untrusted source.

        Raises:
            InputError: it is damaged, or not the recipe of a video; ``where`` is the file's name.
        """
        try:
            if found["kind"] != VIDEO or not isinstance(found["codec"], str):
                raise ValueError("its values have other types")
            recipe = cls(
                Recipe.from_json({name: value for name, value in found.items() if name not in _OWN}, where),
                tuple(check_range(seconds, 0.0, MAX_SECONDS, "a time") for seconds in found["times"]),
                check_range(found["steady"], 0.0, 1.0, "its steady"),
                check_range(found["begin"], 0.0, MAX_SECONDS, "its begin"),
                None if found["end"] is None else check_range(found["end"], 0.0, MAX_SECONDS, "its end"),
                found["codec"],
            )
            if len(recipe.times) != len(recipe.painting.styles):
                raise ValueError("it has not one time for each style")
        except (KeyError, TypeError, ValueError, OverflowError, UsageError) as problem:
            raise InputError(
                f"the recipe inside {where} is damaged, or of another version ({first_line(problem)})"
            ) from problem
        return recipe
