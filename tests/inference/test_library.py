"""Where a person's own styles are looked for, and what goes without such a place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import OutputError, UsageError
from sfumato.image import write_image
from sfumato.inference import Style, Stylizer, library
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe
from support import assert_one_sentence, run


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no home folder, for a user whom the system does not know."""
    for variable in ("HOME", "XDG_DATA_HOME", "APPDATA", library.OWN, library.PERSONAL):
        monkeypatch.delenv(variable, raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_built_in_styles_paint_and_own_ones_cannot_be_written(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((32, 24)).convert("RGB").save(photo)
    out = tmp_path / "out.png"
    for words in (
        ["stylize", photo, "--style", "monet", "--quality", "draft", "-o", out],
        ["show", out],
        ["styles"],
        ["styles", "show", "monet"],
        ["personal", "list"],
        ["doctor"],
    ):
        result = run(*words)
        assert result.exit_code == 0, (words, result.stderr)
    for words in (["styles", "add", "mine", photo], ["personal", "new", "anna", "--like", photo]):
        result = run(*words)
        assert result.exit_code == 4, (words, result.stderr)
        assert "there is no home folder to store styles in; set SFUMATO_STYLES" in result.stderr
        assert "Traceback" not in result.stderr
    for words in (["stylize", photo, "--style", "mine", "-o", tmp_path / "no.png"], ["personal", "show", "anna"]):
        assert run(*words).exit_code == 2
    assert_one_sentence(run("personal", "delete", "anna", "--yes"), 2, "no style 'anna' was learnt")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_user_without_a_name_or_a_home_has_the_built_in_styles() -> None:
    code = (
        "import os\nfrom sfumato.inference.library import has_style, style_names, style_path\n"
        "os.setgid(12345); os.setuid(12345)\n"
        "print(style_names()[0], has_style('mine'), style_path('monet').name)"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_DATA_HOME", library.OWN, library.PERSONAL)}
    ran = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[1:] == ["False", "monet.safetensors"]


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(library.OWN, raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    with pytest.raises(OutputError, match="there is no home folder"):
        library.own_folder()  # and not /.local/share


def test_python_reads_the_home_folder_only_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", library.OWN, library.PERSONAL):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("APPDATA", str(tmp_path))
    Style.named("monet").save(library.own_folder() / "mine.safetensors")
    assert library.own_folder().is_relative_to(tmp_path)
    photo = np.random.default_rng(0).random((1, 3, 24, 32), np.float32)
    for asked in (
        lambda: Style.named("mine"),
        lambda: Style.blend({"mine": 1, "monet": 1}),
        lambda: Stylizer()(photo, "mine", quality="draft"),
        lambda: Stylizer()(photo, ["monet", "mine"], masks=[photo[0, 0]], quality="draft"),
    ):
        with pytest.raises(UsageError, match=r"there is no style 'mine'.*own=True"):
            asked()
    assert Style.named("mine", own=True).code == Style.named("monet").code
    assert run("styles", "show", "mine").exit_code == 0  # the command line asks
    if sys.platform == "linux":  # a desktop's word for a folder of the home folder is no wish of the service's
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ".local" / "share"))
        assert (library.own_folder() / "mine.safetensors").is_file()
        with pytest.raises(UsageError, match="own=True"):
            Style.named("mine")


def test_a_recipe_takes_a_personal_style_s_pictures_only_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", library.OWN, library.PERSONAL):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("APPDATA", str(tmp_path))
    for seed in range(3):
        levels = np.random.default_rng(seed).random((1, 3, 64, 64), np.float32)
        write_image(levels, tmp_path / "liked" / f"{seed}.png")
    assert run("personal", "new", "anna", "--like", tmp_path / "liked").exit_code == 0
    stylizer = Stylizer()
    recipe = Recipe.of(stylizer, [Style.named("anna", own=True)], PaintOptions(quality="standard"))
    assert recipe.rebuild(stylizer, own=True)[0].pictures
    with pytest.raises(UsageError, match="that was not found; name its file"):
        recipe.rebuild(stylizer)


def test_a_folder_that_the_environment_names_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.OWN, str(tmp_path))
    Style.named("monet").save(library.own_folder() / "mine.safetensors")
    assert Style.named("mine").code == Style.named("monet").code


def test_styles_of_one_of_several_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within `personal_in`, neither the environment nor the home folder is looked into."""
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "mine"))
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles-of-mine"))
    for folder, name in (("mine", "anna"), ("account/personal", "ben")):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / f"{name}.sfumato").touch()
    (tmp_path / "styles-of-mine").mkdir()
    (tmp_path / "styles-of-mine/sea.safetensors").touch()
    assert (library.personal_names(), library.own_names()) == (["anna"], ["sea"])
    with library.personal_in(tmp_path / "account/personal"):
        assert (library.personal_names(home=False), library.own_names()) == (["ben"], [])
        assert library.own_folder() == tmp_path / "account/styles"
    assert (library.personal_names(), library.own_names()) == (["anna"], ["sea"])
