from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from sfumato import checkpoint
from sfumato.cli import train as cli
from sfumato.errors import UsageError
from sfumato.networks.config import NoiseConfig
from sfumato.training import config as config_module
from sfumato.training.config import (
    COLLECTION_TERMS,
    MATCHING_TERMS,
    RECIPES,
    KindName,
    Phase,
    TrainConfig,
    check_processes,
    load_recipe,
)
from sfumato.training.loop import TASKS


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_ends_adversarial(name: Any) -> None:
    config = load_recipe(name)
    assert config.recipe == name
    assert config.phases[-1].adversarial
    for phase in config.phases:
        assert phase.crop % 8 == 0
        assert phase.steps > 0
        assert phase.batch >= 2  # the discriminator's wrong pairs are a neighbour's
        assert min(phase.thumbnails) >= 16
    assert config.checkpoint_every % config.log_every == 0  # what is not finite is noticed before it is saved


def test_phases_begin_and_end_at_their_steps() -> None:
    config = TrainConfig(phases=(Phase(steps=3, crop=64), Phase(steps=1, crop=96), Phase(steps=2, crop=128)))
    assert config.steps == 6
    assert [config.phase(step).crop for step in range(8)] == [64, 64, 64, 96, 128, 128, 128, 128]


def test_a_phase_s_spec_has_its_sizes() -> None:
    config = TrainConfig(phases=(Phase(steps=1, batch=3, crop=64, thumbnails=(48,), zoom_crops=2, magnification=5.0),))
    spec = config.spec(config.phases[0])
    assert (spec.batch, spec.crop, tuple(spec.thumbnails), spec.zoom_crops, spec.magnification) == (
        3,
        64,
        (48,),
        2,
        5.0,
    )
    assert spec.crops_per_photo == config.crops_per_photo


def test_overrides_reach_into_a_recipe() -> None:
    config = load_recipe("tiny", ["learning_rate=0.01", "weights.gram=2", "model.blocks=3", "mixed_precision=bf16"])
    assert (config.learning_rate, config.weights.gram, config.model.blocks) == (0.01, 2, 3)
    assert config.mixed_precision == "bf16"
    assert config.phases == load_recipe("tiny").phases


def test_alpha_is_set_like_any_key_and_the_run_keeps_the_weights() -> None:
    config, usual = load_recipe("tiny", ["weights.alpha=0.5"]), load_recipe("tiny")
    assert config.weights.content == pytest.approx(config.weights.statistics + config.weights.gram)
    assert config.weights.adversarial == usual.weights.adversarial
    saved = config.model_dump(mode="json")
    assert "alpha" not in saved["weights"]
    assert TrainConfig.parse(saved).weights.content == config.weights.content


@pytest.mark.parametrize(
    ("kind", "message"), [("matching", "no part"), ("noise", "no part"), ("collection", "above 0")]
)
def test_alpha_where_there_is_nothing_to_share_is_one_sentence(kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"alpha.*{message}"):
        load_recipe("tiny", ["weights.alpha=0.5"], kind)


def test_a_recipe_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\nphases = [{ steps = 5 }]\n")
    config = load_recipe(str(path))
    assert (config.seed, config.steps) == (7, 5)
    assert config.recipe == "mine.toml"  # and not where it lies: cards are published


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("huge", [], "tiny, laptop, flagship"),
        ("tiny", ["learning_rat=1"], "learning_rate"),
        ("tiny", ["weights.colour=1"], r"weights\.colour.*statistics"),
        ("tiny", ["seed=often"], "seed is wrong"),
        ("tiny", ["model.widths=[1000000, 8, 8]"], r"model\.widths\.0 is wrong"),
        ("tiny", ["model.blocks=1000000"], r"model\.blocks is wrong"),
        ("tiny", ["mixed_precision=int8"], "bf16"),
        ("tiny", ["content_target=0.9", "weights.content=0"], r"content_target needs weights\.content"),
        ("tiny", ["validation_pairs=1"], "validation_pairs must be 0 or at least 2"),
        ("tiny", ["content_target=0.9", "validation_pairs=0"], "content_target needs .*validation_pairs"),
        ("tiny", ["phases=[{crop=64}]"], "steps"),
        ("absent.toml", [], r"absent\.toml"),
    ],
)
def test_what_is_wrong_is_one_sentence(recipe: str, overrides: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(recipe, overrides)


@pytest.mark.parametrize(
    "override",
    [
        "phases=[]",
        "phases=[{steps=0}]",
        "phases=[{steps=1,batch=0}]",
        "phases=[{steps=1,crop=50}]",
        "phases=[{steps=1,thumbnails=[]}]",
        "phases=[{steps=1,thumbnails=[8]}]",
        "log_every=0",
        "checkpoint_every=0",
        "learning_rate=-1",
        "hold_out=0.9",
        "patience=-1",
        "content_target=-1",
        "controller_gain=0",
        "validation_side=16",
    ],
)
def test_numbers_that_no_run_can_have_are_refused_before_any_work(override: str) -> None:
    with pytest.raises(UsageError, match=override.partition("=")[0]):
        load_recipe("tiny", [override])


def test_validation_keeps_step_with_the_checkpoints_unless_told_otherwise() -> None:
    config = load_recipe("tiny")
    assert config.validation_interval == config.checkpoint_every == 10
    assert load_recipe("tiny", ["validate_every=7"]).validation_interval == 7


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_noise(name: Any) -> None:
    config = load_recipe(name, ["seed=3"], "noise")
    assert (config.kind, config.recipe, config.seed) == ("noise", name, 3)
    assert config.adversarial.gan_loss == "relativistic"
    assert config.adversarial.r1 > 0
    assert config.adversarial.r2 > 0
    assert config.adversarial.augment.p == 1
    assert config.monitor.actions == ("skip_batch",)  # its beginnings look like a collapse
    assert config.checkpoint_every % config.log_every == 0
    assert config.noise.generator == "features"
    assert config.adversarial.augment.colour == 0  # features have no colours


@pytest.mark.parametrize("side", [64, 128])
def test_the_usual_discriminator_of_pixels_sees_a_whole_picture(side: Any) -> None:
    config = NoiseConfig(generator="pixels", side=side, discriminator_scales=2 if side == 64 else 3)
    seen = 1  # pixels of the coarsest patch, and twice as many and 2 for each further halving, at its scale
    for _ in config.critic_widths:
        seen = 2 * seen + 2
    assert seen * 2 ** (config.discriminator_scales - 1) >= side


def test_a_file_s_kind_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('kind = "noise"\nphases = [{ steps = 3 }]\n')
    assert load_recipe(str(path)).kind == load_recipe(str(path), kind="noise").kind == "noise"
    with pytest.raises(UsageError, match="of the kind 'noise'; leave --kind out"):
        load_recipe(str(path), kind="arbitrary")
    with pytest.raises(UsageError, match="of the kind 'arbitrary'; leave --kind out"):
        load_recipe("tiny", ["kind=arbitrary"], "noise")


def test_kinds_are_the_same_everywhere() -> None:
    names = set(get_args(KindName))
    assert names == set(TASKS) == set(checkpoint._KINDS) == {kind.value for kind in cli.Kind} == set(cli.USE)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_hold_nothing_out_and_control_nothing_unasked(name: Any) -> None:
    config = load_recipe(name)
    assert config.validation_pairs > 0
    assert (config.hold_out, config.content_target) == (0, 0)
    # Patience must be able to run out in the last phase, and not in a moment of it.
    assert config.patience * config.validation_interval <= config.phases[-1].steps / 2
    assert config.patience == 0 or config.patience >= 5


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", get_args(KindName))
def test_a_recipe_names_every_weight_that_is_not_0(name: str, kind: str) -> None:
    weights = load_recipe(name, kind=kind).weights.model_dump()
    terms = {"collection": COLLECTION_TERMS, "matching": MATCHING_TERMS, "noise": ("adversarial", "energy")}.get(
        kind, weights
    )
    file = f"{name}.toml" if kind == "arbitrary" else f"{kind}-{name}.toml"
    written = tomllib.loads((Path(config_module.__file__).parent / "recipes" / file).read_text("utf-8"))["weights"]
    assert written.keys() <= set(terms)
    assert {term: weights[term] for term in terms if weights[term]} == {t: w for t, w in written.items() if w}


@pytest.mark.parametrize(
    ("kind", "override", "sentence"),
    [
        ("arbitrary", "phases=[{steps=2,batch=3,crop=32}]", "a batch of 3 cannot be divided evenly"),
        ("collection", "collection.normalization=batch", "needs the whole batch in one process"),
    ],
)
def test_what_two_processes_cannot_share(kind: KindName, override: str, sentence: str) -> None:
    config = load_recipe("tiny", [override], kind)
    check_processes(config, 1)
    with pytest.raises(UsageError, match=sentence):
        check_processes(config, 2)
