from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato.checkpoint import load_model
from sfumato.errors import InputError, ModelError, UsageError
from sfumato.export.onnx import export_model
from sfumato.image import Picture, write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.adapter import MOST_BYTES, Adapter
from sfumato.inference.recipe import Recipe
from sfumato.inference.session import WEIGHTS
from sfumato.inference.taste import Taste
from sfumato.losses.perceptual import STYLE_LAYERS
from sfumato.networks.model import ModelConfig, StyleTransferModel
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.personal import adapt as adapting
from sfumato.personal.adapt import Outcome, Student, adapt, adapt_taste, held, nearest, train, verdict
from sfumato.style_code import StyleCode
from support import assert_one_sentence, run, save_scenes, scene

CROP = 48


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures to judge."""
    monkeypatch.setattr(adapting, "JUDGED", 1)


@pytest.fixture(scope="module")
def stylizer(tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """A real model, tiny and untrained, exported as any other."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_model(
        StyleTransferModel(ModelConfig(widths=(8, 12, 16), blocks=1, texture_size=16, style_size=16)), folder, "tiny"
    )
    return Stylizer(folder, threads=1)


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    return VGG19(load_vgg19_weights(), STYLE_LAYERS)


@pytest.fixture(scope="module")
def liked() -> list[Picture]:
    return [scene(96, 110, seed, 0.3) for seed in range(5)]


@pytest.fixture(scope="module")
def photos() -> list[Picture]:
    return [scene(90, 80, seed, 0.6) for seed in range(10, 12)]


@pytest.fixture(scope="module")
def centre(stylizer: Stylizer, liked: list[Picture]) -> StyleCode:
    return StyleCode.mean([stylizer.encode(picture) for picture in liked])


def trained(stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19, **options):
    model, _ = load_model(stylizer.folder / WEIGHTS)
    assert isinstance(model, StyleTransferModel)
    return train(model, [centre], [1.0], liked, [0] * len(liked), photos, vgg=vgg, crop=CROP, **options)


def test_a_fresh_student_paints_as_its_model(stylizer: Stylizer, centre: StyleCode, photos: list[Picture]) -> None:
    model, _ = load_model(stylizer.folder / WEIGHTS)
    x, code = torch.from_numpy(photos[0][:, :, :64, :64].copy()), torch.from_numpy(centre.vector.copy())[None]
    with torch.no_grad():
        before = model.generator.measure_and_paint(x, code)[1]
        student = Student(model.generator, 0)
        assert torch.equal(student(x, code), before)
        assert student.prior() == 0


def test_what_was_trained_is_what_onnx_paints(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19
) -> None:
    seen = []
    tensors, made = trained(
        stylizer, centre, liked, photos, vgg, steps=3, tick=lambda done, total: seen.append((done, total))
    )
    assert made == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    tensors = {name: tensor * (20 if name.endswith(".up") else 1) for name, tensor in tensors.items()}  # plain to see
    adapter = Adapter.of(tensors, "tiny")
    assert adapter.size < MOST_BYTES
    model, _ = load_model(stylizer.folder / WEIGHTS)
    student = Student(model.generator, 0)
    for key, change in student.changes.items():
        name = f"generator.{key.replace('/', '.')}"
        for part in ("up", "down", "shift"):
            if hasattr(change, part):
                with torch.no_grad():
                    getattr(change, part).copy_(
                        torch.from_numpy(tensors[name if part == "shift" else f"{name}.{part}"])
                    )
    photo, code = photos[0], torch.from_numpy(centre.vector.copy())[None]
    with torch.no_grad():
        expected = student(torch.from_numpy(photo), code).clamp(0, 1).numpy()
    painted = stylizer(photo, Style("liked", centre, adapter=adapter))
    assert np.abs(painted - expected).max() < 5e-3  # changes and weights are rounded to 16 bits
    assert np.abs(painted - stylizer(photo, Style("liked", centre))).max() > 0.02


def test_equal_seeds_train_alike(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19
) -> None:
    one, two, other = (trained(stylizer, centre, liked, photos, vgg, steps=1, seed=seed)[0] for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_an_interrupt_keeps_what_stands(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    told: list[str] = []
    tensors, made = trained(stylizer, centre, liked, photos, vgg, steps=50, tick=stop, tell=told.append)
    assert made == 1
    assert told == ["adapting (Ctrl-C keeps what stands)", "stopping; judging what stands ..."]
    assert any(np.abs(tensor).max() > 0 for name, tensor in tensors.items() if name.endswith(".up"))


def test_an_interrupt_before_the_first_step_keeps_the_instant_style(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting, "_generator_step", stop)
    told: list[str] = []
    outcome = adapt(stylizer, [centre], [1.0], liked, photos, steps=5, crop=CROP, tell=told.append)
    assert told == ["stopping"]
    assert (outcome.codes, outcome.adapter, outcome.steps) == ((centre,), None, 0)
    assert outcome.why == "no step was made; the instant style is kept"


def test_an_adaptation_is_judged_and_keeps_the_better(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture]
) -> None:
    told: list[str] = []
    outcome = adapt(stylizer, [centre], [1.0], liked, photos, steps=1, crop=CROP, tell=told.append)
    assert told == ["adapting (Ctrl-C keeps what stands)", "judging ..."]
    assert outcome.steps == 1
    assert all(np.isfinite(list(figures.values())).all() for figures in outcome.figures.values())
    better, why = verdict(outcome.figures["instant"], outcome.figures["adapted"])
    assert outcome.why == why
    assert outcome.kept == better
    if better:
        assert outcome.codes != (centre,)
        assert outcome.adapter is not None
    else:
        assert (outcome.codes, outcome.adapter) == ((centre,), None)


Judged = Callable[[list[dict[str, float]]], tuple[list[tuple[StyleCode, Adapter | None]], Outcome]]


@pytest.fixture
def adapt_judged_as(
    stylizer: Stylizer,
    centre: StyleCode,
    liked: list[Picture],
    photos: list[Picture],
    monkeypatch: pytest.MonkeyPatch,
) -> Judged:
    """Adapts, where the judge says the figures that are given, one after the other; what was painted for it, and what
    came of it."""

    def run(figures: list[dict[str, float]]) -> tuple[list[tuple[StyleCode, Adapter | None]], Outcome]:
        shown: list[tuple[StyleCode, Adapter | None]] = []
        paint = adapting._painted

        def painted(stylizer, codes, adapter, scenes):
            shown.append((codes[0], adapter))
            return paint(stylizer, codes, adapter, scenes)

        def judge(self: object, pictures: object) -> dict[str, float]:
            return {"style": 1.0, "texture": 1.0, "content": 1.0, "leak": 0.0, **figures[len(shown) - 1]}

        monkeypatch.setattr(adapting, "_painted", painted)
        monkeypatch.setattr(adapting._Judge, "__call__", judge)
        return shown, adapt(stylizer, [centre], [1.0], liked, photos, steps=1, crop=CROP)

    return run


def test_without_a_gain_the_low_rank_part_is_left_out(adapt_judged_as: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapting, "SPENT", -0.05)
    painted, outcome = adapt_judged_as([{"style": 1 - x, "content": 1 - x} for x in (0.0, -0.1, 0.05)])
    assert [bool(adapter and adapter.changes) for _, adapter in painted] == [False, True, False]
    assert outcome.kept
    assert outcome.adapter is None


INSTANT = {"style": 0.5, "texture": 0.6, "content": 0.8, "leak": 0.01}


@pytest.mark.parametrize(
    ("change", "better", "sentence"),
    [
        ({"style": 0.4}, True, "is kept"),
        ({"style": 0.45, "texture": 0.7}, False, "no nearer"),
        ({}, False, "no nearer"),
        ({"style": 0.4, "content": 0.85}, False, "keeps less of the photo"),
        ({"style": 0.4, "content": 0.83}, True, "is kept"),
        ({"style": 0.4, "leak": 0.2}, False, "layout of a liked picture"),
    ],
)
def test_the_verdict_is_a_sentence(change: dict[str, float], better: bool, sentence: str) -> None:
    found, why = verdict(INSTANT, {**INSTANT, **change})
    assert found is better
    assert sentence in why
    assert not why.endswith(".")


def test_too_few_pictures_are_said(stylizer: Stylizer, centre: StyleCode, liked: list[Picture]) -> None:
    with pytest.raises(UsageError, match="needs 4 liked pictures or more"):
        adapt(stylizer, [centre], [1.0], liked[:3])


def test_pictures_belong_to_the_nearest_centre(stylizer: Stylizer, liked: list[Picture]) -> None:
    codes = [stylizer.encode(picture) for picture in (liked[0], scene(96, 110, 40, 0.9))]
    assert [nearest(code, codes) for code in codes] == [0, 1]


def test_what_is_aimed_at_is_the_mean_of_what_was_measured(stylizer: Stylizer, liked: list[Picture]) -> None:
    codes = [stylizer.encode(picture) for picture in (*liked, scene(96, 110, 40, 0.9))]
    centre = StyleCode.mean(codes)
    aimed = adapting._aimed(centre, codes)
    assert centre.look is not None
    assert aimed.look is not None
    assert (aimed.look >= centre.look - 2e-3).all()  # the mean of a convex function is above it at the mean
    assert np.allclose(np.expm1(aimed.look), np.mean([np.expm1(code.look) for code in codes], 0), rtol=0.01)
    spread = slice(len(centre) - 42 + 3, len(centre) - 42 + 9)
    roots = [root_of(code.vector[spread]) for code in (aimed, *codes)]
    assert np.allclose(roots[0] @ roots[0], np.mean([root @ root for root in roots[1:]], 0), atol=1e-5)
    others = np.delete(np.arange(len(centre)), np.arange(len(centre))[spread])
    assert np.array_equal(aimed.vector[others], centre.vector[others])
    alike = adapting._aimed(codes[0], codes[:1])
    assert np.allclose(alike.vector, codes[0].vector, atol=1e-5)


def root_of(triangle: np.ndarray) -> np.ndarray:
    root = np.zeros((3, 3))
    root[np.triu_indices(3)] = triangle
    return root + np.triu(root, 1).T


def test_a_trained_adapter_comes_nearer(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19, monkeypatch
) -> None:
    """Some steps without an opponent lower the style loss that they descend."""
    monkeypatch.setattr(adapting, "LOSSES", adapting.LOSSES.model_copy(update={"adversarial": 0.0}))
    judge = adapting._Judge(photos, liked, [0] * len(liked), liked, 72)
    tensors, _ = trained(stylizer, centre, liked, photos, vgg, steps=12)
    adapters = (None, Adapter.of(tensors, "tiny"))
    plain, adapted = (judge(adapting._painted(stylizer, [centre], a, judge.scenes)) for a in adapters)
    assert adapted["style"] + adapted["texture"] < plain["style"] + plain["texture"]


def test_content_is_steered_to_its_target(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], vgg: VGG19, monkeypatch
) -> None:
    judge = adapting._Judge(photos, liked, [0] * len(liked), liked, 72)
    lost = []
    for target in (0.6, 1.5):
        monkeypatch.setattr(adapting, "CONTENT_TARGET", target)
        tensors, _ = trained(stylizer, centre, liked, photos, vgg, steps=12)
        painted = adapting._painted(stylizer, [centre], Adapter.of(tensors, "tiny"), judge.scenes)
        lost.append(judge(painted)["content"])
    assert lost[0] < lost[1]


def test_a_taste_is_adapted_or_stays(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], tmp_path: Path
) -> None:
    files = []
    for i, picture in enumerate([*liked, *photos]):
        files.append(tmp_path / f"{i}.png")
        write_image(picture, files[-1])
    taste = Taste("anna", (centre,), (1.0,), tuple(f"{i:064x}" for i in range(len(liked))))
    found, outcome = adapt_taste(taste, files[: len(liked)], stylizer, files[len(liked) :], steps=2, crop=CROP)
    told = found.scores["adapted"]
    assert told["why"] == outcome.why
    assert told["kept"] == outcome.kept == found.adapted
    with_adapter = replace(found, adapter=some_adapter(stylizer).tensors())
    with_adapter.save(tmp_path / "anna.sfumato")
    assert (tmp_path / "anna.sfumato").stat().st_size < 2_000_000
    again = Taste.load(tmp_path / "anna.sfumato").style
    assert again.adapter == some_adapter(stylizer)
    assert np.array_equal(stylizer(photos[0], again), stylizer(photos[0], with_adapter.style))


def test_photos_that_cannot_be_read_are_left_out_and_told(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], photos: list[Picture], tmp_path: Path
) -> None:
    for i, picture in enumerate([*liked, *photos]):
        write_image(picture, tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_text("?")
    files = [tmp_path / f"{i}.png" for i in range(len(liked))]
    content = [tmp_path / "broken.png", *(tmp_path / f"{len(liked) + i}.png" for i in range(len(photos)))]
    taste = Taste("anna", (centre,), (1.0,), tuple(f"{i:064x}" for i in range(len(liked))))
    found, outcome = adapt_taste(taste, files, stylizer, content, steps=1, crop=CROP)
    (told,) = outcome.left_out
    assert "broken.png" in told
    assert b"broken" not in found.to_bytes()  # no name of a file goes with a style
    with pytest.raises(InputError, match="none of the 1 photos can be read"):
        adapt_taste(taste, files, stylizer, content[:1], steps=1, crop=CROP)


def test_of_a_scroll_the_middle_is_seen() -> None:
    scroll = np.zeros((1, 3, 20, 600), np.float32)
    scroll[..., 260:340] = 1
    assert held(scroll, 40).shape == (1, 3, 40, 160)
    assert held(scroll, 40).min() > 0.99
    assert held(scroll.transpose(0, 1, 3, 2), 10).shape == (1, 3, 40, 10)


def some_adapter(stylizer: Stylizer) -> Adapter:
    return Adapter(stylizer.card.model, {"generator.blocks.0.conv1.weight.up": np.full((16, 1), 0.1),
                                         "generator.blocks.0.conv1.weight.down": np.full((1, 144), 0.1)})  # fmt: skip


@pytest.mark.slow
def test_the_shipped_model_learns_a_taste_and_paints_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, photos: list[Picture]
) -> None:
    """The whole way of a user: learnt at once, adapted, painted by name."""
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "personal"))
    save_scenes(tmp_path / "liked", 5, 0)
    assert run("personal", "new", "anna", "--like", tmp_path / "liked").exit_code == 0
    result = run("personal", "adapt", "anna", "--steps", 3)
    assert result.exit_code == 0
    assert "3 steps" in result.stdout
    said = result.stderr.splitlines()  # no terminal
    assert said[0].startswith("adapting anna to 5 liked pictures in 3 steps")
    assert said[1:] == ["adapting (Ctrl-C keeps what stands)", "judging ..."]
    assert "kept" in result.stdout
    taste = Taste.load(tmp_path / "personal" / "anna" / "anna.sfumato")
    assert taste.scores["adapted"]["kept"] == taste.adapted
    assert Style.named("anna").adapter == taste.style.adapter


@pytest.mark.slow
def test_adapting_again_begins_with_the_instant_style_and_keeps_a_better_adapter(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_scenes(tmp_path / "liked", 4, 0)
    assert run("personal", "new", "anna", "--like", tmp_path / "liked").exit_code == 0
    figures = []
    for better in (True, False, True):
        said = (better, "it is better" if better else "it is worse; the instant style is kept")
        monkeypatch.setattr(adapting, "verdict", lambda instant, adapted, said=said: said)
        before = (store / "anna" / "anna.sfumato").read_bytes()
        result = run("personal", "adapt", "anna", "--steps", 1, "--json")
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        figures.append(told["figures"]["instant"])
        assert told["kept"] == better
        assert Taste.load(store / "anna" / "anna.sfumato").adapted
        if not better:
            assert told["why"] == "it is worse; the adaptation from before stays"
            assert (store / "anna" / "anna.sfumato").read_bytes() == before
    assert figures[0] == figures[1] == figures[2]


def test_pictures_that_are_held_back_are_not_painted_either(
    stylizer: Stylizer, centre: StyleCode, liked: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(*given, **options):
        seen.append(given)
        return train(*given, **options)

    monkeypatch.setattr(adapting, "train", watched)
    adapt(stylizer, [centre], [1.0], liked, steps=1, crop=CROP)
    ((_, _, _, learnt, _, scenes, *_),) = seen
    assert len(learnt) == 4
    assert {id(scene) for scene in scenes} <= {id(picture) for picture in learnt}


def test_a_picture_that_has_changed_or_gone_is_not_adapted_to(store: Path, tmp_path: Path) -> None:
    save_scenes(tmp_path / "liked", 4, 0)
    assert run("personal", "new", "anna", "--like", tmp_path / "liked").exit_code == 0
    write_image(scene(72, 96, 50), tmp_path / "liked" / "2.png")
    assert_one_sentence(run("personal", "adapt", "anna"), 3, "2.png has changed since it was added; put it back")
    (tmp_path / "liked" / "2.png").unlink()
    assert_one_sentence(run("personal", "adapt", "anna"), 3, "2.png is no longer there; put it back")


def test_photos_that_are_not_there_are_said_before_anything_is_made(store: Path, tmp_path: Path) -> None:
    save_scenes(tmp_path / "liked", 4, 0)
    given = ("personal", "new", "anna", "--like", tmp_path / "liked", "--adapt", "--content", tmp_path / "typo*")
    assert_one_sentence(run(*given), 3, "typo")
    assert not store.exists()


def test_a_recipe_takes_the_adapter_from_the_style_of_that_name(
    stylizer: Stylizer, centre: StyleCode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path))
    for name, factor in (("anna", 1), ("bert", 2)):
        adapter = {key: tensor * factor for key, tensor in some_adapter(stylizer).tensors().items()}
        taste = Taste(name, (centre,), (1.0,), ("0" * 64,), adapter=adapter)
        (tmp_path / name).mkdir()
        taste.save(tmp_path / name / f"{name}.sfumato")
    style, blend = Style.named("anna"), Style.blend({"anna": 3, "bert": 1})
    for each in (style, blend):
        again = Recipe.of(stylizer, [each]).rebuild(stylizer)[0]
        assert again == each
        assert again.adapter == each.adapter is not None
    (tmp_path / "anna" / "anna.sfumato").unlink()
    for each in (style, blend):
        with pytest.raises(ModelError, match="sfumato personal import"):
            Recipe.of(stylizer, [each]).rebuild(stylizer)


def test_mistakes_of_the_command_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "personal"))
    assert_one_sentence(run("personal", "adapt", "nobody"), 2, "no style 'nobody' was learnt")
    save_scenes(tmp_path / "liked", 1, 0)
    given = ("personal", "new", "anna", "--like", tmp_path / "liked", "--content", tmp_path / "liked")
    assert_one_sentence(run(*given), 2, "--content is what --adapt learns with")
    assert not (tmp_path / "personal").exists()
