"""How far a picture is, and how to stop it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from sfumato.image import Photo, to_uint8
from sfumato.inference import Style, Stylizer
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Work
from support import scene


class StopError(Exception):
    """As a program would raise it in its callback."""


@pytest.fixture(scope="module")
def shipped() -> Stylizer:
    return Stylizer(threads=1)


class Told(list):  # type: ignore[type-arg]
    """What a callback was called with."""

    def __call__(self, share: Any, doing: Any) -> None:
        self.append((share, doing))
        self.thread = threading.current_thread()

    @property
    def shares(self) -> Any:
        return [share for share, _ in self]

    @property
    def words(self) -> Any:
        return [doing for _, doing in self]


def check(told: Any) -> None:
    assert told.shares == sorted(told.shares)
    assert told.shares[0] == 0
    assert told[-1] == (1.0, "painted")
    assert told.thread is threading.current_thread()


def test_scales_are_told_and_pixels_stay_the_same(shipped: Stylizer) -> None:
    told, photo = Told(), scene(112, 128)
    painted = shipped(photo, "monet", progress=told)
    check(told)
    assert told.words == [
        *(f"the style, scale {n} of 3" for n in (1, 2, 3)),
        *(f"scale {n} of 3" for n in (1, 2, 3)),
        "painted",
    ]
    assert max(np.diff(told.shares)) < 0.5
    assert np.array_equal(painted, shipped(photo, "monet"))


def test_refinement_is_told_step_by_step(shipped: Stylizer) -> None:
    told = Told()
    shipped(scene(48, 64), "great-wave", quality="best", progress=told)
    check(told)
    assert [doing for doing in told.words if "refinement" in doing] == [f"refinement {n} of 12" for n in range(1, 13)]
    assert told.shares[-2] > 0.9


def test_tiles_of_a_draft_are_told(shipped: Stylizer) -> None:
    told = Told()
    shipped.paint(Photo(to_uint8(scene(16, 2400))), "klimt", PaintOptions(quality="draft"), progress=told)
    check(told)
    tiles = [doing for doing in told.words if doing.startswith("tile")]
    assert tiles == [f"tile {n} of {len(tiles)}" for n in range(1, len(tiles) + 1)]
    assert len(tiles) > 1


def test_two_styles_count_half_each(shipped: Stylizer) -> None:
    told, mask = Told(), np.ones((48, 64), np.float32)
    shipped(scene(48, 64), ["monet", "klimt"], masks=[mask], progress=told)
    check(told)
    first = told.words.index("scale 1 of 2")
    assert 0 < told.shares[first] < 0.5
    assert told.words.count("scale 2 of 2") == 2


def test_a_strength_of_0_and_a_model_of_ones_own_are_told_too(
    shipped: Stylizer, stylizer: Stylizer, style: Style
) -> None:
    for painter, named, options in ((shipped, "monet", {"strength": 0}), (stylizer, style, {})):
        told = Told()
        painter(scene(48, 64), named, progress=told, **options)  # type: ignore[arg-type]
        check(told)


@pytest.mark.parametrize("quality", ["draft", "standard", "best"])
@pytest.mark.parametrize("after", [1, 3])
def test_what_the_callback_raises_cancels_and_reaches_the_caller(shipped: Stylizer, quality: str, after: int) -> None:
    calls = []

    def tell(share: Any, doing: Any) -> None:
        calls.append(doing)
        if len(calls) == after:
            raise StopError

    photo = scene(48, 64)
    photo = photo if quality != "draft" else scene(16, 2400)
    before = photo.copy()
    with pytest.raises(StopError):
        shipped(photo, "monet", quality=quality, progress=tell)  # type: ignore[arg-type]
    assert len(calls) == after
    assert np.array_equal(photo, before)
    if quality == "standard":  # and the next painting is whole
        assert np.array_equal(shipped(photo, "monet"), Stylizer(threads=1)(photo, Style.named("monet")))


def test_work_that_was_planned_too_small_stays_below_1() -> None:
    told = Told()
    one, other = Work.of(2, told)
    one.plan(1)
    one.did(5)
    other.plan(4)
    other.did(1)
    other.begin("more")
    assert told == [(0.625, "more")]
