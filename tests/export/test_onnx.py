from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from sfumato import __version__
from sfumato.assets import weights_dir
from sfumato.checkpoint import load_model, save_model
from sfumato.data.batches import STYLE_THUMBNAIL
from sfumato.errors import ModelError, UsageError
from sfumato.export.bundle import PARITY_SIZES
from sfumato.export.onnx import export_model, export_run
from sfumato.export.parity import TOLERANCE
from sfumato.inference import Style, Stylizer
from sfumato.networks.model import (
    CollectionConfig,
    CollectionModel,
    FeatureNoiseModel,
    ModelConfig,
    NoiseConfig,
    NoiseModel,
    StyleTransferModel,
    build_discriminator,
)
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.training.noise_features import decoder_digest
from support import save_run, scene

GRAPHS = ("style_encoder", "statistics", "generator")
ORIGIN = np.array([16, 400])


def new_model(seed: int = 0) -> Any:
    """A tiny model whose painting is about as strong as its recolouring (it starts weaker)."""
    torch.manual_seed(seed)
    config = ModelConfig(widths=(8, 12, 16), blocks=1, texture_size=16, style_size=16)
    model = StyleTransferModel(config)
    with torch.no_grad():
        model.generator.paint.conv.weight.mul_(3)
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle, its torch model (rounded to 16 bits by the export), and the parity that was found."""
    folder, model = tmp_path_factory.mktemp("models") / "bundle", new_model()
    parity = export_model(model, folder, "tiny", {"training": {"steps": "0"}, "data": {"photos": 4}})
    return folder, model, parity


@pytest.fixture(scope="module")
def sessions(exported: Any) -> Any:
    return {name: onnxruntime.InferenceSession(exported[0] / f"{name}.onnx") for name in GRAPHS}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A run's folder with two checkpoints of different models."""
    for step, seed in ((3, 1), (12, 2)):
        folder = tmp_path / "run" / "checkpoints" / f"{step:08d}"
        folder.mkdir(parents=True)
        model = new_model(seed)
        save_model(folder / "model.safetensors", model, {"step": str(step), "recipe": "tiny"}, model.state_dict())
    return tmp_path / "run"


@pytest.mark.parametrize("size", [*PARITY_SIZES, (16, 200), (33, 50), (161, 97), (256, 256)])
def test_graphs_agree_with_torch_at_any_size(exported: Any, sessions: Any, size: Any) -> None:
    _, model, _ = exported
    picture, style = scene(*size), scene(60, 44, seed=1)
    with torch.no_grad():
        code = model.style_encoder(torch.from_numpy(style))
        own = model.style_encoder(torch.from_numpy(picture))
        norm_params = model.generator.measure(torch.from_numpy(picture), code)
        painted = model.generator(torch.from_numpy(picture), norm_params, torch.from_numpy(ORIGIN)).clamp(0, 1).numpy()
    got_code = sessions["style_encoder"].run(None, {"picture": picture})[0]
    assert np.abs(got_code - own.numpy()).max() <= TOLERANCE * max(1, float(own.abs().max()))
    got_norm_params = sessions["statistics"].run(None, {"thumbnail": picture, "code": code.numpy()})[0]
    assert np.abs(got_norm_params - norm_params.numpy()).max() <= TOLERANCE * max(1, float(norm_params.abs().max()))
    got = sessions["generator"].run(None, {"picture": picture, "norm_params": norm_params.numpy(), "origin": ORIGIN})[0]
    assert got.shape == picture.shape
    assert np.abs(got - painted).max() <= TOLERANCE
    assert 0 <= got.min() < got.max() <= 1


def test_the_chain_of_graphs_is_the_model(exported: Any) -> None:
    folder, model, _ = exported
    photo, style = scene(75, 101), scene(60, 44, seed=1)
    stylizer = Stylizer(folder)
    got = stylizer(photo, Style.from_image(style, "waves", stylizer), 0.7)
    with torch.no_grad():  # both are smaller than a thumbnail, and so are their own
        want = model(*(torch.from_numpy(x) for x in (photo, photo, style)), 0.7).numpy()
    assert np.abs(got - want).max() < 2e-3
    assert np.abs(got - photo).mean() > 0.02


def test_the_style_encoder_says_where_things_are(exported: Any, sessions: Any) -> None:
    _, model, _ = exported
    for size in ((48, 60), (75, 93)):
        picture = scene(*size)
        code, features, channel_stats = sessions["style_encoder"].run(None, {"picture": picture})
        with torch.no_grad():
            want = model.style_encoder.encode_full(torch.from_numpy(picture))
        assert features.shape == (1, 256, size[0] // 4, size[1] // 4)
        assert np.abs(channel_stats - want[2].numpy()).max() <= TOLERANCE * float(want[2].abs().max())
        assert np.abs(features - want[1].numpy()).max() <= TOLERANCE * float(want[1].abs().max())
        assert np.array_equal(code, sessions["style_encoder"].run(["code"], {"picture": picture})[0])


def test_a_run_s_discriminator_is_exported_with_its_model(tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = new_model(2)
    discriminator = build_discriminator(model.config, model.code_size)
    with torch.no_grad():  # so that it is no function of its first weights only
        discriminator(torch.rand(2, 3, 64, 64), torch.rand(2, model.code_size))
    save_run(tmp_path / "run", model, discriminator)
    export_run(tmp_path / "run", tmp_path / "bundle")
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    assert set(card["files"]) == {*(f"{name}.onnx" for name in GRAPHS), "discriminator.onnx", "model.safetensors"}
    assert card["parity"]["discriminator"] <= TOLERANCE

    stylizer, picture = Stylizer(tmp_path / "bundle"), scene(64, 96)
    code = stylizer.encode(scene(60, 44, seed=1))
    with torch.no_grad():
        fine, coarse = discriminator.eval()(torch.from_numpy(picture), torch.tensor(code.vector[None]))
        coarse = torch.nn.functional.interpolate(coarse, fine.shape[2:], mode="bilinear")
    logits = stylizer.discriminator_logits(picture, code)
    assert logits.shape == (8, 12)
    assert np.abs(logits - ((fine + coarse) / 2)[0, 0].numpy()).max() < 0.02  # its weights were rounded


@pytest.mark.slow
def test_a_discriminator_does_not_change_the_digest_of_what_paints(tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = new_model(2)
    checkpoint = save_run(tmp_path / "run", model, build_discriminator(model.config, model.code_size))
    export_run(tmp_path / "run", tmp_path / "bundle")
    (checkpoint / "state.safetensors").unlink()
    export_run(tmp_path / "run", tmp_path / "alone")
    assert Stylizer(tmp_path / "alone").card.digest == Stylizer(tmp_path / "bundle").card.digest


def test_a_bundle_without_a_discriminator_says_so(exported: Any) -> None:
    stylizer = Stylizer(exported[0])
    with pytest.raises(ModelError, match="has no discriminator"):
        stylizer.discriminator_logits(scene(64, 64), stylizer.encode(scene(64, 64)))


def test_a_damaged_state_is_a_model_error(run: Any, tmp_path: Path) -> None:
    newest = run / "checkpoints" / "00000012"
    (newest / "state.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(ModelError, match="cannot read the discriminator"):
        export_run(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_parity_is_reported_by_graph(exported: Any) -> None:
    _, _, parity = exported
    assert parity.keys() == set(GRAPHS)
    assert all(0 <= difference <= TOLERANCE for difference in parity.values())
    assert parity["generator"] > 0  # two programs, two orders of adding up


def test_the_card_describes_the_bundle(exported: Any) -> None:
    folder, model, parity = exported
    card = json.loads((folder / "card.json").read_text())
    names = {*(f"{name}.onnx" for name in GRAPHS), "model.safetensors"}
    assert {p.name for p in folder.iterdir()} == {"card.json", *names}
    assert card["files"] == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    assert (card["model"], card["version"], card["thumbnail"]) == ("tiny", __version__, STYLE_THUMBNAIL)
    assert card["code_size"] == model.code_size
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert card["parity"] == parity
    assert ModelConfig.parse(card["config"]) == model.config
    assert (card["training"], card["data"]) == ({"steps": "0"}, {"photos": 4})
    statistics = onnxruntime.InferenceSession(folder / "statistics.onnx")
    norm_params = statistics.run(
        None, {"thumbnail": scene(32, 32), "code": np.zeros((1, model.code_size), np.float32)}
    )[0]
    assert norm_params.shape == (1, card["norm_params"])


def test_weights_are_stored_in_sixteen_bits_and_computed_with_in_thirty_two(exported: Any, sessions: Any) -> None:
    folder, model, _ = exported
    large = 0
    for name in GRAPHS:
        proto = onnx.load(folder / f"{name}.onnx")
        for tensor in proto.graph.initializer:
            if np.prod(tensor.dims) >= 256:
                assert tensor.data_type != TensorProto.FLOAT, tensor.name
                large += int(np.prod(tensor.dims))
        ends = [end for end in (*sessions[name].get_inputs(), *sessions[name].get_outputs()) if end.name != "origin"]
        assert all(end.type == "tensor(float)" for end in ends)
    assert large > 0.5 * sum(p.numel() for p in model.parameters())
    assert all(torch.equal(p, p.half().float()) for p in model.parameters())


def test_weights_are_stored_once_and_torch_reads_them_too(exported: Any) -> None:
    folder, model, _ = exported
    found, about = load_model(folder / "model.safetensors")
    assert set(about) == {"format", "kind", "config"}  # the card has the rest: equal weights are equal files
    assert all(torch.equal(t, found.state_dict()[name]) for name, t in model.state_dict().items())
    inside, outside = 0, 0
    for name in GRAPHS:
        for tensor in onnx.load(folder / f"{name}.onnx", load_external_data=False).graph.initializer:
            apart = tensor.data_location == TensorProto.EXTERNAL
            size = int(np.prod(tensor.dims))
            outside += size * apart
            inside += size * (not apart and size >= 256)
    noise = sum(table.numel() for table in model.generator.noise.buffers())
    assert inside < 2 * noise + 15_000  # two graphs have the field of noise, which nobody learnt
    assert outside > sum(p.numel() for p in model.style_encoder.trunk.parameters() if p.numel() > 2000)
    stored = (folder / "model.safetensors").stat().st_size
    assert stored < 2.2 * sum(p.numel() for p in model.parameters()) + 40_000


def test_damaged_weights_are_found_before_anything_is_painted(exported: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(exported[0], tmp_path / "bundle")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        Stylizer(folder).encode(scene(32, 32))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*model\.safetensors"):
        Stylizer(folder).encode(scene(32, 32))


@pytest.mark.slow  # the next two say as much, of a folder that was there and of another reason
def test_graphs_that_differ_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"differ from torch by.*generator.*nothing was written"):
        export_model(new_model(), tmp_path / "bundle", "tiny", tolerance=0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_bundle_that_was_there(exported: Any, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported[0], tmp_path / "bundle")
    before = {p.name: p.read_bytes() for p in bundle.iterdir()}
    with pytest.raises(ModelError):
        export_model(new_model(3), bundle, "other", tolerance=0.0)
    assert {p.name: p.read_bytes() for p in bundle.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_model_that_paints_nan_is_not_kept(tmp_path: Path) -> None:
    model = new_model()
    with torch.no_grad():
        model.generator.paint.conv.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="nothing was written"):
        export_model(model, tmp_path / "bundle", "broken")
    assert list(tmp_path.iterdir()) == []


def test_a_run_s_newest_checkpoint_is_exported_under_the_name_of_its_hash(run: Any, tmp_path: Path) -> None:
    export_run(run, tmp_path / "bundle")
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    newest = run / "checkpoints" / "00000012" / "model.safetensors"
    assert card["model"] == f"sfumato-{hashlib.sha256(newest.read_bytes()).hexdigest()[:12]}"
    assert (card["training"]["step"], card["training"]["recipe"]) == ("12", "tiny")
    model, picture = new_model(2), scene(40, 40)
    with torch.no_grad():
        code = model.style_encoder(torch.from_numpy(picture)).numpy()
    assert np.abs(Stylizer(tmp_path / "bundle").encode(picture).vector - code).max() < 0.02  # weights were rounded


def test_one_file_can_be_exported_and_named(tmp_path: Path) -> None:
    model = new_noise_model()  # whose export is quick
    save_model(tmp_path / "model.safetensors", model, {"step": "3", "recipe": "tiny"}, model.state_dict())
    export_run(tmp_path / "model.safetensors", tmp_path / "bundle", "mine")
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    assert (card["model"], card["training"]["step"]) == ("mine", "3")


def test_a_damaged_absent_or_missing_checkpoint_is_a_model_error_and_makes_nothing(run: Any, tmp_path: Path) -> None:
    newest = run / "checkpoints" / "00000012" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    for source in (run, newest, tmp_path / "nowhere", run / "checkpoints" / "00000003"):
        with pytest.raises(ModelError):
            export_run(source, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def new_noise_model(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=7, widths=(8, 8, 8, 8, 8))).eval()


def test_a_model_of_noise_is_exported_from_its_run_and_agrees_with_torch(tmp_path: Path) -> None:
    model = new_noise_model()
    folder = tmp_path / "run" / "checkpoints" / "00000003"
    folder.mkdir(parents=True)
    save_model(folder / "model.safetensors", model, {"step": "3", "recipe": "tiny"}, model.state_dict())
    parity = export_run(tmp_path / "run", tmp_path / "bundle")
    assert parity["generator"] <= TOLERANCE
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    assert (card["kind"], card["z_size"], card["side"], card["parity"]) == ("noise", 7, 64, parity)
    assert card["training"]["step"] == "3"
    assert "kind" not in card["training"]
    graph = (tmp_path / "bundle" / "generator.onnx").read_bytes()
    assert card["files"] == {"generator.onnx": hashlib.sha256(graph).hexdigest()}
    session = onnxruntime.InferenceSession(graph)
    with torch.no_grad():
        for parameter in model.parameters():  # stored so
            parameter.copy_(parameter.half().float())
    for batch in (1, 3, 8):
        z = torch.randn(batch, 7)
        with torch.no_grad():
            expected = model(z).numpy()
        (got,) = session.run(None, {"z": z.numpy()})
        assert got.shape == (batch, 3, 64, 64)
        assert np.abs(got - expected).max() <= TOLERANCE


def feature_model(decoder: str) -> Any:
    torch.manual_seed(0)
    config = NoiseConfig(side=64, z_size=7, components=5, widths=(8,), discriminator_widths=(8, 8, 8))
    model = FeatureNoiseModel(config).eval()
    model.decoder_digest.copy_(torch.tensor(list(bytes.fromhex(decoder)), dtype=torch.float32))
    return model


def test_a_model_of_features_is_exported_with_the_shipped_decoder(tmp_path: Path) -> None:
    model = feature_model(decoder_digest())
    parity = export_model(model, tmp_path / "bundle", "features")
    card = json.loads((tmp_path / "bundle" / "card.json").read_text())
    assert (card["kind"], card["generator"], card["side"]) == ("noise", "features", 64)
    assert list(card["parity"]) == ["generator"]
    assert parity["generator"] <= TOLERANCE
    assert card["files"].keys() == {"generator.onnx", "decoder.onnx"}
    shipped = json.loads((weights_dir("matching") / "card.json").read_text())
    assert card["files"]["decoder.onnx"] == shipped["files"]["decoder.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "bundle" / "generator.onnx")
    z = torch.randn(3, 7)
    with torch.no_grad():
        expected = model(z).numpy()  # its weights are rounded as the bundle stores them
    assert np.abs(session.run(None, {"z": z.numpy()})[0] - expected).max() <= TOLERANCE


def test_a_model_of_another_decoder_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="features was trained with another decoder"):
        export_model(feature_model("0" * 64), tmp_path / "bundle", "features")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_noise_whose_graph_differs_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="differ from torch"):
        export_model(new_noise_model(), tmp_path / "bundle", "x", tolerance=-1.0)
    assert list(tmp_path.iterdir()) == []


def test_cards_say_their_kind(exported: Any) -> None:
    assert json.loads((exported[0] / "card.json").read_text())["kind"] == "arbitrary"


# The usual sort, a conditional one of patches, is tested above.
@pytest.mark.parametrize(
    ("kind", "conditional"),
    [
        ("projected", False),
        pytest.param("projected", True, marks=pytest.mark.slow),
        pytest.param("patch", False, marks=pytest.mark.slow),
        pytest.param("patch", True, marks=pytest.mark.slow),
    ],
)
def test_discriminators_of_all_sorts_are_exported_with_their_model(
    tmp_path: Path, kind: str, conditional: bool
) -> None:
    config = new_model(2).config
    shapes = {"discriminator": kind, "discriminator_conditional": conditional}
    torch.manual_seed(0)
    model = StyleTransferModel(config.model_copy(update=shapes))
    model.style_encoder.load_vgg_weights(VGG19(load_vgg19_weights(), ("relu3_1",)))
    discriminator = build_discriminator(model.config, model.code_size, model.style_encoder.as_vgg())
    save_run(tmp_path / "run", model, discriminator)
    assert export_run(tmp_path / "run", tmp_path / "bundle")["discriminator"] <= TOLERANCE
    stylizer, picture = Stylizer(tmp_path / "bundle"), scene(64, 96)
    one, other = (stylizer.encode(scene(60, 44, seed)) for seed in (1, 2))
    fine, coarse = discriminator.eval()(
        torch.from_numpy(picture), torch.tensor(one.vector[None]) if conditional else None
    )
    coarse = torch.nn.functional.interpolate(coarse, fine.shape[2:], mode="bilinear")
    expected = ((fine + coarse) / 2)[0, 0].detach().numpy()
    assert np.abs(stylizer.discriminator_logits(picture, one) - expected).max() < 0.02  # its weights were rounded
    assert np.allclose(stylizer.discriminator_logits(picture, one), stylizer.discriminator_logits(picture, other)) == (
        not conditional
    )
    if kind == "projected":  # VGG19 is there once, for the style encoder and the discriminator
        assert (tmp_path / "bundle" / "discriminator.onnx").stat().st_size < 600_000


def test_a_collection_s_discriminator_that_reads_vgg_stays_behind(tmp_path: Path) -> None:
    model = CollectionModel(CollectionConfig(widths=(8, 8, 8), blocks=1, discriminator="projected"))
    save_run(tmp_path / "run", model, torch.nn.Linear(2, 2))
    export_run(tmp_path / "run", tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "discriminator.onnx").exists()
