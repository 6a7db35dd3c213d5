"""Recipes that anybody may have put into a picture: each command ends with one sentence, whatever they hold."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato.image import read_recipe
from support import run

DEEP = '{"kind":"photo","x":' + "[" * 2000 + "]" * 2000 + "}"
NOISE = {"kind": "noise", "version": "1", "model": "m", "model_sha256": "0" * 64, "seed": 1}
BIG = "1" + "0" * 400
WHOLE = {  # a part of the recipe of a painting: what is written there
    "max_size": ["1e400", BIG, '"5"', "17.5", "-5"],
    "file_quality": ["1e400", '"92"'],
    "strength": [BIG, '"1"', "true", "1e400"],
    "stroke": [BIG],
    "seed": ["-1", "9" * 4000],
    "color": [r'"\u001b[31m"', '["x"]'],
    "model": [r'"\u001b]0;pwned\u0007"', r'"\ud800"'],
    "decoder_sha256": [r'"\n\u001b[31m"'],
    "guidance": [r'{"why":"\u001b[31mred"}', r'{"why":"\udfff"}', '{"why":' + "[" * 900 + "]" * 900 + "}"],
    "styles": ['["abc"]', '{"a":1}'],
    "finish": ['[{"version":"1","sharpen":1}]'.replace("]", "," + ",".join(['{"sharpen":1}'] * 40) + "]")],
}
OTHERS = {
    "deep": DEEP,
    "very deep": '{"kind":"photo","x":' + "[" * 29000 + "]" * 29000 + "}",
    "no JSON": "{",
    "no object": "[1]",
    "long": json.dumps({"kind": "photo", "x": "y" * 59_900}),
    "not ASCII and long": json.dumps({"kind": "photo", "x": "\u00e9" * 25_000}, ensure_ascii=False),
    "noise of a large seed": json.dumps({**NOISE, "seed": "@"}).replace('"@"', "9" * 4000),
    "noise of a large truncation": json.dumps({**NOISE, "truncation": "@"}).replace('"@"', BIG),
    "kind of another type": json.dumps({"kind": ["noise"]}),
    "many finishings": json.dumps({"kind": "photo", "finish": [{"version": "1", "sharpen": 2}] * 1000}),
}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The recipe of a painting, and the photo."""
    folder = tmp_path_factory.mktemp("painted")
    photo = folder / "photo.png"
    Image.linear_gradient("L").resize((32, 24)).convert("RGB").save(photo)
    done = run("stylize", photo, "--style", "monet", "--quality", "draft", "-o", folder / "painted.png")
    assert done.exit_code == 0
    return read_recipe(folder / "painted.png"), photo


def save(path: Path, photo: Any, text: Any) -> None:
    info = PngInfo()
    info.add_itxt("sfumato", text)
    Image.open(photo).save(path, pnginfo=info)


def hostile(recipe: Any) -> Iterator[Any]:
    yield from OTHERS.items()
    for part, values in WHOLE.items():
        for number, value in enumerate(values):
            yield f"{part} {number}", json.dumps({**recipe, part: "@"}).replace('"@"', value)
    [style] = recipe["styles"]
    for name in (r"\ud800", r"\u001b]0;pwned\u0007\u001b[2J"):
        yield name, json.dumps({**recipe, "styles": [{**style, "name": "@"}]}).replace("@", name)


@pytest.mark.slow
def test_no_recipe_ends_a_command_with_a_traceback_or_steers_the_terminal(painted: Any, tmp_path: Path) -> None:
    recipe, photo = painted
    path, out = tmp_path / "hostile.png", tmp_path / "out.png"
    for name, text in hostile(recipe):
        save(path, photo, text)
        shown = [run("show", path), run("show", "--json", path), run("replay", path, photo, "-o", out, "--overwrite")]
        shown.append(run("finish", path, "--warmth", "0.1", "-o", out, "--overwrite"))
        assert shown[-1].exit_code == 0, (name, shown[-1].stderr)  # the pixels are good
        for result in shown:
            told = result.stdout + result.stderr
            assert result.exit_code in (0, 3, 5), (name, told)
            assert not set(told) - set(string.printable) - {"\u00e9"}, name
            assert result.exit_code == 0 or result.stderr.count("\n") == 1, (name, told)


@pytest.mark.parametrize("name", ["not ASCII and long", "many finishings", "deep", "no JSON"])
def test_finish_drops_what_it_cannot_carry_on_with_a_remark(painted: Any, tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.png", painted[1], OTHERS[name])
    for out in ([], ["--overwrite"]):
        result = run("finish", tmp_path / "a.png", "--warmth", "0.1", "-o", tmp_path / "b.png", *out)
        assert result.exit_code == 0
        assert "a.png: its recipe is not copied to the result, because " in result.stderr
    recipe = read_recipe(tmp_path / "b.png")
    assert recipe["kind"] == "photo"
    assert [finish["warmth"] for finish in recipe["finish"]] == [0.1]  # type: ignore[attr-defined]


def test_a_folder_with_such_a_picture_goes_on_where_it_stopped(painted: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.png", painted[1], OTHERS["deep"])
    save(tmp_path / "in" / "b.png", painted[1], json.dumps({"kind": "photo", "by": "another program"}))
    for message in ("2 finished", "0 finished, 2 already existed"):
        result = run("finish", tmp_path / "in", "--warmth", "0.1", "-o", tmp_path / "out")
        assert result.exit_code == 0
        assert message in result.stderr
    assert read_recipe(tmp_path / "out" / "b.png")["by"] == "another program"


def test_the_thirty_third_finishing_begins_anew(painted: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.png", painted[1], json.dumps({"kind": "photo", "finish": [{"warmth": 0.01}] * 31}))
    first = run("finish", tmp_path / "a.png", "--warmth", "0.1", "-o", tmp_path / "b.png")
    assert first.stderr == ""
    assert len(read_recipe(tmp_path / "b.png")["finish"]) == 32  # type: ignore[arg-type]
    assert "finished 32 times" in run("finish", tmp_path / "b.png", "--warmth", "0.1", "-o", tmp_path / "c.png").stderr
    assert len(read_recipe(tmp_path / "c.png")["finish"]) == 1  # type: ignore[arg-type]
