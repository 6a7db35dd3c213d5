"""``sfumato video``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sfumato.cli.video import parse_schedule
from sfumato.errors import UsageError
from sfumato.image import write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.options import PaintOptions
from sfumato.video.pipeline import SEGMENT_FRAMES
from sfumato.video.recipe import VideoRecipe
from sfumato.video.schedule import Schedule, parse_seconds
from support import assert_one_sentence, run, scene
from video_clips import facts_of, pictures_of, write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", times=range(8), sounds=["libopus"])


def test_a_video_is_painted_and_its_recipe_shown(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.webm"
    done = run("video", clip, "--style", "monet", "--seed", 3, "--strength", 0.9, "-o", out)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{out}  96 x 64  8 frames  0.3 s of video  ")
    before, after = facts_of(clip), facts_of(out)
    assert [round(time * 1000) for time in after.times] == [round(time * 1000) for time in before.times]
    assert after.packets == before.packets
    assert pictures_of(out)[0].std() > 5
    shown = run("show", out).stdout
    for line in (
        "style     monet",
        "strength  0.9",
        "seed      3",
        "quality   draft",
        "part      all",
        "codec     vp9",
    ):
        assert line in shown
    recipe = json.loads(run("show", out, "--json").stdout)
    assert recipe["kind"] == "video"
    assert (recipe["styles"][0]["name"], recipe["strength"], len(recipe["photo_sha256"])) == ("monet", 0.9, 64)
    assert_one_sentence(run("show", clip), 3, "contains no recipe")


def test_json_and_a_part_in_mp4_with_styles_over_time(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    styles = ("--style", "monet:0", "--style", "klimt:0.3s")
    done = run("video", clip, *styles, "--from", "0.04", "--to", "0:00.2s"[:6], "-o", out, "--json")
    found = json.loads(done.stdout)
    assert (found["frames"], found["width"], found["height"], found["remarks"]) == (4, 96, 64, [])
    assert found["path"] == str(out)
    assert "style     monet at 0 s, klimt at 0.3 s" in run("show", out).stdout
    assert "part      0.04 s to 0.2 s" in run("show", out).stdout


def test_show_gives_numbers_as_they_were_given(clip: Path, tmp_path: Path) -> None:
    recipe = VideoRecipe.of(
        Stylizer(),
        Schedule.of(Style.named("monet")),
        PaintOptions(strength=0.123456789, quality="draft"),
        steady=0.87654321,
        begin=12345.678,
        end=20000.0,
        codec="vp9",
        max_size=0,
        source_sha256="0" * 64,
    ).to_json()
    shown = run("show", write_clip(tmp_path / "painted.mkv", times=[0], tags=_tag(recipe))).stdout
    for line in ("strength  0.123456789", "stroke    1\n", "steady    0.87654321", "part      12345.678 s to 20000 s"):
        assert line in shown


def test_a_style_after_the_end_is_told(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "there.webm").touch()  # so that nothing is painted
    styles = ("--style", "monet:0s", "--style", "klimt:0.3s", "--style", "kandinsky:50s")
    told = run("video", clip, *styles, "-o", tmp_path / "there.webm").stderr.splitlines()
    remark = "sfumato: the video is only 0.3 s long, so it does not reach the style kandinsky at 50 s"
    assert told.count(remark) == 1
    assert "klimt" not in "".join(told)


def test_previews(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", times=range(40), size=(96, 64))
    done = run("video", clip, "--style", "monet", "--preview", "-o", tmp_path / "sheet.png")
    assert "12 frames" in done.stdout
    assert (tmp_path / "sheet.png").exists()
    again = run("video", clip, "--style", "monet", "--preview", "-o", tmp_path / "sheet.png")
    assert_one_sentence(again, 4, "already exists; add --overwrite")
    done = run("video", clip, "--style", "monet", "--preview", "--from", "0.2", "-o", tmp_path / "part.webm")
    assert "35 frames" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-o", "out.webm"], 2, "no --style was given; name one"),
        (["--style", "monet"], 2, "no file to write was given; name one"),
        (["--style", "no-such", "-o", "out.webm"], 2, "no-such"),
        (["--style", "monet", "-o", "out.png"], 2, "name a file that ends in one of .webm"),
        (["--style", "monet", "-o", "out.webm", "--from", "noon"], 2, "--from must be a time, such as 90, 1:30"),
        (
            ["--style", "monet", "-o", "p.png", "--preview", "--from", "3", "--to", "1"],
            2,
            "the end (1 s) must be later",
        ),
        (["--style", "monet", "-o", "out.webm", "--steady", "2"], 2, "--steady must be between 0 and 1"),
        (["--style", "monet", "-o", "out.webm", "--max-size", "5"], 2, "--max-size must be between 16"),
        (["--style", "monet:5s", "--style", "klimt:2s", "-o", "out.webm"], 2, "the times of the styles must rise"),
        (["--style", "monet", "--style", "klimt:2s", "-o", "out.webm"], 2, "--style monet has no time"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    arguments: list[str], code: int, sentence: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(run("video", clip, *arguments), code, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_web_address_is_not_fetched(tmp_path: Path) -> None:
    done = run("video", "https://example.org/a.mp4", "--style", "monet", "-o", tmp_path / "out.webm")
    assert_one_sentence(done, 3, "it is a web address")


def test_subtitles_that_are_left_out_are_told_before_painting(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", times=[0], subtitles=[(0.0, 0.1, "Hello")], subtitle_codec="dvd_subtitle")
    (tmp_path / "there.webm").touch()
    done = run("video", clip, "--style", "monet", "-o", tmp_path / "there.webm")
    said, refused = done.stderr.splitlines()
    assert said == "sfumato: the subtitle track 1 is left out, because this format cannot hold dvdsub"
    assert "already exists" in refused


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", times=range(400), size=(192, 128))
    out = tmp_path / "out.webm"
    command = [
        sys.executable,
        "-m",
        "sfumato",
        "video",
        str(clip),
        "--style",
        "monet",
        "--threads",
        "1",
        "-o",
        str(out),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out.webm.parts/*/state.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    [state] = tmp_path.glob("out.webm.parts/*/state.npz")
    kept = int(np.load(state)["frames"])
    assert kept in range(SEGMENT_FRAMES, 400, SEGMENT_FRAMES)
    assert f"sfumato: stopped with {kept} frames kept; run the same command again to go on from there\n" in told
    assert told.endswith("sfumato: interrupted\n")
    assert not out.exists()
    assert os.listdir(tmp_path / "out.webm.parts")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("1:30", 90), ("0:01:30.5", 90.5), ("2:00:00", 7200), (" 1", 1)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--from") == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "nan", "inf", "1e9", "1:", ":30", "1:30:"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--from must be"):
        parse_seconds(text, "--from")


def test_rights_in_a_style_picture(tmp_path: Path) -> None:
    picture = tmp_path / "dali.png"
    write_image(scene(40, 60), picture)
    styles = ("--style", f"{picture}:0s", "--style", "monet:1s", "--rights", "public-domain")
    assert_one_sentence(run("video", "clip.mp4", *styles, "-o", tmp_path / "out.webm"), 2, "may name Salvador Dalí")
    schedule = parse_schedule([f"{picture}:0s", "monet:1s"], Stylizer(threads=1), "own")
    assert [style.about.get("rights") for _, style in schedule.keys] == ["own: 1", None]


def test_a_schedule_blends_between_its_times() -> None:
    a, b = Style.named("monet"), Style.named("klimt")
    schedule = Schedule(((1.0, a), (3.0, b)))
    assert schedule.at(0) == schedule.at(1) == [(a, 1.0)]
    assert schedule.at(2.5) == [(a, 0.25), (b, 0.75)]
    assert schedule.at(3) == schedule.at(99) == [(b, 1.0)]
    assert Schedule(((0.0, a), (2.0, a), (4.0, b))).at(1.9) == [(a, 1.0)]
    assert Schedule.of(schedule) is schedule
    with pytest.raises(UsageError, match="at least one style"):
        Schedule(())


@pytest.mark.parametrize(
    "change",
    [
        {"styles": 3},
        {"styles": []},
        {"painting": {}},
        {"times": []},
        {"times": ["x"]},
        {"steady": [1]},
        {"codec": None},
        {"begin": None},
        {"begin": -1.0},
        {"end": "late"},
        {"times": [float("inf")]},
    ],
)
def test_a_hostile_recipe_is_one_sentence(change: dict[str, object], tmp_path: Path) -> None:
    recipe = VideoRecipe.of(
        Stylizer(),
        Schedule.of(Style.named("monet")),
        PaintOptions(quality="draft"),
        steady=0.5,
        begin=0.0,
        end=None,
        codec="vp9",
        max_size=0,
        source_sha256="0" * 64,
    ).to_json()
    assert VideoRecipe.from_json(recipe, "x").to_json() == recipe
    steering = write_clip(tmp_path / "clip.mkv", times=[0], tags=_tag({**recipe, "codec": "\x1b[2J"}))
    assert "codec     \\x1b[2J" in run("show", steering).stdout
    damaged = write_clip(tmp_path / "clip.mkv", times=[0], tags=_tag({**recipe, **change}))
    assert_one_sentence(run("show", damaged), 3, "damaged")
    for text in ("{", "[" * 5000, "[1]", '"text"'):
        path = write_clip(tmp_path / "clip.mkv", times=[0], tags={"SFUMATO_RECIPE": f"sfumato:{text}"})
        assert_one_sentence(run("show", path), 3, "contains no recipe")


def _tag(recipe: object) -> dict[str, str]:
    return {"SFUMATO_RECIPE": f"sfumato:{json.dumps(recipe)}"}
