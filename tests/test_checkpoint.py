from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sfumato.checkpoint import FORMAT, load_model, packed, save_model
from sfumato.errors import ModelError, UsageError
from sfumato.networks.model import (
    CollectionConfig,
    MatchingConfig,
    ModelConfig,
    NoiseConfig,
    NoiseModel,
    StyleTransferModel,
)

CONFIG = ModelConfig(widths=(8, 12, 16), blocks=1, texture_size=16, style_size=16)


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    """A model's file, and the weights in it."""
    torch.manual_seed(0)
    model = StyleTransferModel(CONFIG)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_model(path, model, {"step": "7", "recipe": "tiny"}, weights)
    return path, weights


def metadata(path: Path) -> Any:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_a_file_rebuilds_its_model(saved: Any) -> None:
    path, weights = saved
    model, about = load_model(path)
    assert model.config == CONFIG
    assert not model.training
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert (about["step"], about["recipe"], about["format"]) == ("7", "tiny", FORMAT)
    x = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(model(x, x, x), load_model(path)[0](x, x, x))


def test_the_weights_given_are_saved_and_not_the_model_s_own(saved: Any, tmp_path: Path) -> None:
    model, _ = load_model(saved[0])
    doubled = {name: 2 * tensor for name, tensor in model.state_dict().items()}
    save_model(tmp_path / "doubled.safetensors", model, {}, doubled)
    again, _ = load_model(tmp_path / "doubled.safetensors")
    assert all(torch.equal(tensor, doubled[name]) for name, tensor in again.state_dict().items())


def test_what_was_laid_out_for_speed_is_saved_all_the_same(saved: Any, tmp_path: Path) -> None:
    model = load_model(saved[0])[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path / "model.safetensors", model, {}, model.state_dict())
    assert all(
        torch.equal(t, saved[1][n]) for n, t in load_model(tmp_path / "model.safetensors")[0].state_dict().items()
    )


def test_nothing_is_left_beside_the_file_and_an_older_one_is_replaced(saved: Any) -> None:
    path, weights = saved
    model, _ = load_model(path)
    save_model(path, model, {"step": "8"}, weights)
    assert metadata(path)["step"] == "8"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_absent_cut_and_foreign_files_are_one_sentence_each(saved: Any, tmp_path: Path) -> None:
    path, weights = saved
    cut, text, foreign = (tmp_path / f"{name}.safetensors" for name in ("cut", "text", "foreign"))
    cut.write_bytes(path.read_bytes()[:-100])
    text.write_text("This is no model.")
    save_file(weights, foreign, {"format": "pt"})
    for wrong in (tmp_path / "absent.safetensors", cut, text, foreign):
        with pytest.raises(ModelError, match=wrong.name) as problem:
            load_model(wrong)
        assert "\n" not in str(problem.value)


def with_metadata(path: Path, **changes: Any) -> None:
    about = {k: v for k, v in {**metadata(path), **changes}.items() if v is not None}
    save_file({name: tensor.clone() for name, tensor in load_file(path).items()}, path, about)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "{",
        "[]",
        json.dumps({"widths": [8, 12]}),
        json.dumps({**CONFIG.model_dump(), "colour": "of a later version"}),
        json.dumps({**CONFIG.model_dump(), "blocks": 2}),
    ],
)
def test_a_config_that_is_absent_damaged_or_another_model_s_is_a_model_error(saved: Any, config: Any) -> None:
    path, _ = saved
    with_metadata(path, config=config)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (json.dumps({**CONFIG.model_dump(), "blocks": 1_000_000}), "blocks is wrong.*less than or equal to 64"),
        (json.dumps({**CONFIG.model_dump(), "widths": [8, 12, 10**6]}), r"widths\.2 is wrong"),
        (json.dumps({**CONFIG.model_dump(), "texture_size": 10**9}), "texture_size is wrong"),
        (json.dumps({**CONFIG.model_dump(), "discriminator_widths": [8] * 1000}), "discriminator_widths is wrong"),
        ("[" * 200_000, "cannot read the model"),
    ],
)
def test_a_config_that_asks_for_the_absurd_is_refused_at_once(saved: Any, config: Any, message: str) -> None:
    path, _ = saved
    with_metadata(path, config=config)
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_a_model_that_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="not a regular file"):
        load_model(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="not a regular file"):
        load_model(path)


@pytest.mark.parametrize("config", [ModelConfig, CollectionConfig, NoiseConfig, MatchingConfig])
def test_every_number_of_every_kind_of_model_is_bounded(config: Any) -> None:
    for name, field in config.model_fields.items():
        default = field.get_default()
        if isinstance(default, bool | str):
            continue
        for wrong in (0, 10**6):
            value = wrong if isinstance(default, int) else (wrong,) * len(default or range(5))
            with pytest.raises(UsageError, match=name):
                config(**{name: value})


def test_a_missing_or_misshapen_tensor_is_a_model_error(saved: Any) -> None:
    path, weights = saved
    about = metadata(path)
    name = "generator.paint.conv.bias"
    for changed in ({}, {name: torch.zeros(3)}):
        rest = {k: v for k, v in weights.items() if k != name}
        save_file({**rest, **changed}, path, about)
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            load_model(path)


def test_the_file_says_which_kind_of_model_it_holds(saved: Any, tmp_path: Path) -> None:
    model = NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=5, widths=(4, 4, 4, 4, 4)))
    path = tmp_path / "noise.safetensors"
    save_model(path, model, {}, model.state_dict())
    assert (metadata(saved[0])["kind"], metadata(path)["kind"]) == ("arbitrary", "noise")
    again, about = load_model(path)
    assert isinstance(again, NoiseModel)
    assert (again.config, about["kind"]) == (model.config, "noise")
    z = torch.randn(2, 5)
    with torch.no_grad():
        assert torch.equal(again(z), model(z))


def test_a_file_from_before_there_were_kinds_is_arbitrary(saved: Any, tmp_path: Path) -> None:
    path, weights = saved
    about = {key: value for key, value in metadata(path).items() if key != "kind"}
    save_file(weights, tmp_path / "older.safetensors", about)
    model, found = load_model(tmp_path / "older.safetensors")
    assert isinstance(model, StyleTransferModel)
    assert found["kind"] == "arbitrary"
    save_file(weights, tmp_path / "later.safetensors", {**about, "kind": "dream"})
    with pytest.raises(ModelError, match="'dream'"):
        load_model(tmp_path / "later.safetensors")


def test_equal_models_are_equal_files(saved: Any, tmp_path: Path) -> None:
    model, about = load_model(saved[0])
    for name in ("one", "two"):
        save_model(tmp_path / name, model, {"b": "ü", "a": '"', "z": "1", "m": "2"}, model.state_dict())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {**load_model(tmp_path / "one")[1]}.items() >= {"b": "ü", "a": '"', "z": "1"}.items()
    assert about["step"] == "7"


@pytest.mark.parametrize("in_bytes", [False, True])
def test_a_packed_state_is_small_and_nearly_the_same(saved: Any, tmp_path: Path, in_bytes: bool) -> None:
    model, _ = load_model(saved[0])
    stored = packed(model, in_bytes)
    kernels = [name for name, p in model.named_parameters() if p.ndim >= 2]
    assert {name for name, t in stored.items() if t.dtype == torch.int8} == (set(kernels) if in_bytes else set())
    save_model(tmp_path / "packed", model, {}, stored)
    assert (tmp_path / "packed").stat().st_size < 0.6 * saved[0].stat().st_size
    again = load_model(tmp_path / "packed")[0].state_dict()
    for name, tensor in model.state_dict().items():
        assert again[name].dtype == tensor.dtype
        assert (again[name] - tensor).abs().max() <= tensor.abs().max() * (1 / 250 if name in kernels else 1 / 1000)
    twice = packed(load_model(tmp_path / "packed")[0], in_bytes)
    assert all(torch.equal(t, stored[name]) for name, t in twice.items() if t.dtype == torch.int8)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_model_that_may_not_be_read_is_said_to_be_there(saved: Any) -> None:
    path, _ = saved
    path.chmod(0o600)
    os.chmod(path.parent, 0o755)
    real = os.geteuid()
    os.seteuid(12345)
    try:
        with pytest.raises(ModelError, match="Permission denied"):
            load_model(path)
    finally:
        os.seteuid(real)
