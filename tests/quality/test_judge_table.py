"""benchmarks/judge.py, which makes the table of docs/results.md. Its measures have tests of their own."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, UsageError
from sfumato.image import read_image, resize, write_image
from support import NETWORK32

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("judge")


def waves(height: int, width: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 10
    planes = [sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-3, 3, (4, 3))) for _ in range(3)]
    noise = rng.normal(0, 0.02, (3, height, width))
    return np.clip(rng.uniform(0.3, 0.7, (3, 1, 1)) + 0.1 * np.stack(planes) + noise, 0, 1).astype(np.float32)[None]


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """Three photos, three paintings, one pair each and one more; a method that copies the painting."""
    for i in range(3):
        write_image(waves(72, 96, i), tmp_path / "c" / f"photo{i}.png")
        write_image(waves(90, 80, 10 + i), tmp_path / "s" / f"style{i}.png")
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1)]
    rows = [f"photo{i}.png,style{j}.png" for i, j in pairs]
    (tmp_path / "pairs.csv").write_text("\n".join(["content,style", *rows]))
    for i, j in pairs:
        copy = resize(read_image(tmp_path / "s" / f"style{j}.png"), 72, 96)
        write_image(copy, tmp_path / "copy" / f"photo{i}__style{j}.png")

    def request(*methods: Any, pairs: Any = tmp_path / "pairs.csv") -> Any:
        return argparse.Namespace(
            pairs=pairs, content=tmp_path / "c", style=tmp_path / "s", short=96, json=tmp_path / "out.json",
            methods=[method.format(tmp_path) for method in methods],
        )  # fmt: skip

    return request


def test_photos_and_copies_have_the_figures_that_they_must_have(script: Any, request_of: Any, tmp_path: Path) -> None:
    lines = []
    script.main(request_of("photo=IDENTITY", "copy={}/copy"), lines.append)
    found = json.loads((tmp_path / "out.json").read_text())
    photo, copy = found["photo"], found["copy"]
    for name, value in (("content", 0), ("ssim", 1), ("copied", 1), ("kept", 1), ("grid", 0)):
        assert photo[name] == pytest.approx([value] * 3, abs=NETWORK32)
    assert copy["top1"] == [1, 1, 1]
    for name in ("style", "texture", "strokes", "variety", "copied", "kept"):
        assert copy[name][0] < photo[name][0]
    assert copy["strokes"][0] < 0
    table = "".join(lines)
    assert (
        "content ↓ | style ↓ | texture ↓ | strokes ↓ | variety ↓ | top1 ↑ | ssim | copied ↓ | kept ↑ | grid ↓" in table
    )
    assert "0 is a cosine distance of" in table
    assert f"| photo | {photo['content'][0]:.3f} [" in table


def test_intervals_are_of_styles_drawn_with_all_their_pairs(script: Any) -> None:
    values, styles = [1.0, 2.0, 5.0, 4.0, 4.5, 9.0], list("aabbbc")
    rng = np.random.default_rng(3)
    of_style = {name: [v for v, style in zip(values, styles, strict=True) if style == name] for name in "abc"}
    means = [np.mean([v for name in rng.choice(list("abc"), 3) for v in of_style[name]]) for _ in range(500)]
    expected = (np.mean(values), *np.percentile(means, [2.5, 97.5]))
    assert script.with_interval(values, styles, np.random.default_rng(3)) == pytest.approx(expected)


@pytest.mark.parametrize("period", [2, 4])
def test_a_planted_grid_is_found(script: Any, period: int) -> None:
    x = waves(120, 160, 0)
    assert script.checkerboard(x) < 1
    planted = x.copy()
    planted[..., ::period, ::period] += np.float32(0.1)
    assert script.checkerboard(planted) > script.checkerboard(x) + 1


def test_mistakes(script: Any, request_of: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks photo0__style0"):
        script.main(request_of("none={}/c"), print)
    with pytest.raises(UsageError, match="each once"):
        script.main(request_of("a=IDENTITY", "a=IDENTITY"), print)
    (tmp_path / "one.csv").write_text("content,style\nphoto0.png,style0.png")
    with pytest.raises(UsageError, match="the pairs have one painting"):
        script.main(request_of("a=IDENTITY", pairs=tmp_path / "one.csv"), print)
