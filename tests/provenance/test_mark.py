from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sfumato.assets import ledger, picture_path
from sfumato.errors import InputError, UsageError
from sfumato.provenance import mark
from sfumato.provenance.mark import SMALLEST_SIDE, embed, find
from sfumato.provenance.mark_code import RATE, STEPS, decode, encode

Pixels = NDArray[np.uint8]
KEY = b"test"
NUMBER = 0x8123456789ABCDEF


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def painting() -> Pixels:
    with Image.open(picture_path(ledger()[0])) as file:
        image = file.convert("RGB")
    return np.asarray(image.resize((480, round(480 * image.height / image.width)), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def marked(painting: Pixels) -> Pixels:
    return embed(painting, NUMBER, KEY)


def saved(pixels: Pixels, kind: str, quality: int) -> Pixels:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, kind, quality=quality)
    return np.asarray(Image.open(held).convert("RGB"))


def sized(pixels: Pixels, ratio: float) -> Pixels:
    size = round(pixels.shape[1] * ratio), round(pixels.shape[0] * ratio)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def cropped(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return pixels[height // 9 : height // 9 + int(height * 0.8), 31 : 31 + int(width * 0.8)]


def turned(pixels: Pixels, degrees: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC))


def test_an_unchanged_picture_gives_its_number_and_looks_the_same(painting: Pixels, marked: Pixels) -> None:
    found = find(marked, KEY)
    assert found is not None
    assert (found.number, found.scale, found.angle, found.mirrored) == (NUMBER, 1.0, 0.0, False)
    assert found.score > 100
    assert psnr(marked, painting) >= 42
    assert marked.shape == painting.shape
    assert np.abs(marked.astype(int) - painting).max() <= 12


@pytest.mark.parametrize("number", [0, 2**64 - 1])
def test_the_least_and_the_greatest_number(painting: Pixels, number: int) -> None:
    found = find(saved(embed(painting, number, KEY), "JPEG", 75), KEY)
    assert found is not None
    assert found.number == number


@pytest.mark.parametrize(
    ("change", "scale"),
    [
        (lambda pixels: saved(pixels, "JPEG", 75), 1),
        (lambda pixels: saved(pixels, "JPEG", 50), 1),
        (lambda pixels: saved(pixels, "WEBP", 80), 1),
        (cropped, 1),
        (lambda pixels: saved(cropped(pixels), "JPEG", 50), 1),
        (lambda pixels: sized(pixels, 0.5), 0.5),
        (lambda pixels: saved(sized(cropped(pixels), 0.5), "JPEG", 75), 0.5),
        (lambda pixels: saved(sized(pixels, 1.37), "JPEG", 75), 1.37),
    ],
    ids=["JPEG 75", "JPEG 50", "WebP", "crop", "crop, JPEG 50", "half", "crop, half, JPEG 75", "x 1.37, JPEG 75"],
)
def test_the_number_survives(marked: Pixels, change: Callable[[Pixels], Pixels], scale: float) -> None:
    found = find(change(marked), KEY)
    assert found is not None
    assert found.number == NUMBER
    assert found.scale == pytest.approx(scale, rel=0.005)
    assert found.angle == pytest.approx(0, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [2, -10, 37])
def test_the_number_survives_turning(marked: Pixels, degrees: float) -> None:
    found = find(turned(marked, -degrees), KEY)
    assert found is not None
    assert found.number == NUMBER
    assert found.angle == pytest.approx(degrees, abs=0.2)  # clockwise


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_number_survives_turns_by_90_degrees(marked: Pixels, turns: int) -> None:
    found = find(np.rot90(marked, -turns), KEY)
    assert found is not None
    assert found.number == NUMBER
    assert (found.angle - 90 * turns + 180) % 360 - 180 == pytest.approx(0, abs=0.2)


def test_the_number_survives_halving_of_odd_sides(marked: Pixels) -> None:
    odd = marked[: (marked.shape[0] - 1) // 2 * 2 + 1, :479]
    found = find(saved(sized(odd, 0.5), "JPEG", 75), KEY)
    assert found is not None
    assert found.number == NUMBER


@pytest.mark.parametrize("ratio", [1, 0.8, 1.25])
def test_the_number_survives_a_screenshot_of_a_page(marked: Pixels, ratio: float) -> None:
    image = Image.fromarray(sized(marked, ratio))
    page = Image.new("RGB", (1200, 700), "#f4f4f4")
    draw = ImageDraw.Draw(page)
    for y in range(20, 700, 20):
        draw.text((30, y), "Words beside a painting, " * 9, "#202020")
    page.paste(image, (301, 77))
    found = find(saved(np.asarray(page), "JPEG", 90), KEY)
    assert found is not None
    assert found.number == NUMBER
    assert found.scale == pytest.approx(ratio, rel=0.01)


def test_the_number_survives_mirroring(marked: Pixels) -> None:
    found = find(saved(np.ascontiguousarray(marked[:, ::-1]), "JPEG", 75), KEY)
    assert found is not None
    assert found.number == NUMBER
    assert found.mirrored


def test_a_flat_picture_is_found_and_looks_flat() -> None:
    x = np.broadcast_to(np.linspace(90, 160, 400), (320, 400))
    flat = np.repeat(np.rint(x).astype(np.uint8)[..., None], 3, axis=2)
    with_mark = embed(flat, NUMBER, KEY)
    found = find(with_mark, KEY)
    assert found is not None
    assert found.number == NUMBER
    assert psnr(with_mark, flat) > 47
    assert np.abs(with_mark.astype(int) - flat).max() <= 4


def test_another_key_and_a_picture_without_mark_give_none(painting: Pixels, marked: Pixels) -> None:
    assert find(marked[:224, :256], b"another") is None
    assert find(painting[:224, :256], KEY) is None
    assert find(marked[:224, :256], KEY) is not None


def test_no_more_words_are_decoded_than_the_bound_counts(marked: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    words = []

    def counted(soft: NDArray[np.float64]) -> None:
        words.append(soft)
        assert decode(soft) in (None, NUMBER)  # and goes on, as if no checksum were right

    monkeypatch.setattr(mark, "decode", counted)
    assert find(sized(marked, 0.5), KEY) is None
    assert 2 <= len(words) <= mark.TRIES


def test_a_second_number_replaces_the_first_and_the_same_changes_nothing(painting: Pixels, marked: Pixels) -> None:
    np.testing.assert_array_equal(embed(marked, NUMBER, KEY), marked)
    again = embed(marked, 7, KEY)
    found = find(saved(again, "JPEG", 75), KEY)
    assert found is not None
    assert found.number == 7
    assert psnr(again, painting) >= 39


def test_marks_of_two_keys_stand_beside_each_other(marked: Pixels) -> None:
    both = saved(embed(marked, 7, b"another"), "JPEG", 75)
    numbers = [found.number if (found := find(both, key)) else None for key in (KEY, b"another")]
    assert numbers == [NUMBER, 7]


@pytest.mark.slow
def test_a_large_picture_is_marked_coarsely_and_survives_reduction(painting: Pixels) -> None:
    large = np.asarray(Image.fromarray(painting).resize((1800, 1400), Image.Resampling.BICUBIC))
    with_mark = embed(large, NUMBER, KEY)
    as_is, reduced = find(with_mark, KEY), find(saved(sized(with_mark, 0.7), "JPEG", 50), KEY)
    assert as_is is not None
    assert reduced is not None
    assert as_is.number == reduced.number == NUMBER
    assert as_is.scale == pytest.approx((1800 * 1400 / 2**20) ** 0.5, rel=0.001)
    assert psnr(with_mark, large) >= 42


def test_the_smallest_picture_is_marked_and_a_smaller_one_refused(painting: Pixels) -> None:
    smallest = painting[:SMALLEST_SIDE, :SMALLEST_SIDE]
    found = find(saved(embed(smallest, NUMBER, KEY), "JPEG", 90), KEY)
    assert found is not None
    assert found.number == NUMBER
    with pytest.raises(InputError, match=f"400 x 191 pixels, .* at least {SMALLEST_SIDE} pixels"):
        embed(painting[: SMALLEST_SIDE - 1, :400], NUMBER, KEY)
    assert find(painting[:40, :40], KEY) is None


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_outside_its_range_is_refused(painting: Pixels, number: int) -> None:
    with pytest.raises(UsageError, match="from 0 to 2"):
        embed(painting, number, KEY)


@pytest.mark.parametrize("shape", [(200, 200), (200, 200, 4), (0, 200, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    pixels = np.zeros(shape, np.uint8)
    with pytest.raises(InputError, match="8-bit RGB"):
        embed(pixels, 1, KEY)
    with pytest.raises(InputError, match="8-bit RGB"):
        find(pixels, KEY)
    with pytest.raises(InputError, match="float32"):
        find(np.zeros((200, 200, 3), np.float32), KEY)


def test_the_code_corrects_noise_and_its_checksum_refuses_nonsense() -> None:
    rng = np.random.default_rng(0)
    word = encode(NUMBER)
    assert decode(word + rng.normal(0, 1.0, word.shape)) == NUMBER  # one signal in six has the wrong sign
    assert [decode(rng.normal(size=(STEPS, RATE))) for _ in range(20)] == [None] * 20
