from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import read_image, resize, write_image
from sfumato.quality.anchors import ANCHORS
from sfumato.quality.backbones import InceptionBackbone
from sfumato.quality.cost import macs_of_onnx
from sfumato.quality.evaluation import compare, curve_area, differences, to_json
from sfumato.quality.evaluator import Evaluator, OutputProvider
from sfumato.quality.features import Estimate
from sfumato.quality.measures import MEASURES
from sfumato.quality.pairs import Pair, pairs_of, stylized_pictures
from sfumato.quality.report import write_report
from sfumato.quality.strokes import LocalScale, at_local_size, half_distance, local_distances, places_of_picture
from support import FLOAT32, FLOAT64, NETWORK32, SUM32, run


def tinted_waves(height: int, width: int, seed: int) -> Any:
    """Waves and grain about a colour of its own for each seed, so that pictures differ in palette and texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 12
    planes = [sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-3, 3, (4, 3))) for _ in range(3)]
    noise = rng.normal(0, 0.03 + 0.05 * rng.random(), (3, height, width))
    colour = rng.uniform(0.2, 0.8, (3, 1, 1))
    return np.clip(colour + 0.08 * np.stack(planes) + noise, 0, 1).astype(np.float32)[None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three photos, three style pictures, and two methods: the style picture itself, and half of it over the photo."""
    folder = tmp_path_factory.mktemp("judged")
    for i in range(3):
        write_image(tinted_waves(80, 96, i), folder / "c" / f"photo{i}.png")
        write_image(tinted_waves(90, 80, 10 + i), folder / "s" / f"style{i}.png")
    for pair in pairs_of(folder / "c", folder / "s"):
        photo, style = read_image(pair.content), read_image(pair.style)
        for name, share in (("half", 0.5), ("all", 1.0)):
            picture = (1 - share) * photo + share * ANCHORS["style picture"](photo, style)
            write_image(picture, folder / name / f"{pair.name}.png")
    return folder


@pytest.fixture(scope="module")
def four(folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of these the four pairs of two photos and two style pictures, where a command paints or judges many times."""
    folder = tmp_path_factory.mktemp("four")
    for kind in ("c", "s"):
        shutil.copytree(folders / kind, folder / kind, ignore=shutil.ignore_patterns("*2.png"))
    for pair in pairs_of(folder / "c", folder / "s"):
        for method in ("half", "all"):
            (folder / method).mkdir(exist_ok=True)
            shutil.copy(folders / method / f"{pair.name}.png", folder / method)
    return folder


def source(folder: Path) -> OutputProvider:
    files = stylized_pictures(pairs_of(folder.parent / "c", folder.parent / "s"), folder)
    return OutputProvider(lambda pair: read_image(files[pair]), lambda pair: files[pair].read_bytes().hex()[-64:])


def photos() -> OutputProvider:
    return OutputProvider(lambda pair: read_image(pair.content), lambda pair: "photo")


@pytest.fixture(scope="module")
def evaluator(folders: Any) -> Evaluator:
    return Evaluator(pairs_of(folders / "c", folders / "s"), short=80)


@pytest.fixture(scope="module")
def judged(folders: Any, evaluator: Evaluator) -> Any:
    return [evaluator.evaluate(name, source(folders / name)) for name in ("half", "all")]


def test_more_of_the_style_picture_is_less_content_and_more_style(judged: Any) -> None:
    half, everything = judged
    assert half.interval("content").value < everything.interval("content").value
    assert everything.interval("style").value < half.interval("style").value < 1
    assert everything.interval("top1").value == 1
    assert half.interval("ssim").value > everything.interval("ssim").value
    assert half.interval("leak").value < everything.interval("leak").value
    for name in ("strokes", "variety", "copied", "kept"):
        assert half.interval(name).value > everything.interval(name).value
    assert everything.interval("strokes").value < 0
    difference, p = compare(everything, half, "content")
    assert difference == pytest.approx(everything.interval("content").value - half.interval("content").value)
    assert p == 0.25  # of three styles, two of the eight ways of signs are as far off


def test_an_unchanged_photo_is_all_content(evaluator: Evaluator) -> None:
    found = evaluator.evaluate("photo", photos())
    row = found.rows[0].values
    assert (row["content"], row["colour"], row["leak"]) == (0, 0, 0)
    assert row["ssim"] == row["edges"] == pytest.approx(1)
    assert (row["copied"], row["kept"]) == pytest.approx((1, 1))
    assert row["psnr"] == 100
    assert found.interval("style").value > 0.5


def test_intervals_hold_their_means_and_every_figure_is_explained(judged: Any) -> None:
    for each in judged:
        for name in each.rows[0].values:
            found = each.interval(name)
            assert found.low <= found.value <= found.high
            assert MEASURES[name].description
    assert to_json(judged)["half"]["pairs"] == 9
    assert differences(judged).keys() == {"all"}
    assert judged[0].by_style("style").keys() == {"style0", "style1", "style2"}


def test_figures_are_kept_and_found_again(folders: Any, judged: Any, tmp_path: Path) -> None:
    pairs = pairs_of(folders / "c", folders / "s")
    first = Evaluator(pairs, short=80, cache=tmp_path).evaluate("half", source(folders / "half"))
    assert first.rows == judged[0].rows
    kept = sorted(tmp_path.iterdir())
    assert [p.suffix for p in kept].count(".npz") == 9
    assert [p.suffix for p in kept].count(".npy") == 6  # photos and style pictures as members of sets
    assert [p.suffix for p in kept].count(".json") == 1  # what strokes and variety are relative to
    for path in (p for p in kept if p.suffix == ".npz"):  # so that what is found is seen to be what was kept
        with np.load(path) as file:
            arrays = dict(file)
        found = json.loads(str(arrays["row"]))
        arrays["row"] = json.dumps({**found, "values": {**found["values"], "ssim": 0.125}})
        np.savez(path, **arrays)
    again = Evaluator(pairs, short=80, cache=tmp_path).evaluate("half", source(folders / "half"))
    assert {row.values["ssim"] for row in again.rows} == {0.125}
    other = Evaluator(pairs, short=96, cache=tmp_path).evaluate("half", source(folders / "half"), pairs=pairs[:2])
    assert 0.125 not in {row.values["ssim"] for row in other.rows}


def test_what_was_kept_is_not_painted_again_and_a_damaged_file_is_made_again(four: Any, tmp_path: Path) -> None:
    pairs = pairs_of(four / "c", four / "s")
    painted = []

    def paint(pair: Any) -> Any:
        painted.append(pair)
        return read_image(pair.content)

    first = Evaluator(pairs, short=80, cache=tmp_path).evaluate("m", OutputProvider(paint, lambda pair: "m"))
    assert len(painted) == 4
    again = Evaluator(pairs, short=80, cache=tmp_path).evaluate("m", OutputProvider(paint, lambda pair: "m"))
    assert len(painted) == 4
    assert again.rows == first.rows
    assert repr(again.sets) == repr(first.sets)  # some are NaN
    for path in list(tmp_path.glob("*.npz"))[:2]:
        path.write_bytes(path.read_bytes()[:200])
    for path in (*tmp_path.glob("*.npy"), *tmp_path.glob("*.json")):
        path.write_bytes(b"")
    repaired = Evaluator(pairs, short=80, cache=tmp_path).evaluate("m", OutputProvider(paint, lambda pair: "m"))
    assert len(painted) == 6
    assert repr(repaired.sets) == repr(first.sets)


def test_workers_and_order_change_nothing(folders: Any, evaluator: Evaluator, judged: Any) -> None:
    pairs = pairs_of(folders / "c", folders / "s")
    many = Evaluator(pairs[::-1], short=80, workers=4).evaluate("half", source(folders / "half"))
    assert {row.pair.name: row.values for row in many.rows} == {
        row.pair.name: pytest.approx(row.values, rel=FLOAT64) for row in judged[0].rows
    }
    assert [row.pair for row in many.rows] == pairs[::-1]

    def broken(pair: Any) -> None:
        raise InputError("no picture")

    with pytest.raises(InputError, match="no picture"):
        Evaluator(pairs, short=80, workers=3).evaluate("broken", OutputProvider(broken, lambda pair: ""))


def test_a_pair_that_cannot_be_judged_is_left_out_and_told(folders: Any, judged: Any) -> None:
    pairs = pairs_of(folders / "c", folders / "s")
    half = source(folders / "half")

    def picture(pair: Any) -> Any:
        if pair == pairs[1]:
            np.empty(1 << 50, np.uint8)
        if pair == pairs[4]:
            raise InputError("cannot read it")
        return half.picture(pair)

    found = Evaluator(pairs, short=80).evaluate("half", OutputProvider(picture, half.digest))
    assert [row.pair for row in found.rows] == [pair for i, pair in enumerate(pairs) if i not in (1, 4)]
    assert found.failed[0].startswith(f"{pairs[1].name} does not fit into memory; make it smaller")
    assert found.failed[1:] == ("cannot read it",)
    whole = {row.pair: row.values["ssim"] for row in judged[0].rows}
    assert all(row.values["ssim"] == pytest.approx(whole[row.pair], rel=FLOAT64) for row in found.rows)
    assert to_json([found])["half"]["failed"] == list(found.failed)


def test_the_command_judges_the_rest_and_ends_with_a_mistake(folders: Any, tmp_path: Path) -> None:
    for path in (folders / "half").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photo1__style1.png").write_bytes(b"no picture")
    options = ("--content", folders / "c", "--style", folders / "s", "--short", 80, "--no-anchors")
    result = run("evaluate", *options, "--stylized", tmp_path, "--report", tmp_path / "out", columns=90)
    assert result.exit_code == 3
    assert "content ↓" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"sfumato: {tmp_path.name}: left out: cannot read {tmp_path}")
    assert "photo1__style1.png" in last
    assert "8 pairs of 3 photos" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_discriminator_s_accuracy_is_a_figure_of_its_method(evaluator: Evaluator) -> None:
    bright = OutputProvider(photos().picture, lambda pair: "bright", lambda picture, style: float(picture.mean()) - 0.5)
    found = {estimate.name: estimate for estimate in evaluator.evaluate("m", bright).sets}["discriminator_accuracy"]
    real = [read_image(path).mean() > 0.5 for path in sorted({pair.style for pair in evaluator.pairs})]
    fake = [read_image(pair.content).mean() <= 0.5 for pair in evaluator.pairs]
    assert found.value == pytest.approx((np.mean(real) + np.mean(fake)) / 2)
    assert "discriminator_accuracy" not in {estimate.name for estimate in evaluator.evaluate("n", photos()).sets}


def test_a_curve_has_an_area(judged: Any) -> None:
    half, everything = (replace(each, strength=s) for each, s in zip(judged, (0.5, 1.0), strict=True))
    points = [(each.interval("content").value, each.interval("style").value) for each in (half, everything)]
    assert curve_area([half, everything]) == pytest.approx((points[0][1] + points[1][1]) / 2)
    assert curve_area(judged) is None
    assert curve_area([half]) is None


def save_backbone(path: Path, outputs: Any = ("features", "classes")) -> None:
    """As an Inception-v3 is called: (1, 3, 299, 299) in [-1, 1] to features (means and a coarse view) and logits."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["means"]),
        helper.make_node("AveragePool", ["x"], ["pool"], kernel_shape=[59, 59], strides=[59, 59]),
        helper.make_node("Flatten", ["pool"], ["view"]),
        helper.make_node("Concat", ["means", "view"], ["features"], axis=1),
        helper.make_node("Flatten", ["pool"], ["classes"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    start = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 299, 299])
    model = helper.make_model(
        helper.make_graph(nodes, "backbone", [start], ends), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    onnx.save(model, path)


def test_the_user_s_own_inception_judges_sets(folders: Any, tmp_path: Path) -> None:
    save_backbone(tmp_path / "backbone.onnx")
    pairs = pairs_of(folders / "c", folders / "s")
    found = Evaluator(pairs, short=80, inception=tmp_path / "backbone.onnx", cache=tmp_path / "kept").evaluate(
        "photo", photos()
    )
    own = [estimate for estimate in found.sets if estimate.backbone.startswith("inception-v3 (")]
    assert {"kid", "inception_score", "diversity over photos"} <= {estimate.name for estimate in own}
    digest = hashlib.sha256((tmp_path / "backbone.onnx").read_bytes()).hexdigest()[:12]
    assert {estimate.backbone for estimate in own} == {f"inception-v3 ({digest})"}
    x = read_image(pairs[0].content)
    seen = InceptionBackbone(tmp_path / "backbone.onnx").pooled(x)
    assert seen.features[:3] == pytest.approx((resize(x, 299, 299) * 2 - 1).mean((0, 2, 3)), abs=SUM32)
    assert seen.probabilities.sum() == pytest.approx(1)
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="is damaged or not an ONNX graph"):
        InceptionBackbone(tmp_path / "no.onnx")
    save_backbone(tmp_path / "map.onnx", ("pool",))
    with pytest.raises(ModelError, match="must give"):
        InceptionBackbone(tmp_path / "map.onnx").pooled(x)


@pytest.mark.parametrize("location", ["notes.txt", "{}/notes.txt"])
def test_an_inception_that_reads_other_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would look for what a graph in memory names
    (tmp_path / "notes.txt").write_bytes(b"PRIVATE NOTES ")
    weight = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[14], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location.format(tmp_path)), ("offset", "0"), ("length", "14")):
        weight.external_data.add(key=key, value=value)
    start = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 299, 299])
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, [14])
    cast = helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast], "spy", [start], [end], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "spy.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"spy\.onnx would read the file '.*notes\.txt'"):
        InceptionBackbone(tmp_path / "spy.onnx")
    with pytest.raises(InputError, match=r"would read the file"):
        macs_of_onnx(tmp_path / "spy.onnx", {"x": (1, 3, 299, 299)})
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="not a regular file"):
        InceptionBackbone(tmp_path / "pipe.onnx")


def test_a_picture_of_another_size_than_its_photo(folders: Any, evaluator: Evaluator) -> None:
    one = evaluator.evaluate(
        "large", OutputProvider(lambda pair: tinted_waves(120, 150, 1), lambda pair: "x"), pairs=evaluator.pairs[:2]
    )
    assert all(row.resized for row in one.rows)
    with pytest.raises(UsageError, match="between 64 and 1024"):
        Evaluator(evaluator.pairs, short=20)
    with pytest.raises(UsageError, match="at least one pair"):
        Evaluator([])


def test_the_report_is_one_file_with_pictures(folders: Any, judged: Any, tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", judged, [source(folders / "half"), source(folders / "all")])
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 2 * 9 * 4
    assert "http" not in text.replace("https://", "http").split("<style>")[0]
    for word in ("half", "all", "style0", "95 % intervals", "nearest style picture", "efficientnet-lite0"):
        assert word in text
    for word in ("strokes ↓", "variety ↓", "copied ↓", "kept ↑", "strokes and variety: 0 is a cosine distance of"):
        assert word in text


class ReportPage(HTMLParser):
    """Checks that what is opened is closed, and keeps the tags and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_text_from_outside_is_markup_in_the_report(judged: Any, tmp_path: Path) -> None:
    bad = "<script>alert('1')<!--<img src=x onerror='y'>&amp;\"'"
    first = judged[0].rows[0]
    pair = Pair(*(tmp_path / kind / f"{bad}.png" for kind in "cs"))
    for old, new in ((first.pair.content, pair.content), (first.pair.style, pair.style)):
        new.parent.mkdir()
        new.write_bytes(old.read_bytes())
    rows = [replace(first, pair=pair)]
    sets = [Estimate(bad, 1.0, 0.5, 2.0, 3, bad, bad)]
    evil = replace(judged[0], method=bad, rows=rows, about={bad: bad}, sets=sets, failed=(bad,))
    shown = OutputProvider(lambda _: read_image(first.pair.content), lambda _: "x")
    write_report(tmp_path / "plain.html", [replace(evil, method="m", about={}, failed=(), sets=[])], [shown])
    write_report(tmp_path / "evil.html", [evil], [shown])
    plain, got = (ReportPage(tmp_path / f"{name}.html") for name in ("plain", "evil"))
    assert "script" not in got.tags
    assert got.tags.count("img") == plain.tags.count("img") == 4
    # Facts 2, left out 2, table 1, sets 3 and their note 3, the plane's legend 1, by style 3, above the pairs 1,
    # captions 2.
    assert got.text.count(bad) == 18


def test_local_figures_are_relative_to_the_style_pictures_and_do_not_mind_the_judged_size(
    folders: Any, evaluator: Evaluator, judged: Any
) -> None:
    found = json.loads(json.dumps(judged[0].about))["strokes and variety"]
    assert found == str(evaluator.references.local_scale)
    other = Evaluator(evaluator.pairs, short=64).evaluate("half", source(folders / "half"), pairs=evaluator.pairs[:2])
    for row, before in zip(other.rows, judged[0].rows, strict=False):
        for name in ("strokes", "variety", "copied", "kept"):
            assert row.values[name] == pytest.approx(before.values[name], abs=FLOAT32)
        assert row.values["style"] != before.values["style"]
    extractor = evaluator.backbones[0].features
    views = {pair.style.name: at_local_size(read_image(pair.style)) for pair in evaluator.pairs}
    halves = [half_distance(lambda x: extractor(x, 8), views[name]) for name in sorted(views)]  # type: ignore[call-arg]
    seen = [places_of_picture(extractor, views[name]) for name in sorted(views)]
    others = [np.mean(local_distances(seen[i], seen[j])) for i in range(3) for j in range(3) if i != j]
    assert vars(evaluator.references.local_scale) == pytest.approx(vars(LocalScale.of(halves, others)))  # type: ignore[arg-type]
    row = judged[0].rows[0]
    picture = at_local_size(read_image(folders / "half" / f"{row.pair.name}.png"))
    own = local_distances(places_of_picture(extractor, picture), seen[sorted(views).index(row.pair.style.name)])
    expected = [evaluator.references.local_scale.relative(distance) for distance in own]
    assert [row.values["strokes"], row.values["variety"]] == pytest.approx(expected, abs=NETWORK32)


def test_one_style_picture_has_the_built_in_unit(evaluator: Evaluator) -> None:
    pairs = [pair for pair in evaluator.pairs if pair.style.stem == "style1"]
    found = Evaluator(pairs, short=80).evaluate("photo", photos())
    assert "built-in unit, since there is one painting" in found.about["strokes and variety"]
    assert np.isfinite([row.values[name] for row in found.rows for name in ("strokes", "variety")]).all()


@pytest.mark.parametrize("plain", [False, True])
def test_pictures_of_16_pixels_and_a_smaller_one(tmp_path: Path, plain: bool) -> None:
    for i, (kind, side) in enumerate((kind, side) for kind in "cs" for side in (16, 20)):
        picture = tinted_waves(side, 16, i) if not plain else np.full((1, 3, side, 16), 0.2 + 0.1 * i, np.float32)
        write_image(picture, tmp_path / kind / f"{i}.png")
    found = Evaluator(pairs_of(tmp_path / "c", tmp_path / "s"), short=64).evaluate("photo", photos())
    assert np.isfinite([list(row.values.values()) for row in found.rows]).all()
    write_image(tinted_waves(15, 40, 0), tmp_path / "s" / "small.png")
    with pytest.raises(InputError, match="16 or more pixels a side, but a picture has 40 x 15"):
        Evaluator(pairs_of(tmp_path / "c", tmp_path / "s"), short=64).evaluate("photo", photos())


@pytest.mark.slow
def test_the_full_suite_has_vgg_s_figures_too(folders: Any, evaluator: Evaluator) -> None:
    full = Evaluator(evaluator.pairs, "full", short=80)
    found = full.evaluate("half", source(folders / "half"), pairs=evaluator.pairs[:3])
    assert found.rows[0].values.keys() == MEASURES.keys()
    photo = full.evaluate("photo", photos(), pairs=evaluator.pairs[:3])
    for name in ("lpips-form", "vgg-content", "cfsd"):
        assert photo.rows[0].values[name] == pytest.approx(0, abs=FLOAT32)
        assert found.rows[0].values[name] > 0.01


# The commands.


def test_compare_and_its_report(four: Any, tmp_path: Path) -> None:
    sets = (f"half={four / 'half'}", f"all={four / 'all'}")
    options = ("--content", four / "c", "--style", four / "s", "--short", 80, "--report", tmp_path / "r")
    result = run("compare", *sets, *options, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == ["half", "all", *ANCHORS]
    assert found["photo unchanged"]["values"]["content"][0] == 0
    for name in ("copied", "kept"):
        assert found["photo unchanged"]["values"][name][0] == pytest.approx(1)
    copy, photo = (found[name]["values"] for name in ("style picture", "photo unchanged"))
    assert all(copy[name][0] < min(0, photo[name][0]) for name in ("strokes", "variety"))
    assert (tmp_path / "r" / "report.html").is_file()


def test_one_style_picture_leaves_relative_figures_without_a_unit(folders: Any, tmp_path: Path) -> None:
    """They were printed in the unit 1, as in 507,253,760."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "style1.png").write_bytes((folders / "s" / "style1.png").read_bytes())
    options = ("--content", folders / "c", "--style", tmp_path / "one", "--stylized", folders / "half", "--short", 80)
    options = (*options, "--no-anchors", "--report", tmp_path / "r")  # type: ignore[assignment]
    for columns in (200, 40):
        result = run("evaluate", *options, columns=columns)
        assert result.exit_code == 0, result.stderr
        told = " ".join(result.stdout.split())
        assert "not relative: style, texture. Their unit is the mean distance between style pictures" in told
        assert "no intervals: an interval over styles and contents needs 2 or more of each, but has 1 and 3" in told
    rows = run("evaluate", *options, columns=200).stdout.splitlines()
    for name in ("style", "texture"):
        assert any(name in row and "not relative" in row for row in rows)
    report = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "Not relative: style, texture" in report
    assert "No intervals" not in report
    assert "An interval over styles and contents needs 2 or more of each" in report
    # Notes on figures lie below their table, where they wrap at the page's width however wide the table is.
    tables = re.findall(r"<table>.*?</table>", report, re.DOTALL)
    assert "refused: this measure needs" in report
    assert not any("refused: this measure needs" in table for table in tables)
    assert json.loads(run("evaluate", *options, "--json").stdout)["half"]["absolute"] == ["style", "texture"]


@pytest.mark.slow
def test_evaluate_pictures_and_the_shipped_model(four: Any) -> None:
    options = ("--content", four / "c", "--style", four / "s", "--short", 80)
    result = run("evaluate", *options, "--stylized", four / "half")
    assert result.exit_code == 0, result.stderr
    for words in ("content ↓", "strokes ↓", "variety ↓", "copied ↓", "kept ↑", "strokes and variety: 0 is a cosine"):
        assert words in result.stdout
    result = run("evaluate", *options, "--model", "shipped", "--curve", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["sfumato"]["pairs"] == 4
    assert {estimate["name"] for estimate in found["sfumato"]["sets"]} >= {"discriminator_accuracy", "kid"}
    by_strength = {each["strength"]: each["values"]["content"][0] for each in found.values()}
    assert [by_strength[s] for s in sorted(by_strength)] == sorted(by_strength.values())
    assert len(by_strength) == 7


def test_a_blind_page_and_its_votes(folders: Any, tmp_path: Path) -> None:
    sets = (f"half={folders / 'half'}", f"all={folders / 'all'}")
    options = ("--content", folders / "c", "--style", folders / "s")
    result = run("compare", *sets, *options, "--blind", tmp_path / "page.html", "--trials", 5)
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg" in text
    again = run("compare", *sets, *options, "--blind", tmp_path / "page.html", "--trials", 4)
    assert again.exit_code == 4
    assert "page.html already exists" in again.stderr
    assert (tmp_path / "page.html").read_text() == text
    votes = [
        {"content": "photo0.png", "style": f"style{i}.png", "left": "half", "right": "all", "choice": c, "seconds": 2.0}
        for i, c in enumerate(["left", "left", "same"])
    ]
    kept = {"format": "sfumato-votes-1", "page": "p", "question": "Which?", "votes": votes}
    (tmp_path / "votes.json").write_text(json.dumps(kept))
    result = run("evaluate", tmp_path / "votes.json")
    assert result.exit_code == 0, result.stderr
    assert "3 votes on: Which?" in result.stdout
    assert result.stdout.index("half") < result.stdout.index("all ")
    assert json.loads(run("evaluate", tmp_path / "votes.json", "--json").stdout)["votes"] == 3
    (tmp_path / "votes.json").write_text("{")
    assert run("evaluate", tmp_path / "votes.json").exit_code == 3


@pytest.mark.slow
def test_the_cost_of_the_shipped_model() -> None:
    result = run("evaluate", "--model", "shipped", "--cost", "--json")
    assert result.exit_code == 0, result.stderr
    sizes = json.loads(result.stdout)["sizes"]
    assert [one["width"] for one in sizes] == [512, 1920, 3840]
    assert sizes[0]["macs"]["generator.onnx"] == 5_410_390_016
    assert sizes[0]["seconds"] < sizes[1]["seconds"] < sizes[2]["seconds"]


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (2, "there is nothing to evaluate", "evaluate {options}"),
        (2, "cannot be combined", "evaluate {options} --stylized {f}/half --model shipped"),
        (2, "needs two methods", "compare a={f}/half {options}"),
        (2, "two methods are named", "compare a={f}/half a={f}/all {options}"),
        (2, "must be NAME=DIR", "compare a {options}"),
        (2, "files of votes cannot be combined", "evaluate {f}/bad.csv {options}"),
        (2, "--content and --style", "evaluate --stylized {f}/half"),
        (2, "name the model with --model", "evaluate {options} --stylized {f}/half --curve"),
        (2, "name it with --model", "evaluate --cost"),
        (2, "--workers", "evaluate {options} --stylized {f}/half --workers 0"),
        (5, "ONNX", "evaluate {options} --stylized {f}/half --inception {f}/bad.csv"),
        (2, "name of an anchor", "compare a={f}/half photo=x=y colour={f}/all {options}"),
        (3, "none does not exist", "evaluate {options} --stylized {f}/none"),
        (3, "is named <photo>__<style>", "evaluate {options} --stylized {f}/s"),
        (3, "which does not exist", "evaluate {options} --stylized {f}/half --pairs {f}/bad.csv"),
        (5, "is not an exported model", "evaluate {options} --model {f}/half"),
        (2, "between 64 and 1024", "evaluate {options} --stylized {f}/half --short 5"),
    ],
)
def test_mistakes(folders: Any, code: int, message: str, words: str) -> None:
    (folders / "bad.csv").write_text("content,style\nno.png,style0.png\n")
    options = f"--content {folders / 'c'} --style {folders / 's'}"
    arguments = words.format(options=options, f=folders).split()
    if "photo=x=y" in arguments:
        arguments = [a.replace("photo=x=y", f"photo unchanged={folders / 'half'}") for a in arguments]
    result = run(*arguments)
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
