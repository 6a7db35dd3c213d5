import json

import numpy as np
import pytest
from typer.testing import CliRunner

from sfumato.cli import app
from sfumato.errors import UsageError
from sfumato.image import read_image, write_image
from sfumato.quality.anchors import ANCHORS
from sfumato.quality.evaluation import MEASURES, Judge, compare, differences, to_json
from sfumato.quality.pairs import pairs_of, stylized_pictures
from sfumato.quality.report import write_report


def scene(height, width, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 12
    planes = [sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-3, 3, (4, 3))) for _ in range(3)]
    noise = rng.normal(0, 0.03 + 0.05 * rng.random(), (3, height, width))
    colour = rng.uniform(0.2, 0.8, (3, 1, 1))
    return np.clip(colour + 0.08 * np.stack(planes) + noise, 0, 1).astype(np.float32)[None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three photos, three style pictures, and two methods: the style picture itself, and half of it over the photo."""
    folder = tmp_path_factory.mktemp("judged")
    for i in range(3):
        write_image(scene(80, 96, i), folder / "c" / f"photo{i}.png")
        write_image(scene(90, 80, 10 + i), folder / "s" / f"style{i}.png")
    for pair in pairs_of(folder / "c", folder / "s"):
        photo, style = read_image(pair.content), read_image(pair.style)
        for name, share in (("half", 0.5), ("all", 1.0)):
            picture = (1 - share) * photo + share * ANCHORS["style picture"](photo, style)
            write_image(picture, folder / name / f"{pair.name}.png")
    return folder


def source(folder):
    files = stylized_pictures(pairs_of(folder.parent / "c", folder.parent / "s"), folder)
    return lambda pair: (read_image(files[pair]), files[pair].read_bytes().hex()[-64:])


@pytest.fixture(scope="module")
def judge(folders):
    return Judge(pairs_of(folders / "c", folders / "s"), short=80)


@pytest.fixture(scope="module")
def judged(folders, judge):
    return [judge.judge(name, source(folders / name)) for name in ("half", "all")]


def test_more_of_the_style_picture_is_less_content_and_more_style(judged):
    half, everything = judged
    assert half.interval("content").value < everything.interval("content").value
    assert everything.interval("style").value < half.interval("style").value < 1
    assert everything.interval("top1").value == 1
    assert half.interval("ssim").value > everything.interval("ssim").value
    assert half.interval("leak").value < everything.interval("leak").value
    difference, p = compare(everything, half, "content")
    assert difference == pytest.approx(everything.interval("content").value - half.interval("content").value)
    assert p == 0.25  # of three styles, two of the eight ways of signs are as far off


def test_an_unchanged_photo_is_all_content(judge):
    photos = judge.judge("photo", lambda pair: (read_image(pair.content), "photo"))
    row = photos.rows[0].figures
    assert (row["content"], row["colour"], row["leak"]) == (0, 0, 0)
    assert row["ssim"] == row["edges"] == pytest.approx(1)
    assert row["psnr"] == 100
    assert photos.interval("style").value > 0.5


def test_intervals_hold_their_means_and_every_figure_is_explained(judged):
    for each in judged:
        for name in each.rows[0].figures:
            found = each.interval(name)
            assert found.low <= found.value <= found.high
            assert MEASURES[name].says
    assert to_json(judged)["half"]["pairs"] == 9
    assert differences(judged).keys() == {"all"}
    assert judged[0].by_style("style").keys() == {"style0", "style1", "style2"}


def test_figures_are_kept_and_found_again(folders, judged, tmp_path):
    pairs = pairs_of(folders / "c", folders / "s")
    first = Judge(pairs, short=80, cache=tmp_path).judge("half", source(folders / "half"))
    assert first.rows == judged[0].rows
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 9
    for path in kept:  # so that what is found is seen to be what was kept
        found = json.loads(path.read_text())
        path.write_text(json.dumps({**found, "figures": {**found["figures"], "ssim": 0.125}}))
    again = Judge(pairs, short=80, cache=tmp_path).judge("half", source(folders / "half"))
    assert {row.figures["ssim"] for row in again.rows} == {0.125}
    other = Judge(pairs, short=96, cache=tmp_path).judge("half", source(folders / "half"))
    assert 0.125 not in {row.figures["ssim"] for row in other.rows}


def test_a_picture_of_another_size_than_its_photo(folders, judge):
    one = judge.judge("large", lambda pair: (scene(120, 150, 1), "x"), pairs=judge.pairs[:2])
    assert all(row.resized for row in one.rows)
    with pytest.raises(UsageError, match="between 64 and 1024"):
        Judge(judge.pairs, short=20)
    with pytest.raises(UsageError, match="no pairs"):
        Judge([])


def test_the_report_is_one_file_with_pictures(folders, judged, tmp_path):
    write_report(tmp_path / "r.html", judged, [source(folders / "half"), source(folders / "all")])
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 2 * 9 * 4
    assert "http" not in text.replace("https://", "http").split("<style>")[0]
    for word in ("half", "all", "style0", "95 % intervals", "nearest style picture", "efficientnet-lite0"):
        assert word in text


@pytest.mark.slow
def test_the_full_suite_has_vgg_s_figures_too(folders, judge):
    full = Judge(judge.pairs, "full", short=80)
    found = full.judge("half", source(folders / "half"), pairs=judge.pairs[:3])
    assert found.rows[0].figures.keys() == MEASURES.keys()
    photo = full.judge("photo", lambda pair: (read_image(pair.content), "photo"), pairs=judge.pairs[:3])
    for name in ("lpips-form", "vgg-content", "cfsd"):
        assert photo.rows[0].figures[name] == pytest.approx(0, abs=1e-6)
        assert found.rows[0].figures[name] > 0.01


# The commands.


def run(*arguments):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_compare_and_its_report(folders, tmp_path):
    sets = (f"half={folders / 'half'}", f"all={folders / 'all'}")
    options = ("--content", folders / "c", "--style", folders / "s", "--short", 80, "--report", tmp_path / "r")
    result = run("compare", *sets, *options, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == ["half", "all", *ANCHORS]
    assert found["photo unchanged"]["figures"]["content"][0] == 0
    assert (tmp_path / "r" / "report.html").is_file()


def test_evaluate_pictures_and_the_shipped_model(folders):
    options = ("--content", folders / "c", "--style", folders / "s", "--short", 80)
    result = run("evaluate", *options, "--stylized", folders / "half")
    assert result.exit_code == 0, result.stderr
    assert "content ↓" in result.stdout
    result = run("evaluate", *options, "--model", "shipped", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["sfumato"]["pairs"] == 9


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (2, "either --stylized or --model", "evaluate {options}"),
        (2, "either --stylized or --model", "evaluate {options} --stylized {f}/half --model shipped"),
        (2, "needs two methods", "compare a={f}/half {options}"),
        (2, "each once", "compare a={f}/half a={f}/all {options}"),
        (2, "each once", "compare a {options}"),
        (2, "name of an anchor", "compare a={f}/half photo=x=y colour={f}/all {options}"),
        (3, "is not a folder", "evaluate {options} --stylized {f}/none"),
        (3, "is named <photo>__<style>", "evaluate {options} --stylized {f}/s"),
        (3, "which is not there", "evaluate {options} --stylized {f}/half --pairs {f}/bad.csv"),
        (5, "is not an exported model", "evaluate {options} --model {f}/half"),
        (2, "between 64 and 1024", "evaluate {options} --stylized {f}/half --short 5"),
    ],
)
def test_mistakes(folders, code, said, words):
    (folders / "bad.csv").write_text("content,style\nno.png,style0.png\n")
    options = f"--content {folders / 'c'} --style {folders / 's'}"
    arguments = words.format(options=options, f=folders).split()
    if "photo=x=y" in arguments:
        arguments = [a.replace("photo=x=y", f"photo unchanged={folders / 'half'}") for a in arguments]
    result = run(*arguments)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
