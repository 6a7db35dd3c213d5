"""`sfumato styles --sheet PHOTO -o sheet.png`: one photo in all built-in styles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import assets
from sfumato.image import read_image, read_recipe, write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.style_sheet import style_sheet
from support import assert_one_sentence, files, run, scene


def test_a_sheet_shows_the_photo_in_all_styles(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "sheet.png"
    out.parent.mkdir()
    result = run("styles", "--sheet", photo, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{out}  ")
    assert result.stderr == ""
    assert files(out.parent) == ["sheet.png"]
    sheet, picture = read_image(out), read_image(photo)
    for wanted in (picture, Stylizer()(picture, Style.named("starry-night"), quality="draft")):
        assert _is_on(np.rint(wanted * 255) / 255, sheet)
    assert "styles" in run("show", out).stdout
    assert read_recipe(out)["kind"] == "styles"
    again = run("styles", "--sheet", photo, "-o", out)  # it costs no painting: the file is there
    assert_one_sentence(again, 4, "add --overwrite")
    # A folder is not painted with its sheets.
    assert_one_sentence(run("stylize", out.parent, "--style", "monet"), 3, "made by Sfumato")


def _is_on(picture: Any, sheet: Any) -> Any:
    """Whether a picture stands on a sheet as it is."""
    first = np.isclose(sheet[0], picture[0, :, :1, :1], atol=2e-3).all(0)
    height, width = picture.shape[2:]
    return any(
        np.allclose(sheet[:, :, y : y + height, x : x + width], picture, atol=2e-3)
        for y, x in np.argwhere(first)
        if y + height <= sheet.shape[2] and x + width <= sheet.shape[3]
    )


def test_progress_names_each_style_and_can_end_the_work(photo: Path) -> None:
    told = []

    def tell(share: Any, name: Any) -> None:
        told.append((share, name))
        if len(told) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        style_sheet(photo, progress=tell)
    assert [name for _, name in told] == assets.style_names()[:3]
    assert [share for share, _ in told] == [n / len(assets.style_names()) for n in range(3)]


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (3, "{t}/none.jpg", "--sheet {t}/none.jpg -o {t}/x.png"),
        (3, "{t}/text.jpg", "--sheet {t}/text.jpg -o {t}/x.png"),
        (3, "it is a web address", "--sheet https://x.org/a.jpg -o {t}/x.png"),
        (3, "needs 16 or more", "--sheet {t}/dot.png -o {t}/x.png"),
        (2, "as in -o sheet.png", "--sheet {t}/dot.png"),
        (2, "as in -o sheet.png", "--sheet {t}/dot.png -o -"),
        (2, "refusing to replace the photo", "--sheet {t}/dot.png -o {t}/dot.png"),
        (2, "add --sheet PHOTO", "-o {t}/x.png"),
        (2, "leave list out", "--sheet {t}/dot.png list"),
        (4, "must end in one of", "--sheet {t}/dot.png -o {t}/x.pdf"),
        (4, "{t}/none does not exist", "--sheet {t}/dot.png -o {t}/none/x.png"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    tmp_path: Path, code: int, sentence: str, arguments: str
) -> None:
    (tmp_path / "text.jpg").write_text("This is no picture.", "utf-8")
    write_image(scene(8, 9), tmp_path / "dot.png")
    before = files(tmp_path)
    result = run("styles", *(word.format(t=tmp_path) for word in arguments.split()))
    assert_one_sentence(result, code, sentence.format(t=tmp_path))
    assert files(tmp_path) == before
