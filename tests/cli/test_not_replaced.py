"""What comes to stand at the place of a result while it is made is not replaced without --overwrite.

A link that leads nowhere is such a thing: the look before the work sees no file behind it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from sfumato.export.onnx import export_model
from sfumato.image import to_uint8
from sfumato.inference import Style
from sfumato.inference.style import PersonalStyle
from sfumato.networks.model import NoiseConfig, NoiseModel
from sfumato.personal.service import install
from support import assert_one_sentence, run, save_works, scene


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    torch.manual_seed(0)
    export_model(
        NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=12, widths=(8, 8, 8, 8, 8))),
        folder / "noise",
        "tiny-noise",
    )
    for name, seed in (("photo", 1), ("style", 2)):
        (folder / name).mkdir()
        Image.fromarray(to_uint8(scene(48, 64, seed))).save(folder / name / f"{name}.png")
    for name in ("one", "two"):
        (folder / name).mkdir()
        Image.fromarray(to_uint8(scene(48, 64, len(name)))).save(folder / name / "photo__style.png")
    painted = folder / "painted.png"
    run("stylize", folder / "photo" / "photo.png", "--style", "monet", "--quality", "draft", "-o", painted)
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.png", "stylize photo/photo.png --style monet --quality draft -o"),
        ("a.png", "finish photo/photo.png --warmth 0.2 -o"),
        ("a.png", "replay painted.png photo/photo.png -o"),
        ("a.png", "explain painted.png -o"),
        ("a.png", "imagine --model noise --count 1 -o"),
        ("a.png", "imagine --model noise --count 2 -o"),
        ("a.gif", "imagine --model noise --walk 2 -o"),
        ("a.safetensors", "styles export monet -o"),
        ("a.sfumato", "personal export anna -o"),
        ("a.html", "compare one=one two=two --content photo --style style --blind"),
    ],
)
def test_it_is_not_replaced(
    desk: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(desk)
    install(PersonalStyle("anna", (Style.named("monet").code,), (1.0,)), "anna")
    place = tmp_path / name
    place.symlink_to("nowhere")
    assert_one_sentence(run(*words.split(), place), 4, f"{place} already exists")
    assert os.readlink(place) == "nowhere"
    assert not os.path.exists(place)
    place.unlink()
    assert run(*words.split(), place).exit_code == 0
    assert place.is_file()


def test_the_first_question_replaces_nothing(store: Path, tmp_path: Path) -> None:
    save_works(tmp_path / "rough", 0, 3)
    assert run("personal", "new", "anna", "--like", tmp_path / "rough").exit_code == 0
    (tmp_path / "q.png").symlink_to("nowhere")
    assert_one_sentence(run("personal", "ask", "anna", "-o", tmp_path / "q.png"), 4, "already exists")
    assert os.readlink(tmp_path / "q.png") == "nowhere"
