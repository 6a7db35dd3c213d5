"""``sfumato personal`` from the first pictures to deletion, and its style in ``sfumato stylize``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sfumato.cli import app
from sfumato.cli import rights as cli_rights
from sfumato.image import read_recipe, to_uint8
from sfumato.inference import Style, Stylizer
from sfumato.inference.style import PersonalStyle
from sfumato.personal.store import load_personal_style, load_record
from sfumato.style_code import StyleCode
from support import assert_one_sentence, files, pixels, run, save_scenes, save_works, scene, work


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders of pictures by two hands, and photos."""
    folder = tmp_path_factory.mktemp("desk")
    save_works(folder / "rough", 0, 5)
    save_works(folder / "smooth", 1, 5)
    save_scenes(folder / "photos", 2, 3)
    for hand in (0, 1):  # a photo that suits either hand
        Image.fromarray(to_uint8(work(hand, 50))).save(folder / "photos" / f"like-{hand}.png")
    return folder


def new(desk: Any, name: str = "anna", *options: Any) -> Any:
    result = run("personal", "new", name, "--like", desk / "rough", *options)
    assert result.exit_code == 0, result.stderr
    return result


def test_the_whole_way(desk: Any, store: Path, tmp_path: Path) -> None:
    result = new(desk)
    assert "anna: learnt from 5 liked pictures; 1 style\n" in result.stdout
    assert "Paint with it: sfumato stylize PHOTO --style anna -o OUT.png" in result.stdout
    assert f"All its files are in {store / 'anna'}" in result.stdout
    painted = run(
        "stylize", desk / "photos" / "0.png", "--style", "anna", "--quality", "draft", "-o", tmp_path / "a.png"
    )
    assert painted.exit_code == 0, painted.stderr
    expected = Stylizer()(desk / "photos" / "0.png", Style.named("anna"), quality="draft")
    assert np.array_equal(pixels(tmp_path / "a.png"), to_uint8(expected))

    shown = run("personal", "show", "anna").stdout
    assert all(path.name in shown for path in (desk / "rough").iterdir())
    assert "Rights: unstated: 5. Learnt " in shown
    assert "The built-in styles that fit best: " in shown
    listed = run("personal", "list").stdout
    assert "anna  5 liked, 0 disliked  (anna)\n" in listed

    exported = run("personal", "export", "anna", "-o", tmp_path / "a.sfumato")
    assert "It contains 1 style of the model base" in exported.stdout
    assert "It does not contain the pictures, their names or their folders." in exported.stdout
    data = (tmp_path / "a.sfumato").read_bytes()
    assert not any(path.stem.encode() in data for path in (desk / "rough").iterdir())

    gone = run("personal", "delete", "anna", "--yes")
    assert f"deleted {store / 'anna'} with 8 files" in gone.stdout
    assert files(store) == [".lock"]
    assert len(files(desk / "rough")) == 5
    assert "there is no personal style yet" in run("personal", "list").stdout


def test_the_same_pixels_from_the_name_and_from_the_file_also_in_another_home(
    desk: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("personal", "new", "anna", "--like", desk / "rough", desk / "smooth")
    run("personal", "export", "anna", "-o", tmp_path / "given.sfumato")
    options = ["--quality", "draft"]
    assert run("stylize", desk / "photos", "--style", "anna", *options, "-o", tmp_path / "name").exit_code == 0
    monkeypatch.delenv("SFUMATO_PERSONAL")
    for variable in ("HOME", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "another"))
    assert run("stylize", desk / "photos", "--style", "anna", "-o", tmp_path / "no").exit_code == 2  # nobody's here
    by_file = ["--style", tmp_path / "given.sfumato", *options, "-o", tmp_path / "file"]
    assert run("stylize", desk / "photos", *by_file).exit_code == 0
    imported = run("personal", "import", tmp_path / "given.sfumato", "--name", "friend")
    assert imported.exit_code == 0, imported.stderr
    assert run("stylize", desk / "photos", "--style", "friend", *options, "-o", tmp_path / "import").exit_code == 0
    names = files(tmp_path / "name")
    assert len(names) == 4
    for folder in ("file", "import"):
        assert files(tmp_path / folder) == names
        assert all(np.array_equal(pixels(tmp_path / "name" / n), pixels(tmp_path / folder / n)) for n in names)


def test_each_photo_takes_the_style_that_suits_it_and_replays(desk: Any, store: Path, tmp_path: Path) -> None:
    result = run("personal", "new", "anna", "--like", desk / "rough", desk / "smooth")
    assert "10 liked pictures; 2 styles" in result.stdout
    first = "0" if "work-0" in result.stdout.partition("anna/2")[0] else "1"
    options = ["--style", "anna", "--quality", "draft", "-o", tmp_path / "out"]
    assert run("stylize", desk / "photos", *options).exit_code == 0
    for hand in "01":
        recipe = read_recipe(tmp_path / "out" / f"like-{hand}.png")
        name = "anna" if hand == first else "anna/2"
        assert [style["name"] for style in recipe["styles"]] == [name]  # type: ignore[attr-defined]
        photo = desk / "photos" / f"like-{hand}.png"
        assert run("replay", tmp_path / "out" / photo.name, photo, "-o", tmp_path / f"{hand}.png").exit_code == 0
        assert np.array_equal(pixels(tmp_path / f"{hand}.png"), pixels(tmp_path / "out" / photo.name))
        alone = ["--style", name, "--quality", "draft", "-o", tmp_path / f"alone-{hand}.png"]
        if hand != first:
            assert run("stylize", photo, *alone).exit_code == 0
            assert np.array_equal(pixels(tmp_path / f"alone-{hand}.png"), pixels(tmp_path / "out" / photo.name))
    os.remove(tmp_path / "out" / "0.png")
    again = run("stylize", desk / "photos", *options)
    assert again.exit_code == 0, again.stderr
    assert "1 painted, 3 already existed" in again.stderr
    assert run("personal", "add", "anna", "--like", desk / "photos" / "0.png").exit_code == 0
    other = run("stylize", desk / "photos", *options)  # another taste now: its pictures are others
    assert other.exit_code == 4
    assert "made with other settings" in other.stderr


def test_a_personal_style_in_masks_blends_and_guidance(desk: Any, store: Path, tmp_path: Path) -> None:
    run("personal", "new", "anna", "--like", desk / "rough", desk / "smooth")
    photo = desk / "photos" / "like-0.png"
    Image.new("L", (112, 96), 255).save(tmp_path / "mask.png")
    masked = ["--style", "anna", "--mask", tmp_path / "mask.png", "--quality", "draft"]
    assert run("stylize", photo, *masked, "-o", tmp_path / "masked.png").exit_code == 0
    assert run("stylize", photo, "--style", "anna", "--quality", "draft", "-o", tmp_path / "whole.png").exit_code == 0
    assert np.array_equal(pixels(tmp_path / "masked.png"), pixels(tmp_path / "whole.png"))
    blended = ["--style", "anna:1", "--style", "anna/2:1", "--style", "monet:2", "--quality", "draft"]
    assert run("stylize", photo, *blended, "-o", tmp_path / "blend.png").exit_code == 0
    assert read_recipe(tmp_path / "blend.png")["styles"][0]["name"] == "anna:1 + anna/2:1 + monet:2"  # type: ignore[index]
    guided = run("stylize", photo, "--style", "anna", "--auto", "--quality", "draft", "-o", tmp_path / "auto.png")
    assert guided.exit_code == 0, guided.stderr
    # Beside its photo the picture is called after the style, without a slash.
    (tmp_path / "photo.png").write_bytes(photo.read_bytes())
    assert run("stylize", tmp_path / "photo.png", "--style", "anna/2", "--quality", "draft").exit_code == 0
    assert (tmp_path / "photo-anna-2.png").is_file()


def test_it_is_among_the_styles(desk: Any, store: Path) -> None:
    new(desk, "anna", "--rights", "own")
    found = json.loads(run("styles", "--json").stdout)
    assert found[-1]["name"] == "anna"
    assert found[-1]["kind"] == "personal"
    assert found[-1]["rights"] == "own: 5"
    assert "learnt from 5 pictures" in run("styles").stdout
    shown = json.loads(run("styles", "show", "anna", "--json").stdout)
    assert shown["file"] == str(store / "anna" / "anna.sfumato")
    taken = run("styles", "add", "anna", desk / "rough" / "work-0-0.png")
    assert_one_sentence(taken, 2, "anna is a personal style")


def test_what_an_inspection_finds_is_said(desk: Any, store: Path, tmp_path: Path) -> None:
    likes = tmp_path / "likes"
    save_works(likes, 0, 7)
    save_works(likes, 1, 1)
    (likes / "broken.jpg").write_bytes(b"?")
    (likes / "copy.png").write_bytes((likes / "work-0-0.png").read_bytes())
    Image.new("RGB", (20, 400)).save(likes / "strip.png")
    (likes / "notes.txt").write_text("notes")
    mistyped = run("personal", "new", "anna", "--like", likes, tmp_path / "gone.jpg")
    assert_one_sentence(mistyped, 3, "there is no picture or folder")
    result = run("personal", "new", "anna", "--like", likes)
    assert result.exit_code == 0, result.stderr
    for message in (
        "1 file in ",
        "broken.jpg is left out: cannot read ",
        "work-0-0.png is the same file as copy.png, and counts once",
        "strip.png is left out: 20 x 400 pixels are too few to see a style",
        "work-1-0.png is unlike the other 7 liked pictures",
        "anna: learnt from 8 liked pictures; 1 style",
    ):
        assert message in result.stdout, message
    remarks = json.loads(run("personal", "new", "bert", "--like", likes, "--json").stdout)["remarks"]
    kinds = sorted((remark["kind"], remark["left_out"]) for remark in remarks)
    left_out = [("duplicate", True), ("no-picture", True), ("odd", False), ("small", True), ("unreadable", True)]
    assert kinds == left_out


def test_an_odd_picture_is_remarked_on_when_it_comes_and_in_show(desk: Any, store: Path, tmp_path: Path) -> None:
    likes = tmp_path / "likes"
    save_works(likes, 0, 7)
    (odd,) = save_works(tmp_path / "odd", 1, 1)
    (more,) = save_works(tmp_path / "more", 0, 1, first=7)
    message = "work-1-0.png is unlike the other"
    assert message not in run("personal", "new", "anna", "--like", likes).stdout
    assert message in run("personal", "add", "anna", "--like", odd).stdout
    assert message not in run("personal", "add", "anna", "--like", more).stdout
    assert message in run("personal", "show", "anna").stdout
    given = ("--like", likes, odd, "--copy", "--json")
    (remark,) = json.loads(run("personal", "new", "bert", *given).stdout)["remarks"]
    assert (remark["kind"], remark["path"]) == ("odd", str(odd))  # not the copy's


def test_many_remarks_of_a_kind_are_counted(desk: Any, store: Path, tmp_path: Path) -> None:
    for number in range(13):
        (tmp_path / f"{number}.jpg").write_bytes(b"?")
    result = run("personal", "new", "anna", "--like", desk / "rough", *sorted(tmp_path.glob("*.jpg")))
    assert result.stdout.count("is left out") == 10
    assert "and 3 more of this kind (unreadable); --json lists all" in result.stdout


def test_nothing_usable_is_an_error_that_says_why(store: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"?")
    result = run("personal", "new", "anna", "--like", tmp_path / "broken.jpg")
    assert result.exit_code == 3
    assert "broken.jpg is left out" in result.stderr
    assert "sfumato: the picture cannot be used; the style anna was not created" in result.stderr
    assert not store.exists()


def test_adding_removing_and_learning_again(desk: Any, store: Path) -> None:
    new(desk)
    result = run("personal", "add", "anna", "--like", desk / "smooth", "--dislike", desk / "rough" / "work-0-4.png")
    assert "work-0-4.png was liked and is disliked now" in result.stdout
    assert "anna: learnt from 9 liked pictures, 1 disliked one; 2 styles" in result.stdout
    result = run("personal", "add", "anna", "--like", desk / "smooth" / "work-1-0.png")
    assert "work-1-0.png is there already" in result.stdout
    result = run("personal", "remove", "anna", *(f"work-1-{number}.png" for number in range(5)))
    assert "anna: learnt from 4 liked pictures, 1 disliked one; 1 style" in result.stdout
    assert "learnt from 4 liked pictures" in run("personal", "learn", "anna").stdout
    facts = json.loads(run("personal", "show", "anna", "--json").stdout)
    assert (facts["liked"], facts["disliked"], facts["learnt"]) == (4, 1, True)
    assert len(facts["pictures"]) == 5


def test_all_disliked_is_said_and_no_style_yet(desk: Any, store: Path, tmp_path: Path) -> None:
    result = run("personal", "new", "anna", "--dislike", *sorted((desk / "smooth").iterdir()))
    assert result.exit_code == 0, result.stderr
    assert "It needs at least one liked picture to become a style" in result.stdout
    assert "(no style yet: no liked picture)" in run("personal", "list").stdout
    painted = run("stylize", desk / "photos" / "0.png", "--style", "anna", "-o", tmp_path / "x.png")
    assert_one_sentence(painted, 2, "the style 'anna' has not been learnt yet; `sfumato personal show anna` says")
    assert_one_sentence(run("personal", "export", "anna", "-o", tmp_path / "a.sfumato"), 2, "no style to export")
    assert run("personal", "show", "anna").exit_code == 0


def test_a_picture_that_has_gone_or_changed_is_said(desk: Any, store: Path, tmp_path: Path) -> None:
    paths = save_works(tmp_path / "likes", 0, 3)
    run("personal", "new", "anna", "--like", tmp_path / "likes")
    paths[0].unlink()
    paths[1].write_bytes(paths[2].read_bytes())
    shown = run("personal", "show", "anna")
    assert f"work-0-0.png is no longer at {paths[0]}; its stored style code still counts" in shown.stdout
    assert "work-0-1.png has changed since" in shown.stdout
    assert run("stylize", desk / "photos" / "0.png", "--style", "anna", "-o", tmp_path / "x.png").exit_code == 0
    # What `show` says to do about it.
    paths[1].write_bytes((desk / "smooth" / "work-1-0.png").read_bytes())
    was = re.search(r"to use the new one, add it and remove ([0-9a-f]{12})\)", shown.stdout)
    assert "4 liked pictures" in run("personal", "add", "anna", "--like", tmp_path / "likes").stdout
    both = run("personal", "remove", "anna", "work-0-1.png")
    assert_one_sentence(both, 2, f"{was[1]} ({paths[1]}, changed since), ")
    assert "3 liked pictures" in run("personal", "remove", "anna", was[1]).stdout
    assert "has changed since" not in run("personal", "show", "anna").stdout


def test_a_style_whose_file_is_gone_is_to_be_learnt_again(desk: Any, store: Path, tmp_path: Path) -> None:
    new(desk)
    (store / "anna" / "anna.sfumato").unlink()
    assert "5 liked, 0 disliked  (no style yet: not learnt yet)" in run("personal", "list").stdout
    painted = run("stylize", desk / "photos" / "0.png", "--style", "anna", "-o", tmp_path / "x.png")
    assert_one_sentence(painted, 2, "`sfumato personal show anna` says whether it needs liked pictures")
    assert "not learnt yet, run: sfumato personal learn anna" in run("personal", "show", "anna").stdout
    exported = run("personal", "export", "anna", "-o", tmp_path / "a.sfumato")
    assert_one_sentence(exported, 2, "run sfumato personal learn anna first")
    assert "1 style" in run("personal", "learn", "anna").stdout


def test_rights_are_recorded_and_asked_for_only_in_a_terminal(desk: Any, store: Path) -> None:
    new(desk, "anna", "--rights", "public-domain")
    assert load_personal_style(load_record("anna")).rights == {"public-domain": 5}
    new(desk, "bert")
    assert load_personal_style(load_record("bert")).rights == {"unstated": 5}
    result = run("personal", "new", "carl", "--like", desk / "rough", "--rights", "stolen")
    assert_one_sentence(result, 2, "Invalid value for '--rights'")


def test_rights_are_asked_for_again_where_the_answer_is_none(
    desk: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_rights, "in_terminal", lambda: True)
    for message, rights in (("foo\nL\n", "licensed"), ("public-domain\n", "public-domain"), ("\n", "unstated")):
        words = ["personal", "new", f"of-{rights}", "--like", str(desk / "rough")]
        result = CliRunner().invoke(app, words, input=message)
        assert result.exit_code == 0, result.output
        assert ("type o, l, p or just Enter" in result.stdout) == (message[0] == "f")
        assert load_personal_style(load_record(f"of-{rights}")).rights == {rights: 5}


def test_questions_are_answered_by_lines(desk: Any, store: Path, tmp_path: Path) -> None:
    new(desk)
    Image.fromarray(to_uint8(scene(40, 60))).save(tmp_path / "photo.png")
    words = [
        "personal",
        "ask",
        "anna",
        "--photo",
        tmp_path / "photo.png",
        "-o",
        tmp_path / "q.png",
    ]
    result = CliRunner().invoke(app, [str(word) for word in words], input="1\nwhat\n2\n0\n")
    assert result.exit_code == 0, result.output
    assert "1. Which is better, the left (1) or the right (2)?  (0: neither, q: stop)" in result.stdout
    assert "press 1, 2, 0 or q" in result.stdout
    message = 'Stopped. 3 questions answered, 1 of them with "neither", and anna has learnt from the others.'
    assert message in result.stdout
    assert "The built-in styles that fit best: " in result.stdout
    assert pixels(tmp_path / "q.png").shape == (40, 128, 3)
    record = load_record("anna")
    assert [answer.preferred for answer in record.answers] == ["first", "second", "neither"]
    assert load_personal_style(record).answers == 2
    assert "learnt from 5 liked pictures, 2 answers; 1 style" in run("personal", "show", "anna").stdout
    assert "0 answer" not in run("personal", "remove", "anna", "--answers").stdout
    assert_one_sentence(run("personal", "remove", "anna", ""), 2, "the name of a picture is empty")
    most = CliRunner().invoke(app, [str(word) for word in [*words[:-2], "--most", 1]], input="1\n1\n")
    assert "questions is reached. 1 question answered, and anna has learnt from it." in most.stdout
    assert "question.png" not in files(store / "anna")
    nobody = CliRunner().invoke(app, [str(word) for word in words[:-2]], input="")
    assert "Stopped. 0 questions answered." in nobody.stdout


@pytest.mark.slow
def test_questions_end_when_enough_is_learnt(desk: Any, store: Path, tmp_path: Path) -> None:
    new(desk)
    Image.fromarray(to_uint8(scene(20, 20))).save(tmp_path / "photo.png")
    words = ["personal", "ask", "anna", "--photo", tmp_path / "photo.png", "--most", "1000"]
    result = CliRunner().invoke(app, [str(word) for word in words], input="1\n" * 1000)
    assert result.exit_code == 0, result.output
    assert "Enough is learnt: another question would add little." in result.stdout
    assert 10 < load_personal_style(load_record("anna")).answers < 200
    again = CliRunner().invoke(app, [str(word) for word in words], input="1\n")
    assert "Enough is learnt: another question would add little. 0 questions answered." in again.stdout


# Mistakes: one sentence, the documented code, nothing written. {d} is the desk, {t} an empty folder.


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (2, "there are no pictures to learn from", "new carl"),
        (2, "Missing argument 'NAME'", "new --like {d}/rough"),
        (2, "small letters, digits and dashes", "new Anna --like {d}/rough"),
        (2, "small letters, digits and dashes", "new ../x --like {d}/rough"),
        (2, "monet is a built-in style", "new monet --like {d}/rough"),
        (2, "anna already exists", "new anna --like {d}/rough"),
        (3, "no picture lies in the folder {t}", "new carl --like {t}"),
        (3, "is a web address", "new carl --like https://example.org/a.jpg"),
        (3, "there is no picture or folder {t}/none.jpg; check the name", "new carl --like {t}/none.jpg"),
        (3, "there is no picture or folder {t}/lkes; check the name", "add anna --like {d}/rough {t}/lkes"),
        (3, "the picture cannot be used; the style carl was not created", "new carl --like {d}/broken.jpg"),
        (2, "no style 'ana' was learnt; did you mean anna?", "add ana --like {d}/rough"),
        (2, "no picture was given", "add anna"),
        (2, "did you mean anna", "show ana"),
        (2, "no style 'x/y' was learnt", "delete x/y --yes"),
        (2, "no style '..' was learnt", "delete .. --yes"),
        (2, "no picture was named", "remove anna"),
        (2, "anna has no picture cat.png", "remove anna cat.png"),
        (2, "add --yes to confirm", "delete anna"),
        (4, "must end in .sfumato", "export anna -o {t}/a.safetensors"),
        (4, "already exists; add --overwrite", "export anna -o {d}/there.sfumato"),
        (3, "cannot read the style file {t}/none.sfumato", "import {t}/none.sfumato"),
        (5, "is not a style file", "import {d}/there.sfumato"),
        (5, "is not a style file", "import {d}/rough/work-0-0.png"),
        (2, "--most must be between 1 and 1,000", "ask anna --most 0"),
        (4, "its name must end in one of", "ask anna -o {t}/q.txt"),
        (4, "work-0-0.png already exists; name a new file", "ask anna -o {d}/rough/work-0-0.png"),
        (3, "cannot read {t}/none.jpg", "ask anna --photo {t}/none.jpg"),
        (4, "cannot be exported to standard output; name a file, as in -o anna.sfumato", "export anna -o -"),
        (2, "'--rights': 'stolen' is not one of 'own', 'licensed'", "add anna --rights stolen"),
        (5, "is not a style file, or is cut short or damaged", "import {d}/cut.sfumato"),
    ],
)
def test_mistakes(desk: Any, store: Path, tmp_path: Path, code: int, sentence: str, arguments: str) -> None:
    new(desk)
    (desk / "there.sfumato").write_text("something else")
    (desk / "broken.jpg").write_bytes(b"?")
    (desk / "cut.sfumato").write_bytes((store / "anna" / "anna.sfumato").read_bytes()[:-9])
    empty = tmp_path / "empty"
    empty.mkdir()
    before = files(store)
    words = arguments.format(d=desk, t=empty).split()
    result = run("personal", *words)
    told = result.stderr.replace(f"  {words[-1].rpartition('/')[2]} is left out", "")  # why none can be learnt from
    assert result.exit_code == code
    assert sentence.format(d=desk, t=empty) in told
    assert result.stderr.splitlines()[-1].startswith("sfumato: ")
    assert len(result.stderr.splitlines()) <= 2
    assert result.stdout == ""
    assert files(store) == before
    assert files(empty) == []


def test_a_style_file_that_is_no_personal_style_is_one_sentence(desk: Any, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.sfumato"
    path.write_text("?")
    result = run("stylize", desk / "photos" / "0.png", "--style", path, "-o", tmp_path / "x.png")
    assert_one_sentence(result, 5, "a.sfumato is not a style file")


def test_a_personal_style_of_another_model_says_what_to_do(desk: Any, store: Path, tmp_path: Path) -> None:
    new(desk)
    path = store / "anna" / "anna.sfumato"
    personal_style = PersonalStyle.load(path)
    replace(
        personal_style,
        codes=(StyleCode(personal_style.codes[0].vector, "base-0", personal_style.codes[0].channel_stats),),
    ).save(path)
    result = run("stylize", desk / "photos" / "0.png", "--style", "anna", "-o", tmp_path / "x.png")
    assert_one_sentence(result, 5, "was made by the model 'base-0'")
    assert "learn it again (sfumato personal learn anna)" in result.stderr
    assert run("personal", "learn", "anna").exit_code == 0
    assert run("stylize", desk / "photos" / "0.png", "--style", "anna", "-o", tmp_path / "x.png").exit_code == 0


def test_a_file_that_was_exported_is_imported_under_its_name(desk: Any, store: Path, tmp_path: Path) -> None:
    new(desk)
    out = tmp_path / "a.sfumato"
    told = json.loads(run("personal", "export", "anna", "-o", out, "--json").stdout)
    assert told["styles"] == ["anna"]
    assert len(told["liked"]) == 5
    assert_one_sentence(run("personal", "import", out), 2, "the style anna already exists; choose another name")
    assert_one_sentence(run("personal", "import", out, "--name", "monet"), 2, "as in --name friend")
    assert run("personal", "delete", "anna", "--yes").exit_code == 0
    assert run("personal", "import", out).exit_code == 0
    assert "anna: 1 style, imported from a file" in run("personal", "show", "anna").stdout
    assert_one_sentence(run("personal", "add", "anna", "--like", desk / "rough"), 2, "anna came as a file")
    assert_one_sentence(run("personal", "ask", "anna"), 2, "anna came as a file")
    assert "anna  imported  (anna)" in run("personal", "list").stdout
    again = run("personal", "export", "anna", "-o", out, "--overwrite")
    assert again.exit_code == 0, again.stderr


def test_copies_can_be_used_when_the_originals_are_gone(desk: Any, store: Path, tmp_path: Path) -> None:
    paths = save_works(tmp_path / "likes", 0, 3)
    run("personal", "new", "anna", "--like", tmp_path / "likes", "--copy")
    for path in paths:
        path.unlink()
    shown = run("personal", "show", "anna").stdout
    assert shown.count("  copied") == 3
    assert "no longer" not in shown
    assert len(files(store / "anna" / "pictures")) == 3


def test_a_store_that_is_a_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "file"))
    for words in (["list"], ["show", "anna"]):
        assert_one_sentence(run("personal", *words), 4, f"cannot read {tmp_path / 'file'}: Not a directory; see")


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are others there")
@pytest.mark.parametrize(("key", "code", "message"), [(b"n\n", 1, "nothing was deleted"), (b"", 130, "interrupted")])
def test_deletion_that_is_declined_or_interrupted_removes_nothing(
    desk: Any, store: Path, key: bytes, code: int, message: str
) -> None:
    import pty
    import select
    import signal

    new(desk)
    before = files(store)
    terminal, other = pty.openpty()
    words = [sys.executable, "-m", "sfumato", "personal", "delete", "anna"]
    process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other, start_new_session=True)
    os.close(other)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 1000)
    try:
        while process.poll() is None or select.select([terminal], [], [], 0)[0]:
            if select.select([terminal], [], [], 0.5)[0]:
                shown += os.read(terminal, 1000)
            # Again and again: what comes just before the program waits for a key is not seen.
            elif key:
                os.write(terminal, key)
            elif b"interrupted" not in shown:
                process.send_signal(signal.SIGINT)
    except OSError:  # how Linux tells a terminal's end
        pass
    assert process.wait(timeout=60) == code
    os.close(terminal)
    assert message in shown.decode()
    assert files(store) == before
