from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sfumato.errors import ModelError
from sfumato.image import Picture, luma
from sfumato.inference import Style, Stylizer
from sfumato.inference.adapter import TEXTURENESS, Adapter
from sfumato.inference.textureness import BANDS, KNOTS, MOST_GAIN, curves, curves_of, levels, shaped
from support import scene


def grain(strength: np.ndarray, seed: int) -> Picture:
    """Noise of the given strength at each place, on grey."""
    noise = np.random.default_rng(seed).normal(0, 1, (1, 1, *strength.shape)) * strength
    return np.repeat(np.clip(0.5 + noise, 0, 1), 3, 1).astype(np.float32)


def even(seed: int) -> Picture:
    return grain(np.full((160, 200), 0.05), seed)


def patchy(seed: int, plain: float = 0.02, busy: float = 0.12) -> Picture:
    """A quarter of it is busy, and the rest plain."""
    strength = np.full((160, 200), plain)
    strength[:80, :100] = busy
    return grain(strength, seed)


def curve_for(gain: float) -> np.ndarray:
    return np.full((BANDS, len(KNOTS)), np.log(gain), np.float32)


def test_levels_tell_how_strong_detail_is_and_where() -> None:
    plain, busy = levels([even(0)]), levels([patchy(0)])
    assert plain.shape == busy.shape
    assert (np.diff(plain, axis=1) >= 0).all()
    assert np.ptp(busy[0]) > np.ptp(plain[0]) + 1  # natural logarithms
    twice = levels([0.5 + 2 * (even(0) - 0.5)])
    assert np.allclose(twice[0] - plain[0], np.log(2), atol=0.02)
    assert np.allclose(levels([even(0), patchy(0)]), (plain + busy) / 2)


def test_detail_is_taken_to_where_it_is_wanted() -> None:
    wanted = levels([patchy(seed, 0.02, 0.12) for seed in range(3)])
    have = levels([patchy(seed, 0.03, 0.08) for seed in range(3)])
    before = patchy(7, 0.03, 0.08)
    after = shaped(before, curves(have, wanted))
    gap = [np.abs(levels([picture]) - wanted).mean() for picture in (before, after)]
    assert gap[1] < 0.5 * gap[0]
    assert np.abs(after.mean() - before.mean()) < 0.01
    halfway = shaped(before, curves(have, wanted, 0.5))
    assert gap[1] < np.abs(levels([halfway]) - wanted).mean() < gap[0]


def test_nothing_is_wanted_where_both_are_alike() -> None:
    same = levels([patchy(0)])
    assert not curves(same, same).any()
    photo = scene(90, 130, 1)
    assert np.abs(shaped(photo, curve_for(1)) - photo).max() < 1e-5


def test_half_the_way_is_half_the_curve() -> None:
    have, wanted = levels([even(0)]), levels([even(0) * 0.9 + 0.05])
    assert np.allclose(curves(have, wanted, 0.5), 0.5 * curves(have, wanted), atol=1e-6)


def test_gains_are_bounded() -> None:
    faint, strong = grain(np.full((64, 64), 0.004), 0), grain(np.full((64, 64), 0.1), 0)
    assert np.abs(curves(levels([faint]), levels([strong]))).max() == pytest.approx(np.log(MOST_GAIN))
    much, most = shaped(faint, curve_for(50)), shaped(faint, curve_for(MOST_GAIN))
    assert np.array_equal(much, most)
    assert luma(most[0]).std() / luma(faint[0]).std() == pytest.approx(MOST_GAIN, rel=0.1)


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (33, 16)])
def test_small_and_narrow_pictures_are_shaped(size: tuple[int, int]) -> None:
    photo = scene(*size, 2)
    found = shaped(photo, curve_for(1.3))
    assert found.shape == photo.shape
    assert np.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1


def test_other_numbers_are_no_curves() -> None:
    with pytest.raises(ModelError, match=f"have {BANDS * len(KNOTS)} numbers, and these 7; adapt again"):
        curves_of(np.zeros(7))
    with pytest.raises(ModelError, match="and these 7"):
        Adapter("tiny", {TEXTURENESS: np.zeros(7)})


# ---- as part of an adapter -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crisp(stylizer: Stylizer, style: Style) -> Style:
    return replace(style, adapter=Adapter(stylizer.card.model, {TEXTURENESS: curve_for(1.6).ravel()}))


def detail(picture: Picture) -> float:
    return float(np.abs(np.diff(luma(picture[0]))).mean())


def test_a_style_is_painted_with_its_curves(stylizer: Stylizer, crisp: Style, style: Style) -> None:
    photo = scene(70, 90, 3)
    plain, shaped_ = stylizer(photo, style), stylizer(photo, crisp)
    assert detail(shaped_) > 1.2 * detail(plain)
    assert np.array_equal(stylizer(photo, crisp, refine=0), stylizer(photo, style, refine=0))  # they end refinement
    half = stylizer(photo, crisp, 0.5)
    assert 1 < detail(half) / detail(stylizer(photo, style, 0.5)) < detail(shaped_) / detail(plain)
    assert crisp.adapter is not None
    assert crisp.adapter.changes == []  # no weight


def test_the_photos_colours_are_kept_with_curves_too(stylizer: Stylizer, crisp: Style, style: Style) -> None:
    photo = scene(70, 90, 3)
    change = stylizer(photo, crisp, color="content") - stylizer(photo, style, color="content")
    inside = (np.abs(change) > 1e-3).all(1)  # not cut off at black or white
    assert inside.any()
    assert np.median(np.ptp(change, axis=1)[inside]) < 1e-3


def test_curves_blend_by_their_shares(stylizer: Stylizer, crisp: Style, style: Style) -> None:
    blend = Style.blend({crisp: 1, style: 3})
    assert blend.adapter is not None
    assert blend.adapter.textureness is not None
    assert np.allclose(blend.adapter.textureness, np.log(1.6) / 4, atol=1e-3)


def test_curves_are_part_of_what_an_adapter_is(stylizer: Stylizer, crisp: Style) -> None:
    assert crisp.adapter is not None
    again = Adapter.of(crisp.adapter.tensors(), stylizer.card.model)
    assert again == crisp.adapter
    assert again != Adapter(stylizer.card.model, {TEXTURENESS: curve_for(1.5).ravel()})
