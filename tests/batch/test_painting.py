"""What a batch writes: every picture once, by content, and nothing that it should not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from zipfile import ZipFile

import fsspec
import numpy as np
import pytest
from PIL import Image

from batch_work import manifest, paint, save_photos, small, spec_of, states
from sfumato import PaintOptions, Pipeline
from sfumato.batch.jobs import Job, plan
from sfumato.batch.outcomes import Outcome
from sfumato.batch.painter import Painter
from sfumato.batch.records import Counts, open_records, write_card
from sfumato.errors import ModelError, OutputError
from sfumato.image import read_photo, write_image
from support import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_photos(tmp_path / "in", 3)
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_a_batch_paints_what_a_pipeline_paints(folder: Path) -> None:
    outcomes = paint(folder / "in", folder / "out", folder / "report")
    assert states(outcomes) == dict.fromkeys(["0.png", "1.png", "2.png"], "painted")
    result = Pipeline("monet", PaintOptions(quality="draft"))(folder / "in" / "1.png")
    found = read_photo(folder / "out" / "1.png")
    assert np.array_equal(found.pixels, result.picture.pixels)
    assert found.metadata.recipe == result.recipe.to_json()


def test_a_second_run_paints_nothing_and_a_change_is_painted_again(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    before = written(folder / "out")
    assert set(states(paint(folder / "in", folder / "out", folder / "report")).values()) == {"present"}
    assert written(folder / "out") == before
    assert len(manifest(folder / "report")) == 3
    write_image(small(9), folder / "in" / "1.png")
    os.unlink(folder / "out" / "2.png")
    assert states(paint(folder / "in", folder / "out", folder / "report")) == {
        "0.png": "present", "1.png": "painted", "2.png": "painted",
    }  # fmt: skip
    after = written(folder / "out")
    assert [after[name] == before[name] for name in sorted(before)] == [True, False, True]
    assert len(manifest(folder / "report")) == 4  # the changed one has a line more, the lost one its old line
    again = paint(folder / "in", folder / "out", folder / "report", strength=0.5)
    assert [(each.status, each.replaced) for each in again] == [("painted", True)] * 3


def test_the_manifest_holds_the_hashes_of_photos_and_results(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    lines = {line["photo"]: line for line in manifest(folder / "report")}
    for name in ("0.png", "1.png", "2.png"):
        assert lines[name]["photo_sha256"] == hashlib.sha256((folder / "in" / name).read_bytes()).hexdigest()
        assert lines[name]["sha256"] == hashlib.sha256((folder / "out" / name).read_bytes()).hexdigest()
        assert lines[name]["bytes"] == os.path.getsize(folder / "out" / name)
    assert len({line["key"] for line in lines.values()}) == 3


def test_equal_photos_are_painted_once_and_written_under_each_name(folder: Path) -> None:
    content = (folder / "in" / "1.png").read_bytes()
    for name in ("twin.png", "deep/twin.png"):
        (folder / "in" / name).parent.mkdir(exist_ok=True)
        (folder / "in" / name).write_bytes(content)
    (folder / "in" / "other.png").write_bytes(content[:-1] + b"!")  # of the same size, with a wrong checksum at its end
    found = states(paint(folder / "in", folder / "out", folder / "report"))
    assert sorted(found[name] for name in ("1.png", "twin.png", "deep/twin.png")) == ["copied", "copied", "painted"]
    assert found["other.png"] == "painted"
    made = written(folder / "out")
    assert made["1.png"] == made["twin.png"] == made["deep/twin.png"]
    os.unlink(folder / "out" / "twin.png")
    found = states(paint(folder / "in", folder / "out", folder / "report"))
    assert found["twin.png"] == "copied"  # from the one that is there
    assert set(found.values()) == {"copied", "present"}


def test_one_bad_photo_is_a_failure_in_the_table_and_stops_no_other(folder: Path) -> None:
    (folder / "in" / "bad,name.jpg").write_bytes(b"no picture")
    (folder / "in" / "empty.png").touch()
    found = states(paint(folder / "in", folder / "out", folder / "report"))
    assert [name for name, state in found.items() if state == "failed"] == ["bad,name.jpg", "empty.png"]
    rows = list(csv.reader((folder / "report" / "failures.csv").read_text().splitlines()))
    assert rows[0] == ["file", "error", "exit_code"]
    assert {row[0]: row[2] for row in rows[1:]} == {"bad,name.jpg": "3", "empty.png": "3"}
    assert f"cannot read {folder}/in/empty.png: the file is empty" in dict(row[:2] for row in rows[1:])["empty.png"]
    os.unlink(folder / "in" / "bad,name.jpg")
    os.unlink(folder / "in" / "empty.png")
    paint(folder / "in", folder / "out", folder / "report")
    assert len((folder / "report" / "failures.csv").read_text().splitlines()) == 1


def test_a_file_that_sfumato_did_not_paint_is_not_replaced_unless_asked(folder: Path) -> None:
    write_image(small(5), folder / "out" / "1.png")
    mine = (folder / "out" / "1.png").read_bytes()
    outcomes = paint(folder / "in", folder / "out", folder / "report")
    assert states(outcomes)["1.png"] == "failed"
    assert "was not painted by Sfumato; add --overwrite" in next(each.error for each in outcomes if each.error)
    assert (folder / "out" / "1.png").read_bytes() == mine
    found = states(paint(folder / "in", folder / "out", folder / "report", overwrite=True))
    assert found == {"0.png": "present", "1.png": "painted", "2.png": "present"}


def test_sfumatos_own_results_in_a_folder_are_passed_over(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    (folder / "out" / "1.png").rename(folder / "in" / "result.png")
    assert states(paint(folder / "in", folder / "out2", folder / "report2"))["result.png"] == "result"
    assert not (folder / "out2" / "result.png").exists()


def test_urls_are_read_and_written_like_folders(folder: Path) -> None:
    with ZipFile(folder / "in.zip", "w") as archive:
        for number in range(3):
            archive.write(folder / "in" / f"{number}.png", f"set/{number}.png")
    paint(folder / "in", folder / "out", folder / "report")
    outcomes = paint(f"zip://set::file://{folder}/in.zip", "memory://from-zip/a", folder / "zip")
    assert set(states(outcomes).values()) == {"painted"}
    store = fsspec.filesystem("memory")
    found = {path.rpartition("/")[2]: store.cat_file(path) for path in store.find("/from-zip/a")}
    assert found == written(folder / "out")
    again = paint(f"zip://set::file://{folder}/in.zip", "memory://from-zip/a", folder / "zip")
    assert set(states(again).values()) == {"present"}


def test_a_table_paints_each_row_in_its_style(folder: Path) -> None:
    (folder / "pairs.csv").write_text("photo,style\nin/0.png,monet\nin/0.png,great-wave\nin/1.png,\nin/no.png,\n")
    outcomes = paint(folder / "pairs.csv", folder / "out", folder / "report")
    assert files(folder / "out") == ["in/0-great-wave.png", "in/0-monet.png", "in/1.png"]
    recipes: list[Any] = [read_photo(folder / "out" / name).metadata.recipe for name in files(folder / "out")]
    assert [recipe["styles"][0]["name"] for recipe in recipes] == ["great-wave", "monet", "monet"]
    assert [each.photo for each in outcomes if each.status == "failed"] == [f"{folder}/in/no.png"]


def test_a_worker_that_would_paint_otherwise_refuses(folder: Path) -> None:
    spec = spec_of(plan(str(folder / "in"), str(folder / "out")), folder / "out")
    object.__setattr__(spec, "recipes", {"": "0" * 64})
    painter = Painter(spec)
    with pytest.raises(ModelError, match="would paint otherwise; install there what started the batch"):
        painter.pipeline("")
    (outcome,) = painter.paint(Job("0.png", "0.png"))
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert not (folder / "out" / "0.png").exists()


@pytest.mark.parametrize(("make", "word"), [(lambda: 1 / 0, "unexpected ZeroDivisionError"), (MemoryError, "memory")])
def test_no_error_of_a_photo_leaves_a_worker(make: Callable[[], Any], word: str, folder: Path) -> None:
    class Odd(Painter):
        def make(self, *arguments: Any) -> NoReturn:
            problem = make()
            raise problem if isinstance(problem, Exception) else AssertionError

    spec = spec_of(plan(str(folder / "in"), str(folder / "out")), folder / "out")
    (outcome,) = Odd(spec).paint(Job("0.png", "0.png"))
    assert outcome.status == "failed"
    assert word in outcome.error


def test_the_limit_of_pixels_holds_in_workers(folder: Path) -> None:
    outcomes = paint(folder / "in", folder / "out", folder / "report", max_pixels=100)
    assert {each.status for each in outcomes} == {"failed"}
    assert "more than the limit of 0.0001 megapixels" in outcomes[0].error


def test_records_survive_a_kill_in_the_middle_of_a_line(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    path = folder / "report" / "manifest.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    paint(folder / "in", folder / "out", folder / "report")
    assert sorted(line["photo"] for line in manifest(folder / "report")) == ["0.png", "1.png", "2.png"]
    foreign = b"[1]\nnot json\n" + b"[" * 3000 + b"]" * 3000 + b"\n"
    path.write_bytes(foreign + whole)
    paint(folder / "in", folder / "out", folder / "report")
    assert path.read_bytes() == foreign + whole


def test_two_batches_never_write_one_report(tmp_path: Path) -> None:
    with (
        open_records(tmp_path),
        pytest.raises(OutputError, match="another batch writes its records"),
        open_records(tmp_path),
    ):
        pass


def test_the_card_names_versions_data_and_result(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    first, second = Counts(), Counts()
    outcomes = paint(folder / "in", folder / "out", folder / "report")
    for outcome in outcomes:
        first.add(outcome)
    for outcome in reversed(outcomes):
        second.add(outcome)
    assert first.data_sha256 == second.data_sha256
    assert first.data_sha256 != Counts().data_sha256
    write_card(folder / "report", first, {"seed": 3}, 1.5, True)
    card = json.loads((folder / "report" / "run.json").read_text())
    assert card["counts"] == {"painted": 0, "copied": 0, "present": 3, "result": 0, "failed": 0, "replaced": 0}
    assert card["versions"]["sfumato"]
    assert card["data_sha256"] == first.data_sha256


def test_formats_and_file_quality_are_those_of_the_command(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report", "jpg")
    found = Image.open(io.BytesIO((folder / "out" / "0.jpg").read_bytes()))
    assert found.format == "JPEG"


def test_a_file_system_that_is_no_object_store_is_written_by_renaming(folder: Path) -> None:
    paint(folder / "in", folder / "out", folder / "report")
    outcomes = paint(f"local://{folder}/in", f"local://{folder}/remote/deep", folder / "other")
    assert set(states(outcomes).values()) == {"painted"}
    assert written(folder / "remote" / "deep") == written(folder / "out")  # and no temporary file
    assert set(states(paint(f"local://{folder}/in", f"local://{folder}/remote/deep", folder / "other")).values()) == {
        "present"
    }


def test_shards_are_read_and_written_at_urls(folder: Path) -> None:
    store = fsspec.filesystem("memory")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder / "in" / "0.png", "0.png")
    store.pipe({"/shards-in/a.tar": buffer.getvalue()})
    for target in ("memory://shards-out", f"local://{folder}/remote"):
        outcomes = paint("memory://shards-in/*.tar", target, folder / "report")
        assert states(outcomes) == {"a.tar::0.png": "painted"}
        assert states(paint("memory://shards-in/*.tar", target, folder / "report")) == {"a.tar::0.png": "present"}
    assert store.cat_file("/shards-out/a.tar") == (folder / "remote" / "a.tar").read_bytes()


def test_a_store_that_fails_is_a_failure_of_the_photo(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "1.png").mkdir()
    outcomes = paint(folder / "in", folder / "out", folder / "report")
    assert states(outcomes)["1.png"] == "failed"
    assert next(each.exit_code for each in outcomes if each.error) == 4


def test_an_error_of_a_batch_is_no_error_of_its_records(tmp_path: Path) -> None:
    with open_records(tmp_path) as records, open("/dev/full", "wb", buffering=0) as full:
        records._manifest = full
        with pytest.raises(OutputError, match=f"cannot write the records in {tmp_path}: No space"):
            records.add(Outcome("a.png", "a.png", "painted", key="k", sha256="s"))
    with pytest.raises(BrokenPipeError), open_records(tmp_path):
        raise BrokenPipeError
