from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.assets import weights_dir
from sfumato.errors import InputError, ModelError, UsageError
from sfumato.export.onnx import export_model
from sfumato.inference.imagine import Imagined, Imaginer, slerp, truncate
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import FeatureNoiseModel, NoiseModel
from sfumato.training.noise_features import decoder_digest, load_decoder
from support import FLOAT32, NETWORK32, SUM32


def draw(*shape: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny bundle, and its torch model with the weights that it stores."""
    torch.manual_seed(0)
    model = NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=12, widths=(8, 8, 8, 8, 8)))
    folder = tmp_path_factory.mktemp("models") / "noise"
    export_model(model, folder, "tiny-noise")
    return folder, model


@pytest.fixture(scope="module")
def imagine(made: Any) -> Imaginer:
    return Imaginer(made[0], threads=1)


def test_truncation_pulls_towards_the_mean() -> None:
    z = draw(6, 100)
    assert np.array_equal(truncate(z, 1.0), z)
    assert np.array_equal(truncate(z, 0.25), z / 4)
    assert not truncate(z, 0.0).any()
    assert truncate(z, 0.3).dtype == np.float32
    for psi in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="truncation"):
            truncate(z, psi)


def test_a_walk_goes_from_end_to_end_in_equal_steps_on_the_sphere() -> None:
    z0, z1 = draw(3, 100), draw(3, 100, seed=1)
    z1 *= np.linalg.norm(z0, axis=1, keepdims=True) / np.linalg.norm(z1, axis=1, keepdims=True)
    way = slerp(z0, z1, 9)
    assert way.shape == (9, 3, 100)
    assert way.dtype == np.float32
    assert np.allclose(way[0], z0, atol=FLOAT32)
    assert np.allclose(way[-1], z1, atol=FLOAT32)
    length = np.linalg.norm(z0, axis=1)
    assert np.allclose(np.linalg.norm(way, axis=2), length, rtol=SUM32)
    steps = np.linalg.norm(np.diff(way, axis=0), axis=2)
    assert np.allclose(steps, steps[:1], rtol=NETWORK32)
    assert (np.linalg.norm((z0 + z1) / 2, axis=1) < 0.85 * length).all()  # what a straight line would pass


def test_a_walk_is_slerp_s_formula() -> None:
    a, b = draw(10).astype(float), 2 * draw(10, seed=1).astype(float)
    angle = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    expected = [(np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle) for t in np.linspace(0, 1, 5)]
    assert np.allclose(slerp(a, b, 5), expected)


def test_walks_between_parallel_and_opposite_ends_and_from_nowhere_are_straight() -> None:
    z = draw(1, 10)
    assert np.allclose(slerp(z, z, 3), z, atol=FLOAT32)
    assert np.allclose(slerp(z, 3 * z, 3)[1], 2 * z, atol=SUM32)
    opposite = slerp(z, -z, 5)
    assert np.isfinite(opposite).all()
    assert np.abs(opposite[2]).max() < 1e-5
    assert np.array_equal(opposite[4], -z)
    assert np.allclose(slerp(0 * z, z, 3), [0 * z, z / 2, z])
    mixed = slerp(np.concatenate([z, z]), np.concatenate([z, draw(1, 10, seed=1)]), 3)  # each way by itself
    assert np.allclose(mixed[:, 1:], slerp(z, draw(1, 10, seed=1), 3))


def test_a_walk_has_two_ends() -> None:
    with pytest.raises(UsageError, match="must be at least 2"):
        slerp(draw(4), draw(4), 1)


def test_z_is_normal_and_keyed_by_seed_and_index(imagine: Imaginer) -> None:
    many = np.stack([imagine.z(0, i) for i in range(400)])
    assert many.shape == (400, 12)
    assert many.dtype == np.float32
    assert abs(many.mean()) < 0.05
    assert many.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.corrcoef(many.T) - np.eye(12)).max() < 0.25
    assert np.array_equal(imagine.z(0, 7), many[7])
    assert not np.array_equal(imagine.z(1, 7), many[7])
    assert np.array_equal(imagine.z(0, 7, 0.5), many[7] / 2)


def test_pictures_are_those_of_the_torch_model(made: Any, imagine: Imaginer) -> None:
    z = imagine.z(0, 0)
    picture = imagine(z)
    assert picture.shape == (1, 3, 64, 64)
    assert picture.dtype == np.float32
    with torch.no_grad():
        expected = made[1](torch.from_numpy(z)[None]).numpy()
    assert np.abs(picture - expected).max() < 1e-4
    assert np.array_equal(picture, imagine(z))
    assert np.abs(picture - imagine(imagine.z(0, 1))).mean() > 0.005


def test_a_walk_visits_every_station_and_never_jumps(imagine: Imaginer) -> None:
    stations = [imagine.z(0, i) for i in range(3)]
    frames = list(imagine.walk(stations, 4))
    assert len(frames) == 12
    for i, z in enumerate(stations):
        assert np.array_equal(frames[4 * i], imagine(z))
    fine = list(imagine.walk(stations, 32))
    largest = [max(np.abs(a - b).mean() for a, b in zip(f, [*f[1:], f[0]], strict=True)) for f in (frames, fine)]
    assert 0 < largest[1] < largest[0] / 4  # in eight times as many steps, the way back among them


@pytest.fixture(scope="module")
def of_features(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny bundle of a generator of features, and its torch model with the weights that it stores."""
    torch.manual_seed(0)
    config = NoiseConfig(side=64, z_size=12, components=8, widths=(8,), discriminator_widths=(8, 8, 8))
    model = FeatureNoiseModel(config)
    model.generator.fit(2 * torch.randn(20, 8, 16, 16))
    model.decoder_digest.copy_(torch.tensor(list(bytes.fromhex(decoder_digest())), dtype=torch.float32))
    folder = tmp_path_factory.mktemp("models") / "features"
    export_model(model, folder, "tiny-features")
    return folder, model


def test_features_are_painted_by_the_decoder(of_features: Any) -> None:
    imagine = Imaginer(of_features[0], threads=1)
    z = imagine.z(0, 0)
    picture = imagine(z)
    assert picture.shape == (1, 3, 64, 64)
    assert 0 <= picture.min() < picture.max() <= 1
    with torch.no_grad():
        expected = load_decoder().paint(of_features[1](torch.from_numpy(z)[None])).clamp(0, 1).numpy()
    # The decoder's graph computes in 8-bit integers; its card allows a mean change of 1/255.
    assert np.abs(picture - expected).mean() < 2 / 255
    assert np.array_equal(picture, imagine(z))
    assert np.abs(picture - imagine(imagine.z(0, 1))).mean() > 0.005


def test_a_bundle_without_a_decoder_shares_the_shipped_one_if_it_is_the_same(of_features: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(of_features[0], tmp_path / "model")
    (folder / "decoder.onnx").unlink()
    shared, whole = Imaginer(folder, threads=1), Imaginer(of_features[0], threads=1)
    z = whole.z(0, 0)
    assert np.array_equal(shared(z), whole(z))
    assert shared.recipe(0, 1.0, 0) == whole.recipe(0, 1.0, 0)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["decoder.onnx"] = "0" * 64
    (folder / "card.json").write_text(json.dumps(card))
    assert Imaginer(folder).digest != whole.digest  # other pictures, so another recipe
    with pytest.raises(ModelError, match=r"decoder\.onnx"):
        Imaginer(folder)(z)
    (folder / "card.json").write_text(json.dumps({**card, "generator": "sounds"}))
    with pytest.raises(ModelError, match="'generator' is wrong"):
        Imaginer(folder)


def test_without_a_shipped_model_one_has_to_be_named() -> None:
    if (weights_dir() / ".." / "noise").exists():
        assert Imaginer().side >= 64
    else:
        with pytest.raises(UsageError, match="no model of the kind noise ships"):
            Imaginer()


def test_z_of_another_length_is_refused(imagine: Imaginer) -> None:
    with pytest.raises(UsageError, match=r"\(12,\), but it has \(13,\)"):
        imagine(np.zeros(13, np.float32))


def test_a_recipe_survives_its_file_and_a_damaged_one_is_one_sentence(imagine: Imaginer) -> None:
    recipe = imagine.recipe(seed=3, truncation=0.5, index=2, count=4, walk=6)
    found = json.loads(json.dumps(recipe.to_json()))
    assert Imagined.from_json(found, "x.png") == recipe
    assert recipe.command.endswith("--seed 3 --index 2 --count 4 --truncation 0.5 --walk 6 -o OUT")
    for wrong in ({"seed": "3"}, {"truncation": 2.0}, {"truncation": "much"}, {"index": -1}, {"model": 1}, {"new": 1}):
        with pytest.raises(InputError, match=r"x\.png"):
            Imagined.from_json({**found, **wrong}, "x.png")
    with pytest.raises(InputError, match=r"x\.png"):
        Imagined.from_json({"kind": "noise"}, "x.png")


def test_what_is_no_model_of_noise_is_one_sentence(made: Any, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'arbitrary'.*--kind noise"):
        Imaginer(bundle)
    with pytest.raises(ModelError, match="not an exported model"):
        Imaginer(tmp_path)
    folder = shutil.copytree(made[0], tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    for wrong, message in (
        ({"z_size": "12"}, "z_size"),
        ({"files": {}}, "no hash of generator"),
        ({"kind": "dream"}, "'dream'"),
    ):
        (folder / "card.json").write_text(json.dumps({**card, **wrong}))
        with pytest.raises(ModelError, match=message):
            Imaginer(folder)
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "generator.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="damaged"):
        Imaginer(folder)(np.zeros(12, np.float32))
