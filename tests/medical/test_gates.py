"""The gates see what they are for: planted faults; and what the tone and the texture promise."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato import PaintOptions, QualityError, Style, Stylizer, UsageError
from sfumato.image import luma
from sfumato.medical import tone
from sfumato.medical.gates import SEEN, Measured, added, measure, toned, worst
from sfumato.quality.filters import box
from support import FLOAT32, SUM32, scene

GREY = box(scene(96, 96, 3)[0, 0] * 0.8, 1)
GREY[:48] = GREY[:48].mean()  # half of it is flat


def disc(row: int, column: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:96, :96]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def test_a_picture_passes_against_itself_and_in_another_tone() -> None:
    for result in (GREY, GREY**0.5, 0.2 + 0.5 * GREY, tone.radiograph_tone(GREY)):
        found = measure(GREY, np.asarray(result, np.float32))
        found.check("a picture")
        assert found.order > 0.999
        assert found.added == 0


def test_an_inverted_picture_is_refused() -> None:
    found = measure(GREY, 1 - GREY)
    assert found.order == pytest.approx(-1)
    with pytest.raises(QualityError, match=r"a\.dcm was refused: the order of intensities is not kept \(-1\.0000, at"):
        found.check("a.dcm")


def test_a_blurred_picture_is_refused() -> None:
    found = measure(GREY, box(GREY, 4))
    assert found.structure < 0.9
    assert found.contrast < 0.5
    with pytest.raises(QualityError, match="structure is not kept"):
        found.check("a.dcm")


@pytest.mark.parametrize("radius", [1, 2, 4, 6])
@pytest.mark.parametrize("height", [0.06, -0.06])
def test_a_blob_where_the_picture_is_flat_is_counted(radius: int, height: float) -> None:
    planted = np.where(disc(20, 30, radius), GREY + np.float32(height), GREY)
    places = added(toned(GREY, planted), planted)
    assert places
    assert all(np.hypot(y - 20, x - 30) <= 3 * radius + 4 for y, x in places)
    with pytest.raises(QualityError, match="were added where the picture is flat"):
        measure(GREY, planted).check("a.dcm")


def test_a_line_where_the_picture_is_flat_is_counted() -> None:
    planted = GREY.copy()
    planted[20:22, 10:80] += 0.06
    assert added(toned(GREY, planted), planted)


def test_what_cannot_be_seen_is_not_counted() -> None:
    planted = np.where(disc(20, 30, 4), GREY + np.float32(SEEN / 3), GREY)
    assert not added(toned(GREY, planted), planted)


def test_a_lesion_that_is_lost_lowers_the_contrast() -> None:
    source = np.full((96, 96), 0.4, np.float32)
    for place in range(12, 90, 24):
        source = np.where(disc(place, place, 4), np.float32(0.5), source)
    faded = source - 0.03 * disc(36, 36, 4)
    assert measure(source, source).contrast == 1
    assert measure(source, faded.astype(np.float32)).contrast < 0.9


def test_flat_pictures_pass() -> None:
    flat = np.full((40, 40), 0.5, np.float32)
    assert measure(flat, flat) == Measured(1, 1, 1, 0)
    assert measure(np.zeros_like(flat), np.zeros_like(flat)) == Measured(1, 1, 1, 0)
    assert measure(flat, scene(40, 40)[0, 0]).structure == 0


def test_the_worst_of_several_frames_counts() -> None:
    assert worst([Measured(1, 0.9, 1, 0), Measured(0.99, 1, 0.8, 3)]) == Measured(0.99, 0.9, 0.8, 3)


# ---- tone and texture ------------------------------------------------------------------------------------------------


def test_the_tone_rises_from_black_to_white_and_is_a_sigmoid() -> None:
    grey = np.linspace(0, 1, 1001, dtype=np.float32).reshape(7, 143)
    made = tone.radiograph_tone(grey)
    assert (np.diff(made.ravel()) > 0).all()
    assert (made.ravel()[0], made.ravel()[-1]) == (0, pytest.approx(1))
    body = grey[grey > tone.AIR]
    low, centre, high = np.percentile(body, (5, 50, 95))
    y = 1 / (1 + np.exp(-4 * (np.array([0, 0.3, 1]) - centre) / (high - low)))
    assert made.ravel()[300] == pytest.approx((y[1] - y[0]) / (y[2] - y[0]), abs=SUM32)


def test_a_texture_adds_nothing_where_the_picture_is_flat_and_stays_within_its_share() -> None:
    painting = scene(96, 96, 8)[0]
    made = tone.with_texture(GREY, painting, 0.2, colour=False)
    np.testing.assert_array_equal(made[0, 0], made[0, 2])
    assert np.abs(made[0, 0] - GREY)[:32].max() < FLOAT32  # the flat half, less the reach of the filters
    mine, _ = tone._bands(GREY)
    most = sum(0.2 / 2**number * np.abs(each) for number, each in enumerate(mine))
    change = np.abs(made[0, 0] - GREY)
    assert (change <= most + FLOAT32).all()
    assert change.max() > 0.005


def test_hues_leave_the_luma() -> None:
    painting = scene(96, 96, 8)[0]
    plain, hued = (tone.with_texture(GREY, painting, 0.2, colour)[0] for colour in (False, True))
    np.testing.assert_allclose(luma(hued), luma(plain), atol=SUM32)
    assert hued.min() >= -FLOAT32
    assert hued.max() <= 1 + FLOAT32
    assert np.ptp(hued, axis=0).max() > 0.1


def test_a_style_is_painted_and_its_strength_is_bounded() -> None:
    stylizer = Stylizer(threads=1)
    style = Style.from_image(scene(90, 80, 5, 0.3), "waves", stylizer)
    draft = PaintOptions(quality="draft")
    made = tone.textured(GREY, style, 0.1, False, stylizer, draft)
    assert made.shape == (1, 3, 96, 96)
    measure(GREY, made[0, 0]).check("a picture")
    assert np.abs(made[0, 0] - GREY).max() > 0.002
    with pytest.raises(UsageError, match=r"strength must be between 0 and 0\.2, but is 0\.3"):
        tone.textured(GREY, style, 0.3, False, stylizer, draft)
