from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from sfumato.config import Config, apply_overrides, load_toml
from sfumato.errors import UsageError


class Loss(Config):
    style: float = Field(default=10.0, ge=0)
    content: float = 1.0


class Phase(Config):
    steps: int = Field(gt=0)
    crops: tuple[int, ...] = (128,)


class Recipe(Config):
    loss: Loss = Loss()
    phases: tuple[Phase, ...] = (Phase(steps=10),)
    warmup: Loss | None = None
    name: str = "tiny"


def test_values_are_typed_and_nested() -> None:
    recipe = Recipe.parse({"loss": {"style": 4}, "phases": [{"steps": 3, "crops": [64, 96]}]}, "tiny.toml")
    assert recipe == Recipe(loss=Loss(style=4.0), phases=(Phase(steps=3, crops=(64, 96)),))
    assert isinstance(recipe.loss.style, float)
    assert recipe.name == "tiny"


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().name = "other"
    assert hash(Loss()) == hash(Loss(style=10.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"losss": {}}, "unknown key losss (did you mean loss?); valid keys here: loss, phases, warmup, name"),
        ({"qqq": 1}, "unknown key qqq; valid keys here: loss, phases, warmup, name"),
        ({"loss": {"stile": 1}}, "unknown key loss.stile (did you mean style?); valid keys here: style, content"),
        ({"phases": [{"steps": 1, "x": 1}]}, "unknown key phases.0.x; valid keys here: steps, crops"),
        ({"warmup": {"y": 1}}, "unknown key warmup.y; valid keys here: style, content"),
        ({"phases": [{}]}, "the key phases.0.steps is missing"),
        ({"loss": {"style": -1}}, "loss.style is wrong: input should be greater than or equal to 0 (it is -1)"),
        ({"loss": {"style": "much"}}, "loss.style is wrong: input should be a valid number"),
        ({"loss": {"style": float("nan")}}, "loss.style is wrong: input should be"),
        ({"name": ["x" * 200]}, "..."),
        ({"a": 1, "b": 2, "c": 3}, "(and 2 more to correct)"),
    ],
)
def test_an_error_is_one_sentence_with_the_way_out(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.parse(values, "my.toml")
    text = str(caught.value)
    assert text.startswith("my.toml: ")
    assert message in text
    assert "\n" not in text
    assert len(text) < 250


def test_the_constructor_says_the_same() -> None:
    with pytest.raises(UsageError, match=r"^unknown key lss"):
        Recipe(lss=1)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"^unknown key loss\.stile") as caught:
        Recipe.parse({"loss": {"stile": 1}})
    assert caught.value.__cause__ is None


def test_toml_is_read(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "night"\n[loss]\nstyle = 3\n[[phases]]\nsteps = 5\n')
    assert Recipe.parse(load_toml(tmp_path / "r.toml")) == Recipe(
        name="night", loss=Loss(style=3), phases=(Phase(steps=5),)
    )


def test_toml_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the configuration .*No such file"):
        load_toml(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load_toml(tmp_path)
    (tmp_path / "bad.toml").write_text("a = 1\nb = = 2\n")
    with pytest.raises(UsageError, match=r"bad\.toml is not valid TOML: .*line 2"):
        load_toml(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_toml(tmp_path / "bytes.toml")


def test_toml_from_strangers_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(f"a = {'[' * 100_000}")
    (tmp_path / "long.toml").write_text(f"a = {'9' * 9_000}")
    os.mkfifo(tmp_path / "pipe.toml")
    with open(tmp_path / "huge.toml", "wb") as file:
        file.truncate(60_000_000_000)
    wrong = {
        "deep": "nested too deeply",
        "long": "not valid TOML",
        "pipe": "not a regular file",
        "huge": "more than 1 MB",
    }
    for name, message in wrong.items():
        with pytest.raises(UsageError, match=message) as caught:
            load_toml(tmp_path / f"{name}.toml")
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"^unknown key \\nx+\.\.\.; valid") as caught:
        Recipe.parse({"\n" + "x" * 100_000: 1})
    assert len(str(caught.value)) < 400
    deep, long = "[" * 100_000, "9" * 9_000
    assert apply_overrides({}, [f"a={deep}", f"b={long}"]) == {
        "a": deep,
        "b": long,
    }  # plain text, for `Config` to refuse


def test_overrides_are_toml_and_go_deep() -> None:
    given = {"loss": {"style": 1}, "seed": 0}
    made = apply_overrides(
        given, ["loss.style=2.5", "new.deep.key=true", "crops = [64, 96]", "seed=3", "seed=4", "name=night", 'q="a=b"']
    )
    assert made == {
        "loss": {"style": 2.5},
        "new": {"deep": {"key": True}},
        "crops": [64, 96],
        "seed": 4,
        "name": "night",
        "q": "a=b",
    }
    assert given == {"loss": {"style": 1}, "seed": 0}


def test_one_override_sets_one_key() -> None:
    assert apply_overrides({}, ["a=1\nb=2"]) == {"a": "1\nb=2"}


@pytest.mark.parametrize("override", ["loss.style", "=3", "loss.=3", ".style=3", ""])
def test_an_override_needs_key_and_value(override: str) -> None:
    with pytest.raises(UsageError, match="must be KEY=VALUE"):
        apply_overrides({}, [override])


def test_a_value_has_no_keys_below_it() -> None:
    with pytest.raises(UsageError, match=r"cannot set seed\.x: seed is a value, not a table"):
        apply_overrides({"seed": 1}, ["seed.x=3"])


def test_a_wrong_override_meets_the_types() -> None:
    with pytest.raises(UsageError, match=r"loss\.style is wrong"):
        Recipe.parse(apply_overrides({}, ["loss.style=1e-"]))
