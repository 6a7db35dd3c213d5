"""`sfumato batch` as a command: its words and exit codes, Ctrl-C, kill -9, and the engines."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from batch_work import manifest, save_photos
from sfumato.batch.engines import open_engine
from sfumato.batch.local_workers import default_workers, gpus, local
from sfumato.errors import MissingExtraError, UsageError
from sfumato.image import read_photo, read_recipe, write_image
from support import assert_one_sentence, files, run, scene

DRAFT = ("--style", "monet", "--quality", "draft")
COMMAND = [sys.executable, "-m", "sfumato", "batch"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_photos(tmp_path / "in", 5)
    return tmp_path


def pictures(folder: Path) -> list[str]:
    """The whole pictures in a folder; one that is not whole fails the test, and so does a left temporary file."""
    found = [name for name in files(folder) if not name.startswith("batch-report")]
    for name in found:
        read_photo(folder / name)
    return found


def test_two_processes_paint_a_folder_and_a_second_run_does_nothing(folder: Path) -> None:
    (folder / "in" / "bad.jpg").write_bytes(b"no picture")
    (folder / "in" / "notes.txt").touch()
    found = run("batch", folder / "in", folder / "out", *DRAFT, "--workers", 2, "--json")
    assert found.exit_code == 3
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert Counter(line["status"] for line in lines) == {"painted": 5, "failed": 1}
    assert found.stderr.startswith("5 painted, 1 failed in ")
    assert f"bad.jpg  exit 3  cannot read {folder}/in/bad.jpg: it is none of" in found.stderr
    assert "notes.txt: not a picture" in found.stderr
    assert pictures(folder / "out") == [f"{number}.png" for number in range(5)]
    card = json.loads((folder / "out" / "batch-report" / "run.json").read_text())
    assert (card["counts"]["painted"], card["is_whole"], card["seed"]) == (5, True, 0)
    os.unlink(folder / "in" / "bad.jpg")
    again = run("batch", folder / "in", folder / "out", *DRAFT, "--workers", 1)
    assert again.exit_code == 0
    assert again.stderr.startswith("0 painted, 5 already existed in ")
    assert len(manifest(folder / "out" / "batch-report")) == 5
    os.unlink(folder / "out" / "4.png")
    own = ("--style", folder / "in" / "0.png", "--rights", "own", "--quality", "draft")
    other = run("batch", folder / "in", folder / "out", *own, "--strength", 0.5, "--workers", 1)
    assert other.stderr.startswith("5 painted (4 earlier files replaced) in ")
    card = json.loads((folder / "out" / "batch-report" / "run.json").read_text())
    assert (card["counts"]["painted"], card["counts"]["replaced"]) == (5, 4)
    recipe = read_recipe(folder / "out" / "0.png") or {}
    assert recipe["styles"][0]["rights"] == "own: 1"  # type: ignore[index]


def test_a_protected_artist_in_a_table_of_pairs_is_not_public_domain(folder: Path) -> None:
    (folder / "in" / "4.png").rename(folder / "dali.png")
    (folder / "pairs.csv").write_text("photo,style\nin/0.png,dali.png\n")
    told = run("batch", folder / "pairs.csv", folder / "out", "--rights", "public-domain")
    assert_one_sentence(told, 2, "dali.png may name Salvador Dalí")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "no --style was given"),
        (("--style", "no-such-style"), 2, "no-such-style"),
        ((*DRAFT, "--engine", "spark"), 2, "there is no engine 'spark'; choose local, dask, dask://HOST:PORT or ray"),
        ((*DRAFT, "--engine", "dask://nowhere"), 2, "there is no engine"),
        ((*DRAFT, "--engine", "ray://host:1"), 2, "there is no engine"),
        ((*DRAFT, "--engine", "dask://127.0.0.1:1", "--workers", 2), 2, "leave --workers out"),
        ((*DRAFT, "--threads", 0), 2, "--threads must be between 1 and 1,024"),
        ((*DRAFT, "--workers", 0), 2, "--workers must be between"),
        ((*DRAFT, "--strength", 2), 2, "strength"),
        (("--style", "monet", "--keep", 0.5), 2, "add --auto"),
        ((*DRAFT, "--mask", "no.png"), 3, "no.png"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    arguments: tuple[object, ...], code: int, sentence: str, folder: Path
) -> None:
    assert_one_sentence(run("batch", folder / "in", folder / "out", *arguments), code, sentence)
    assert not (folder / "out" / "0.png").exists()


def test_a_target_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "file").touch()
    assert_one_sentence(run("batch", folder / "in", folder / "file", *DRAFT), 4, "it is a file; name a folder")
    assert_one_sentence(
        run("batch", folder / "in", folder / "no" / "out", *DRAFT), 4, "does not exist; create it first"
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.batch.dask_cluster._PATIENCE", 1)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_within_ten_seconds(folder: Path) -> None:
    began = time.monotonic()
    found = run("batch", folder / "in", folder / "out", *DRAFT, "--engine", "dask://127.0.0.1:1")
    assert time.monotonic() - began < 10
    assert_one_sentence(found, 2, "no Dask scheduler answers at 127.0.0.1:1")


@pytest.mark.usefixtures("impatient")
def test_a_cluster_that_is_not_there_is_told(folder: Path) -> None:
    found = run("batch", folder / "in", folder / "out", *DRAFT, "--engine", "dask://127.0.0.1:1")
    assert_one_sentence(found, 2, "no Dask scheduler answers at 127.0.0.1:1")


def test_ray_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="The engine ray needs the extra 'ray'"), open_engine("ray", "", b""):
        pass


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of one worker, in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address.removeprefix("tcp://")


def test_a_dask_cluster_paints_a_folder(folder: Path, scheduler: str) -> None:
    (folder / "in" / "bad.jpg").write_bytes(b"no picture")
    found = run("batch", folder / "in", folder / "out", *DRAFT, "--engine", f"dask://{scheduler}")
    assert found.exit_code == 3
    assert found.stderr.startswith("5 painted, 1 failed in ")
    assert len(pictures(folder / "out")) == 5


@pytest.mark.usefixtures("impatient")
def test_a_dask_scheduler_without_workers_is_told(folder: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        found = run("batch", folder / "in", folder / "out", *DRAFT, "--engine", f"dask://{address}")
    assert_one_sentence(found, 2, f"the Dask scheduler at {address} has no worker; start some with: dask worker")


def test_one_worker_for_each_core_or_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_workers(1, "auto") == max(1, default_workers(10_000, "auto") * len(os.sched_getaffinity(0)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert gpus() == ["2", "5"]
    assert default_workers(1, "cuda") == 2
    with pytest.raises(UsageError, match="does not share its GPUs"), open_engine("dask", "", b"", device="cuda"):
        pass


def test_workers_get_the_number_of_threads_of_the_libraries() -> None:
    before = dict(os.environ)
    with local("", "", b"", 1, 3, "cpu"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            assert os.environ[name] == "3"
    assert dict(os.environ) == before


def test_a_reader_of_lines_that_ends_is_no_error(folder: Path) -> None:
    command = [*COMMAND, str(folder / "in"), str(folder / "out"), *DRAFT, "--workers", "1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 141  # as of a process that SIGPIPE ends
    assert told == ""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, str(folder / "in"), str(folder / "out"), *DRAFT, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def save_scenes(folder: Path, count: int, side: int = 96) -> None:
    folder.mkdir()
    for number in range(count):
        write_image(scene(side, side, number), folder / f"{number:03d}.jpg")


def wait_for(count: int, folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        if folder.exists() and len(list(folder.glob("*.jpg"))) >= count:
            return
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that paint: descendants of the command that are not helpers of multiprocessing."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        return [each for each in below if any("spawn_main" in word for word in each.cmdline())]
    except psutil.Error:
        return []


def test_ctrl_c_finishes_what_is_begun_and_says_how_to_go_on(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 40)
    with start(tmp_path, "--workers", "1") as process:
        wait_for(2, tmp_path / "out", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, the workers too
        _, told = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "finishing what is being painted; press Ctrl-C again to stop at once" in told
    assert "run the same command again to go on" in told
    assert "Traceback" not in told, told
    done = pictures(tmp_path / "out")
    assert 2 <= len(done) < 40
    assert sorted(line["target"] for line in manifest(tmp_path / "out" / "batch-report")) == done
    found = run("batch", tmp_path / "in", tmp_path / "out", *DRAFT, "--workers", 2)
    assert found.stderr.startswith(f"{40 - len(done)} painted, {len(done)} already existed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_everything_at_any_moment_leaves_what_the_next_run_completes(seed: int, tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 40)
    delay = random.Random(seed)
    for _ in range(3):
        with start(tmp_path, "--workers", "2") as process:
            wait_for(delay.randrange(1, 15), tmp_path / "out", process)
            workers = workers_of(process)
            process.kill()
            process.communicate()
        assert process.returncode in (-9, 0)
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []  # workers end with their parent
    found = run("batch", tmp_path / "in", tmp_path / "out", *DRAFT, "--workers", 2)
    assert found.exit_code == 0
    assert pictures(tmp_path / "out") == [f"{number:03d}.jpg" for number in range(40)]
    targets = Counter(line["target"] for line in manifest(tmp_path / "out" / "batch-report"))
    assert targets == dict.fromkeys(pictures(tmp_path / "out"), 1)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_five_killed_workers_cost_no_picture(engine: str, tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 60, 160)
    with start(tmp_path, "--workers", "2", "--engine", engine, "--json") as process:
        for number in range(5):
            wait_for(3 + 8 * number, tmp_path / "out", process)
            deadline = time.monotonic() + 30
            while not (workers := workers_of(process)) and time.monotonic() < deadline:
                time.sleep(0.02)
            workers[number % len(workers)].kill()
        out, told = process.communicate(timeout=400)
    assert process.returncode == 0, told
    lines = [json.loads(line) for line in out.splitlines()]
    assert Counter(line["target"] for line in lines) == dict.fromkeys(pictures(tmp_path / "out"), 1)
    assert len(lines) == 60
    assert {line["status"] for line in lines} <= {"painted", "present"}


@contextmanager
def cluster(port: int, log: Path, **environment: str) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and one worker, as commands start them; and their processes."""
    address = f"127.0.0.1:{port}"
    commands = [
        ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        ["distributed.cli.dask_worker", f"tcp://{address}", "--nthreads", "1", "--no-dashboard"],
    ]
    with log.open("wb") as file:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command], stdout=file, stderr=file, env=os.environ | environment, cwd=log.parent
            )
            for command in commands
        ]
        try:
            deadline = time.monotonic() + 90
            while "Starting established connection" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            yield f"dask://{address}", processes
        finally:
            for each in processes[::-1]:
                each.terminate()
            for each in processes:
                try:
                    each.wait(10)
                except subprocess.TimeoutExpired:
                    each.kill()
                    each.wait()


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_batch_in_a_sentence(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 60, 160)
    with cluster(18786, tmp_path / "log") as (engine, processes), start(tmp_path, "--engine", engine) as process:
        wait_for(4, tmp_path / "out", process)
        processes[0].kill()
        _, told = process.communicate(timeout=240)
    assert process.returncode == 4, told
    assert "cannot be reached any more" in told
    assert "Traceback" not in told, told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        ("raise ImportError('there is no Sfumato here')", "cannot import Sfumato (there is no Sfumato here)"),
        ("__version__ = '0.0.9'", "has Sfumato 0.0.9, and this is"),
    ],
)
def test_workers_without_this_sfumato_are_told(theirs: str, sentence: str, folder: Path) -> None:
    (folder / "fake" / "sfumato").mkdir(parents=True)
    (folder / "fake" / "sfumato" / "__init__.py").write_text(theirs)
    with cluster(18787, folder / "log", PYTHONPATH=str(folder / "fake")) as (engine, _):
        found = run("batch", folder / "in", folder / "out", *DRAFT, "--engine", engine)
    assert_one_sentence(found, 3, sentence)


@pytest.mark.slow
def test_ctrl_c_leaves_a_cluster_ready_for_the_next_batch(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 60, 160)
    with cluster(18788, tmp_path / "log") as (engine, _):
        with start(tmp_path, "--engine", engine) as process:
            wait_for(4, tmp_path / "out", process)
            os.killpg(process.pid, signal.SIGINT)
            _, told = process.communicate(timeout=240)
        assert process.returncode == 130, told
        assert "Traceback" not in told, told
        done = pictures(tmp_path / "out")
        with start(tmp_path, "--engine", engine) as process:
            _, told = process.communicate(timeout=240)
    assert process.returncode == 0
    assert told.startswith(f"{60 - len(done)} painted, {len(done)} already existed")
    assert len(pictures(tmp_path / "out")) == 60


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once_with_an_own_dask_cluster(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 200, 160)
    with start(tmp_path, "--engine", "dask", "--workers", "2") as process:
        wait_for(4, tmp_path / "out", process)
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.5)
        _, told = process.communicate(timeout=180)
    assert process.returncode == 130, told
    assert "Traceback" not in told, told
    assert pictures(tmp_path / "out")  # each is whole
