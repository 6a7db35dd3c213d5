"""Marks: what refinement of an adapted style aims at besides its look."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sfumato.checkpoint import load_model
from sfumato.errors import ModelError
from sfumato.image import Picture
from sfumato.inference import Style, Stylizer
from sfumato.inference.adapter import MARKS, Adapter
from sfumato.inference.marks import NUMBERS, SIZES, STEPS, Marks, packed
from sfumato.inference.session import WEIGHTS
from sfumato.inference.stylizer import CONTENT
from sfumato.networks import refiner
from sfumato.networks.style_encoder import LOOK, StyleEncoder
from support import scene


def correlations(seed: int) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [np.corrcoef(rng.standard_normal((size, 2 * size))).astype(np.float32) for size in SIZES]


def test_numbers_are_unpacked_as_they_were() -> None:
    given = correlations(0)
    numbers = packed(given, 0.2)
    assert numbers.shape == (NUMBERS + 2,)
    found = Marks.of(numbers)
    assert found is not None
    assert (found.share, found.content) == (1, pytest.approx(0.2))
    for one, other in zip(found.correlations, given, strict=True):
        assert np.array_equal(one[0], other)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_marks_counts_by_as_much(share: float) -> None:
    """As adapters are mixed: numbers times the share, and nothing of styles that have none."""
    given = correlations(1)
    found = Marks.of(packed(given, 0.2) * share)
    assert found is not None
    assert np.allclose(found.correlations[1][0], given[1], atol=1e-6)  # with whom they are mixed has none of its own
    assert found.weights(0.5, 0.4) == (pytest.approx(0.5 * share), pytest.approx(0.4 + share * (0.2 - 0.4)))
    assert found.steps(4) == round(4 * (1 + share * (STEPS - 1)))


def test_two_styles_marks_are_mixed_by_their_shares() -> None:
    first, second = correlations(2), correlations(3)
    found = Marks.of(0.25 * packed(first, 0.1) + 0.75 * packed(second, 0.3))
    assert found is not None
    assert np.allclose(found.correlations[0][0], 0.25 * first[0] + 0.75 * second[0], atol=1e-6)
    assert (found.share, found.content) == (1, pytest.approx(0.25))


def test_without_a_share_there_are_none_and_other_numbers_are_said() -> None:
    assert Marks.of(np.zeros(NUMBERS + 2)) is None
    with pytest.raises(ModelError, match=f"have {NUMBERS + 2} numbers, and these 5; learn the style again"):
        Marks.of(np.zeros(5))


def test_sizes_are_those_of_the_networks() -> None:
    trunk = StyleEncoder(4).trunk
    found = refiner.correlations_of(trunk, torch.rand(1, 3, 32, 32), torch.rand(1, LOOK))
    assert tuple(each.shape[1] for each in found) == SIZES
    assert refiner.CONTENT == CONTENT


# ---- in pictures -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> Stylizer:
    return Stylizer()


def covariances(stylizer: Stylizer, picture: Picture, look: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    model, _ = load_model(stylizer.folder / WEIGHTS)
    found = refiner.correlations_of(model.style_encoder.trunk, torch.from_numpy(picture), torch.tensor(look)[None])
    return [each[0].numpy() for each in found]


def test_the_shipped_model_s_paintings_come_nearer_to_marks_and_no_farther_from_the_look(shipped: Stylizer) -> None:
    """Over three styles: the steps of L-BFGS do not fall evenly, and differ between processors."""
    photo, found = scene(96, 128), []
    for seed in (7, 8, 9):
        style, liked = Style.named("great-wave"), scene(128, 128, seed)
        look = shipped.encode(liked).look
        assert look is not None
        style = replace(style, code=type(style.code)(style.code.vector, style.code.model, look))
        wanted = covariances(shipped, liked, look)
        marked = replace(style, adapter=Adapter(shipped.card.model, {MARKS: packed(wanted, 0.2)}))

        def far(
            style: Style, steps: int, look: npt.NDArray[np.float32], wanted: list[npt.NDArray[np.float32]]
        ) -> float:
            seen = covariances(shipped, shipped(photo, style, refine=steps), look)
            gaps = [np.square(a - b).sum() / np.square(b).sum() for a, b in zip(seen, wanted, strict=True)]
            return float(np.mean(gaps))

        found.append([far(style, 4, look, wanted), *(far(marked, steps, look, wanted) for steps in (2, 12))])
    plain, few, many = np.mean(found, 0)
    assert few < 0.6 * plain
    assert many < few


def test_a_style_without_refinement_or_strength_has_no_use_for_marks(stylizer: Stylizer, style: Style) -> None:
    photo = scene(61, 83)
    marked = replace(style, adapter=Adapter(stylizer.card.model, {MARKS: packed(correlations(4), 0.2)}))
    assert np.array_equal(stylizer(photo, marked, refine=0), stylizer(photo, style, refine=0))
    assert np.array_equal(stylizer(photo, marked, 0.0), stylizer(photo, style, 0.0))
    full, half = (np.abs(stylizer(photo, marked, s) - stylizer(photo, marked, s, refine=0)).mean() for s in (1.0, 0.05))
    assert 0 < half < full


def test_marks_of_nothing_but_zeros_are_said(stylizer: Stylizer, style: Style) -> None:
    nothing = [np.zeros((size, size), np.float32) for size in SIZES]
    marked = replace(style, adapter=Adapter(stylizer.card.model, {MARKS: packed(nothing, 0.2)}))
    with pytest.raises(ModelError, match="not numbers: the style or the model is damaged"):
        stylizer(scene(61, 83), marked)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 90)])
def test_any_size_is_refined_with_marks(stylizer: Stylizer, style: Style, size: tuple[int, int]) -> None:
    marked = replace(style, adapter=Adapter(stylizer.card.model, {MARKS: packed(correlations(5), 0.2)}))
    found = stylizer(scene(*size), marked)
    assert found.shape == (1, 3, *size)
    assert np.isfinite(found).all()
    assert np.array_equal(found, stylizer(scene(*size), marked))


def test_a_model_from_before_there_were_marks_says_so(stylizer: Stylizer, style: Style, tmp_path: Path) -> None:
    for file in stylizer.folder.iterdir():
        if file.name != "gram_refiner.onnx":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text("utf-8"))
    del card["files"]["gram_refiner.onnx"]
    (tmp_path / "card.json").write_text(json.dumps(card), "utf-8")
    old, photo = Stylizer(tmp_path), scene(61, 83)
    assert old.digest == stylizer.digest  # of styles without marks every pixel is the same
    assert np.abs(old(photo, style) - stylizer(photo, style)).mean() < 1e-4  # maxima of a pool tie within rounding
    marked = replace(style, adapter=Adapter(old.card.model, {MARKS: packed(correlations(6), 0.2)}))
    with pytest.raises(ModelError, match=r"has no gram_refiner\.onnx, which adapted styles need; export it again"):
        old(photo, marked)
