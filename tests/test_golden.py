"""Golden pictures: what the shipped model paints today is what it painted when they were stored (`tests/golden`).

Six drawn photos and six built-in styles are painted with three sets of options. *Standard* paints all 36 pairs of photo
and style, *draft* and *best* half of them, so that each quality has each photo and each style with each set of options.
Slow are half of *standard*, and *best* but for one picture of each set of options.

`tests/golden/made_on.json` names the kind of CPU and the versions that they were made with. There, no pixel may be off
by more than `LEVELS`. Elsewhere other kernels round differently, and a nearest-neighbour match flips here and there:
then few pixels may be off by more, and the mean stays small (`ELSEWHERE`).

After a wanted change: `pytest tests/test_golden.py -m '' --update-golden`, and look at the pictures.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from drawn_photos import PHOTOS
from sfumato.image import as_image, to_uint8
from sfumato.inference import Stylizer
from sfumato.inference.matched_painting import MatchedPainting, plan_scales
from sfumato.inference.sources import ArraySource
from sfumato.inference.style import Style
from sfumato.inference.style_bank import make_bank

Pixels: TypeAlias = npt.NDArray[np.uint8]
Quality: TypeAlias = Literal["draft", "standard", "best"]

FOLDER = Path(__file__).with_name("golden")
MADE_ON = FOLDER / "made_on.json"
STYLES = ("great-wave", "starry-night", "monet", "rembrandt", "kandinsky", "song-landscape")
#: ``masked`` has a mask too: see `_options`.
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "half": {"strength": 0.5, "color": "content"},
    "masked": {"stroke": 1.6, "color": "luminance"},
}
#: Off by no more than this, on the kind of machine that the goldens were made on.
LEVELS = 2
#: On other machines: the share of pixels that may be off by more than `LEVELS`, and the mean difference in levels.
ELSEWHERE: dict[Quality, tuple[float, float]] = {"draft": (0.0, 0.1), "standard": (0.3, 2.0), "best": (0.75, 4.5)}


@dataclass(frozen=True)
class Case:
    quality: Quality
    photo: str
    style: str
    options: str

    @property
    def path(self) -> Path:
        return FOLDER / self.quality / f"{self.photo}-{self.style}-{self.options}.png"


def _cases() -> list[Any]:
    """The cases as parameters of a test; a Latin square: photo and style give the set of options."""
    found = []
    for quality in get_args(Quality):
        for p, photo in enumerate(PHOTOS):
            for s, style in enumerate(STYLES):
                even = (p + s) % 2 == 0
                if quality != "standard" and not even:
                    continue
                case = Case(quality, photo, style, list(OPTIONS)[(p + s) % 3])
                slow = not even or (quality == "best" and not p == s < 3)
                marks = [pytest.mark.slow] if slow else []
                found.append(pytest.param(case, marks=marks, id=f"{quality}-{case.path.stem}"))
    return found


def _options(case: Case, height: int, width: int) -> dict[str, Any]:
    found = dict(OPTIONS[case.options])
    if case.options == "masked":  # the left is painted, the right edge stays photo, with a soft seam between
        ramp = np.clip((0.9 - np.arange(width, dtype=np.float32) / width) / 0.3, 0, 1)
        found["masks"] = [np.broadcast_to(ramp, (height, width))]
    return found


@cache
def _stylizer() -> Stylizer:
    return Stylizer(threads=1)


def _painted(case: Case, **changes: Any) -> Pixels:
    photo = PHOTOS[case.photo]()
    options = {**_options(case, *photo.shape[:2]), **changes}
    return to_uint8(_stylizer()(photo, case.style, quality=case.quality, **options))


def _this_machine() -> dict[str, str]:
    """What decides the last bits of a picture: the kernels that the CPU admits, and the versions that hold them."""
    known = "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8"
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", 1)[0].split())
    except OSError:  # no Linux
        flags = set()
    cpu = " ".join([platform.machine(), *(name for name in known if name in flags)])
    return {"cpu": cpu, "numpy": version("numpy"), "onnxruntime": version("onnxruntime")}


def _hashes() -> dict[str, str]:
    return {name: hashlib.sha256(draw().tobytes()).hexdigest() for name, draw in PHOTOS.items()}


def _is_same_kind() -> bool:
    made: dict[str, Any] = json.loads(MADE_ON.read_text(encoding="utf-8"))
    return all(made[key] == value for key, value in _this_machine().items())


def _fault(painted: Pixels, golden: Pixels, strict: bool, quality: Quality) -> str | None:
    """What is wrong with a picture, with a histogram of its errors; None where nothing is."""
    most, mean_most = ELSEWHERE[quality]
    if painted.shape != golden.shape:
        return f"the picture is {painted.shape}, the golden one {golden.shape}"
    errors = np.abs(painted.astype(int) - golden).max(2)  # of the worst channel
    share, mean = float((errors > LEVELS).mean()), float(np.abs(painted.astype(int) - golden).mean())
    if (errors.max() <= LEVELS) if strict else (share <= most and mean <= mean_most):
        return None
    bound = f"no more than {LEVELS} levels" if strict else f"{most:.0%} over {LEVELS} levels and a mean of {mean_most}"
    lines = [f"{share:.2%} of the pixels are off by over {LEVELS} levels, the mean is {mean:.3f}; admitted: {bound}"]
    edges = (0, 1, 2, 3, 5, 9, 17, 33, 65, 256)
    for first, after in pairwise(edges):
        count = int(((errors >= first) & (errors < after)).sum())
        name = str(first) if after == first + 1 else f"{first}-{after - 1}"
        lines.append(f"{name:>7} {count:>7} {'#' * round(40 * count / errors.size)}")
    return "\n".join(lines)


@pytest.mark.parametrize("case", _cases())
def test_the_picture_is_as_it_was(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    painted = _painted(case)
    if request.config.getoption("--update-golden"):
        case.path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painted).save(case.path, optimize=True)
        MADE_ON.write_text(json.dumps({**_this_machine(), "photos": _hashes()}, indent=2) + "\n", encoding="utf-8")
        pytest.skip("stored as the golden picture")
    golden = np.asarray(Image.open(case.path))
    fault = _fault(painted, golden, _is_same_kind(), case.quality)
    if fault is not None:
        Image.fromarray(painted).save(tmp_path / "painted.png")
        if painted.shape == golden.shape:
            off = painted.astype(int) - golden
            Image.fromarray(np.clip(128 + 4 * off, 0, 255).astype(np.uint8)).save(tmp_path / "difference.png")
        pytest.fail(f"{case.path.name}: {fault}\nThe picture and its difference (4 times) are in {tmp_path}.")


def test_the_photos_are_the_ones_that_were_painted() -> None:
    assert json.loads(MADE_ON.read_text(encoding="utf-8"))["photos"] == _hashes()


def test_no_golden_picture_is_without_its_test() -> None:
    cases = [parameter.values[0].path for parameter in _cases()]
    assert sorted(cases) == sorted(FOLDER.glob("*/*.png"))


def _residual_less(case: Case) -> Pixels:
    """The share of residuals in the last pass is 0.05 less."""
    picture, networks = as_image(PHOTOS[case.photo]()), _stylizer().networks
    *first, last = plan_scales(*picture.shape[2:])
    scales = [*first, replace(last, weights=replace(last.weights, residual=last.weights.residual - 0.05))]
    banks = [make_bank(networks, Style.named(case.style).pictures, scale.short, 0) for scale in scales]
    [(_, painted)] = MatchedPainting(networks, ArraySource(picture), banks, scales).tiles()
    return to_uint8(painted)


def _brighter(case: Case) -> Pixels:
    """A gamma of 1.02."""
    return to_uint8(((_painted(case) / 255) ** (1 / 1.02)).astype(np.float32))


FAULTS: dict[str, Callable[[Case], Pixels]] = {
    "residual": _residual_less,
    "seed": lambda case: _painted(case, seed=1),
    "gamma": _brighter,
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", FAULTS)
def test_a_small_fault_is_found(name: str, strict: bool) -> None:
    case = Case("standard", "portrait", "great-wave", "default")
    assert _fault(FAULTS[name](case), np.asarray(Image.open(case.path)), strict, case.quality) is not None
