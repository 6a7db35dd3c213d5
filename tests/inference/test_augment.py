"""`StyleAugment`: a transform that keeps type, mode and size, repeats by its seed, and travels to worker processes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import PaintOptions, Style, StyleAugment, Stylizer
from sfumato.errors import UsageError
from sfumato.image import to_pil
from sfumato.inference.augment import STEP, draw
from support import scene

PHOTO = to_pil(scene(32, 40, 1))


def augment(**options: Any) -> StyleAugment:
    return StyleAugment(["monet", "great-wave"], **{"p": 1.0} | options)


def test_a_painting_has_the_type_mode_and_size_of_the_picture() -> None:
    made = augment()(PHOTO)
    assert (made.size, made.mode) == (PHOTO.size, "RGB")
    assert np.abs(np.asarray(made, int) - np.asarray(PHOTO)).mean() > 5
    grey = augment()(PHOTO.convert("L"))
    assert (grey.size, grey.mode) == (PHOTO.size, "L")
    array = augment()(np.asarray(PHOTO))
    assert (array.shape, str(array.dtype)) == ((32, 40, 3), "uint8")
    assert np.array_equal(array, np.asarray(made))


def test_it_paints_as_the_stylizer_does() -> None:
    made = StyleAugment([Style.named("monet")], p=1, strength=(0.7, 0.7))(PHOTO)
    assert np.array_equal(np.asarray(made), np.asarray(to_pil(Stylizer()(PHOTO, "monet", 0.7, quality="draft"))))


def test_a_share_of_the_pictures_is_painted() -> None:
    untouched = augment(p=0.0)
    assert untouched(PHOTO) is PHOTO
    some = augment(p=0.25)
    painted = sum(some(PHOTO) is not PHOTO for _ in range(60))
    assert 5 <= painted <= 28  # 15 expected; four standard deviations


def test_choices_repeat_by_the_seed_and_differ_from_call_to_call() -> None:
    def four(**options: Any) -> list[bytes]:
        made = augment(**options)
        return [made(PHOTO).tobytes() for _ in range(4)]

    assert four() == four()
    assert len(set(four())) > 1
    assert four() != four(seed=1)


def test_torch_seeds_the_choices_of_a_process() -> None:
    torch = pytest.importorskip("torch")

    def one(seed: int) -> bytes:
        torch.manual_seed(seed)
        return b"".join(augment()(PHOTO).tobytes() for _ in range(2))

    before = torch.get_rng_state()
    try:
        assert one(1) == one(1) != one(2)
    finally:
        torch.set_rng_state(before)


def test_a_pickle_paints_the_same_and_holds_no_networks() -> None:
    made = augment()
    made(PHOTO)
    stored = pickle.dumps(made)
    assert len(stored) < 100_000
    assert pickle.loads(stored)(PHOTO).tobytes() == made(PHOTO).tobytes()


@pytest.mark.slow
def test_workers_of_a_loader_differ_and_repeat() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    made = augment()
    made(PHOTO)  # networks of this process, which a worker must not use after a fork

    def epoch() -> list[bytes]:
        torch.manual_seed(3)
        data: Any = _Transformed([PHOTO] * 4, made)
        return list(DataLoader(data, num_workers=2, batch_size=1, collate_fn=_first))

    first = epoch()
    assert len(set(first)) > 1
    assert first == epoch()


class _Transformed:
    def __init__(self, data: list[Image.Image], transform: StyleAugment) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> bytes:
        return self.transform(self.data[index]).tobytes()


def _first(items: list[bytes]) -> bytes:
    return items[0]


def test_strengths_lie_on_a_grid_and_fill_the_range() -> None:
    rng = np.random.default_rng(0)
    found = {round(draw(rng, 3, (0.5, 1.0))[1], 9) for _ in range(400)}
    assert found == {round(0.5 + STEP * i, 9) for i in range(11)}
    assert draw(rng, 1, (0.3, 0.3)) == (0, 0.3)
    assert {draw(rng, 3, (0, 1))[0] for _ in range(50)} == {0, 1, 2}
    assert all(PaintOptions(strength=draw(rng, 1, (0.3, 1.0))[1]) for _ in range(100))  # never above 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"styles": []}, "a list of one style or more"),
        ({"styles": "monet"}, "a list of one style or more"),
        ({"styles": ["no-such-style"]}, "no-such-style"),
        ({"p": 1.5}, "p must be between 0 and 1"),
        ({"strength": (0.8, 0.4)}, "exchange them"),
        ({"strength": 0.5}, "two numbers"),
        ({"strength": (0.5, 2)}, "the largest strength must be between"),
        ({"quality": "finest"}, "quality must be one of"),
        ({"seed": -1}, "seed must be between"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        StyleAugment(**{"styles": ["monet"]} | options)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((3, 32, 32), np.float32), np.zeros((32, 32), np.uint8), PHOTO.convert("RGBA"), PHOTO.convert("P"), "a"],
)
def test_other_pictures_are_refused(picture: Any) -> None:
    with pytest.raises(UsageError, match=r"convert it first|takes a PIL\.Image"):
        augment()(picture)
