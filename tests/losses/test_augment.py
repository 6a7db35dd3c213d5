from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import UsageError
from sfumato.losses.augment import FAKE, REAL, augment_pictures
from sfumato.losses.config import Augment
from sfumato.parallel import Rows
from support import FLOAT32


def augment_with(**settings: Any) -> Any:
    return partial(augment_pictures, Augment(**settings))


ONLY = {  # one kind at a time, strong enough to be seen on small pictures
    "colour": augment_with(translation=0, cutout=0, colour=1),
    "translation": augment_with(translation=0.25, cutout=0, colour=0),
    "cutout": augment_with(translation=0, cutout=0.5, colour=0),
}


def pictures(*shape: Any, dtype: Any = torch.float32) -> Any:
    return torch.rand(shape or (4, 3, 16, 20), generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_probability_zero_is_the_identity_bit_for_bit() -> None:
    x = pictures()
    assert torch.equal(augment_with(p=0)(x, 1), x)
    nothing = augment_with(translation=0, cutout=0, colour=0)
    assert torch.equal(nothing(x, 1), x)


def test_equal_keys_draw_equally_and_others_do_not() -> None:
    augment, x = augment_with(colour=0.5), pictures()
    assert torch.equal(augment(x, 3, 7, REAL), augment(x, 3, 7, REAL))
    for other in ((3, 7, FAKE), (3, 8, REAL), (4, 7, REAL)):
        assert not torch.equal(augment(x, 3, 7, REAL), augment(x, *other))


def test_the_state_of_torch_s_own_generator_plays_no_part() -> None:
    augment, x = augment_with(), pictures()
    torch.manual_seed(1)
    first = augment(x, 5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(augment(x, 5), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_picture_s_draws_do_not_depend_on_how_many_there_are() -> None:
    augment, x = augment_with(), pictures()
    assert torch.allclose(augment(x, 5)[:2], augment(x[:2], 5))


def test_pictures_of_one_batch_are_augmented_differently() -> None:
    x = pictures(1, 3, 16, 16).expand(8, -1, -1, -1)
    for name, augment in ONLY.items():
        views = augment(x, 0)
        assert len({view.numpy().tobytes() for view in views}) > 4, name


def test_translation_moves_and_reflects() -> None:
    """Each view is a window of the picture reflected at its borders, at most a quarter of a side away."""
    x = pictures(64, 3, 16, 20).numpy()
    views = ONLY["translation"](torch.from_numpy(x), 0).numpy()
    moves = set()
    for picture, view in zip(x, views, strict=True):
        wide = np.pad(picture, ((0, 0), (4, 4), (5, 5)), mode="reflect")
        at = [
            (top, left)
            for top in range(9)
            for left in range(11)
            if np.array_equal(wide[:, top : top + 16, left : left + 20], view)
        ]
        assert len(at) == 1
        moves.add(at[0])
    tops, lefts = zip(*moves, strict=True)
    assert (min(tops), max(tops), min(lefts), max(lefts)) == (0, 8, 0, 10)


def test_cutout_is_one_grey_rectangle() -> None:
    x = 0.8 + 0.1 * pictures(64, 3, 16, 20)
    areas = []
    for picture, view in zip(x, ONLY["cutout"](x, 0), strict=True):
        hole = (view == 0.5).all(0)
        assert torch.equal(view[:, ~hole], picture[:, ~hole])
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns[None, :])
        for line, most in ((rows, 8), (columns, 10)):
            inside = line.nonzero()[:, 0]
            assert 1 <= len(inside) <= most or not hole.any()
            assert not len(inside) or int(inside[-1] - inside[0]) + 1 == len(inside)  # without a gap
        areas.append(int(hole.sum()))
    assert max(areas) == 8 * 10
    assert min(areas) < 40  # some lie over the border


def test_colour_is_brightness_saturation_and_contrast() -> None:
    """An affine map of each picture that keeps greys grey; its three parts are within the paper's bounds."""
    x = pictures(64, 3, 8, 8, dtype=torch.float64)
    views = ONLY["colour"](x, 0)
    grey, seen = x.mean(1, keepdim=True), views.mean(1, keepdim=True)
    mean, painting_mean = grey.mean((2, 3), keepdim=True), seen.mean((2, 3), keepdim=True)
    brightness = (painting_mean - mean).flatten()
    contrast = ((seen - painting_mean) / (grey - mean)).flatten(1)
    both = ((views - seen) / (x - grey)).flatten(1)
    for factor in (contrast, both):
        assert torch.allclose(factor, factor[:, :1].expand_as(factor), rtol=FLOAT32)  # one for a picture
    saturation = both[:, 0] / contrast[:, 0]
    for value, low, high in ((brightness, -0.25, 0.25), (contrast[:, 0], 0.5, 1.5), (saturation, 0, 2)):
        assert low <= value.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < value.max() <= high


def test_weak_colour_changes_little() -> None:
    x = pictures(32, 3, 8, 8)
    change = (augment_with(translation=0, cutout=0)(x, 0) - x).abs().max()
    assert 0 < change < 0.15


@pytest.mark.parametrize("kind", ONLY)
def test_each_kind_has_its_own_probability(kind: str) -> None:
    x = pictures(1, 3, 16, 16).expand(400, -1, -1, -1)
    rare = partial(augment_pictures, ONLY[kind].args[0].model_copy(update={"p": 0.25}))
    changed = (rare(x, 0) != x).flatten(1).any(1)
    assert 0.17 < changed.float().mean() < 0.33
    # Those that are changed are changed as they would have been anyway: p decides whether, not how.
    assert torch.equal(rare(x, 0)[changed], ONLY[kind](x, 0)[changed])


def test_gradients_flow_through_and_are_finite_differences() -> None:
    augment = augment_with(colour=0.5)
    x = pictures(2, 3, 8, 8, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda pictures: augment(pictures, 0), (x,))
    (gradient,) = torch.autograd.grad(augment(x, 0).square().sum(), x)
    assert gradient.abs().sum() > 1


def test_the_generator_s_gradient_stops_at_the_hole() -> None:
    x = (0.8 + 0.1 * pictures(4, 3, 16, 16)).requires_grad_()
    view = ONLY["cutout"](x, 1)
    view.sum().backward()
    assert torch.equal(x.grad == 0, view == 0.5)
    assert (x.grad == 0).any()


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 3, 1, 1), (2, 3, 7, 3)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_plain_and_tiny_pictures_stay_finite(shape: tuple[int, int, int, int], value: float) -> None:
    x = torch.full(shape, value, requires_grad=True)
    y = augment_with(colour=1, translation=0.5, cutout=1)(x, 0)
    assert y.shape == shape
    assert y.isfinite().all()
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_the_kind_of_number_stays() -> None:
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        assert augment_with()(pictures().to(dtype), 0).dtype == dtype


def test_shares_out_of_range_are_refused() -> None:
    for wrong in ({"p": 1.5}, {"translation": 0.6}, {"cutout": -0.1}, {"color": 0.1}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            augment_with(**wrong)


def test_processes_augment_their_rows_as_one_would() -> None:
    augment, x = augment_with(colour=0.5), pictures(6, 3, 16, 16)
    whole = augment(x, 3, 7, REAL)
    for process in range(3):
        rows = Rows(process, 3)
        assert torch.equal(augment(rows.pick(x), 3, 7, REAL, rows=rows), rows.pick(whole))
