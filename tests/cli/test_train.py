from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.image import read_image
from sfumato.inference import Style, Stylizer
from support import assert_one_sentence, run

SFUMATO = [sys.executable, "-c", "from sfumato.cli import app; app(prog_name='sfumato')"]
# A tenth of the recipe's work and no end to it, for runs that are to be stopped.
ENDLESS = ["--set", "phases=[{steps=100000,batch=2,crop=32,thumbnails=[32],zoom_crops=0}]", "--set", "log_every=1"]
# Steps that are small, of a run's two phases.
SMALL = "batch=2,crop=32,thumbnails=[32],zoom_crops=0"
EIGHT = ["--set", f"phases=[{{steps=4,adversarial=false,{SMALL}}},{{steps=4,{SMALL}}}]", "--set", "log_every=2"]
EIGHT += ["--set", "checkpoint_every=4"]
ONE = ["--set", f"phases=[{{steps=1,{SMALL}}}]"]  # for runs of which no more than the beginning is looked at
ENDLESS += ["--set", "identity_samples=0", "--set", "sample_every=1000000", "--set", "checkpoint_every=1000000"]


def message(result: Any) -> Any:
    """What it said, on one line."""
    return " ".join(result.stderr.split())


def files(folder: Path) -> Any:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def steps(out: Any) -> Any:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "health" not in line]


def checkpoints(out: Any) -> Any:
    return sorted(int(p.name) for p in (out / "checkpoints").iterdir() if p.name.isdigit())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twelve photos, and eight paintings of three artists."""
    root = tmp_path_factory.mktemp("pictures of mine")
    y, x = np.mgrid[0:72, 0:96]
    for i in range(12):
        rng = np.random.default_rng(i)
        a, b, c = rng.uniform(-1, 1, (3, 3, 1, 1))
        planes = 0.5 + (a * x / 96 + b * y / 72) / 2 + c * ((x - 60) ** 2 + (y - 30) ** 2 < 50 * i) / 2
        save(root / "photos" / f"{i}.jpg", planes)
    for i in range(8):
        rng = np.random.default_rng(100 + i)
        a, b = rng.uniform(0.3, 1.2, 2)
        pattern = np.sin(a * x + b * y) if i % 2 else np.sin(a * x) * np.sin(b * y)
        first, second = rng.random((2, 3, 1, 1))
        save(root / "paintings" / ("stripes", "dots", "both")[i % 3] / f"{i}.png", np.where(pattern > 0, first, second))
    return root


def save(path: Path, planes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(255 * np.clip(planes, 0, 1)).astype(np.uint8).transpose(1, 2, 0)).save(path)


@pytest.fixture(scope="module")
def train(folders: Any) -> Any:
    """The arguments of a tiny training on the CPU into a folder."""

    def arguments(out: Any, *more: Any) -> Any:
        pictures = ["--content", folders / "photos", "--style", folders / "paintings"]
        return ["train", *pictures, "--recipe", "tiny", "--device", "cpu", "--out", out, *more]

    return arguments


@pytest.fixture(scope="module")
def trained(train: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole run of eight small steps through the command, and what it said."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    result = run(*train(out, *EIGHT))
    assert result.exit_code == 0, result.stderr
    return out, message(result)


@pytest.fixture(scope="module")
def bundle(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = tmp_path_factory.mktemp("models") / "tiny"
    result = run("export", trained[0], "-o", model)
    assert result.exit_code == 0, result.stderr
    assert "difference from torch" in result.stdout
    return model


@pytest.mark.parametrize("mistake", [["--set", "lerning_rate=3"], ["--recipe", "huge"], ["--cycle"]])
def test_a_mistake_in_an_option_is_told_before_torch_is_imported(mistake: list[str], tmp_path: Path) -> None:
    command = ["train", "--content", tmp_path, "--style", tmp_path, "--out", tmp_path / "run", *mistake]
    script = (
        "import sys; from sfumato.cli import app\n"
        "try: app(prog_name='sfumato')\n"
        "finally: print([name for name in ('torch', 'accelerate') if name in sys.modules])"
    )
    asked = [sys.executable, "-c", script, *map(str, command)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == "[]\n"


def test_from_folders_to_a_run(trained: Any) -> None:
    out, told = trained
    assert steps(out) == [2, 4, 6, 8]
    assert checkpoints(out) == [4, 8]
    assert read_image(out / "samples" / "00000008.png").std() > 0.05
    for sentence in (
        "12 pictures in 1 group,",
        "8 pictures in 3 groups",
        "8 steps on cpu: about",
        "GB of",
        "sfumato export",
    ):
        assert sentence in told


def test_the_card_says_what_the_model_learnt_from(bundle: Any) -> None:
    card = json.loads((bundle / "card.json").read_text())
    data = card["data"]
    assert (data["photos"], data["paintings"], data["split"]) == (12, 8, "no manifest")
    assert data["licences"] == {"licence unknown": 20}
    trained_on = {"photos": card["training"]["content_digest"], "paintings": card["training"]["style_digest"]}
    assert data["sha256"] == trained_on
    assert "data" not in card["training"]


def test_from_a_run_to_pictures(bundle: Any, folders: Any, tmp_path: Path) -> None:
    photo, painting = folders / "photos" / "3.jpg", folders / "paintings" / "dots" / "4.png"
    stylizer = Stylizer(bundle)
    painted = stylizer(photo, Style.from_image(painting, None, stylizer))
    assert painted.shape == (1, 3, 72, 96)
    assert np.isfinite(painted).all()
    assert 0 <= painted.min() < painted.max() <= 1
    # Even this model takes the painting's colours: its mean comes nearer to the painting's.
    target, before = (read_image(p).mean((2, 3)) for p in (painting, photo))
    assert np.abs(painted.mean((2, 3)) - target).sum() < 0.5 * np.abs(before - target).sum()
    result = run("stylize", photo, "--style", painting, "--model", bundle, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert np.abs(read_image(tmp_path / "out.png") - painted).max() <= 0.5 / 255 + 1e-6


def test_a_run_tuned_from_another_s_weights(trained: Any, train: Any, tmp_path: Path) -> None:
    short = ["--set", f"phases=[{{steps=2,{SMALL}}}]", "--set", "identity_samples=0"]
    result = run(*train(tmp_path / "tuned", "--from", trained[0], *short))
    assert result.exit_code == 0, result.stderr
    weights = max((trained[0] / "checkpoints").iterdir()) / "model.safetensors"
    stored = json.loads((tmp_path / "tuned" / "config.json").read_text())
    assert stored["started_from"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    result = run(*train(tmp_path / "none", "--from", tmp_path / "nowhere", *short))
    assert result.exit_code == 5
    assert "holds no checkpoint" in message(result)
    assert not (tmp_path / "none").exists()


def test_an_export_is_not_written_over_without_being_told(trained: Any, bundle: Any) -> None:
    before = (bundle / "card.json").read_bytes()
    result = run("export", trained[0], "-o", bundle)
    assert result.exit_code == 4
    assert "--overwrite" in message(result)
    assert (bundle / "card.json").read_bytes() == before


def test_exporting_what_is_no_run_is_one_sentence(folders: Any, tmp_path: Path) -> None:
    for source in (folders, tmp_path / "nowhere"):
        result = run("export", source, "-o", tmp_path / "model")
        assert result.exit_code == 5
        assert result.stderr.count("\n") == 1
    assert files(tmp_path) == []


def test_a_run_s_folder_is_not_trained_over(trained: Any, train: Any) -> None:
    result = run(*train(trained[0]))
    assert result.exit_code == 2
    assert "--resume" in message(result)
    assert steps(trained[0]) == [2, 4, 6, 8]


@pytest.mark.parametrize("text", ["{", "[]", "[" * 200_000, '{"seed": 1e400}'])
def test_a_damaged_configuration_of_a_run_is_one_sentence(train: Any, tmp_path: Path, text: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.json").write_text(text)
    assert_one_sentence(run(*train(out, "--resume")), 5, "config.json")


def test_a_finished_run_can_be_taken_further(trained: Any, train: Any, tmp_path: Path) -> None:
    out = shutil.copytree(trained[0], tmp_path / "run")
    phases = f"phases=[{{steps=10,{SMALL}}}]"
    result = run(*train(out, "--resume", "--set", phases, "--set", "log_every=1"))
    assert result.exit_code == 0, result.stderr
    assert "from step 8 of 10" in message(result)
    assert steps(out) == [2, 4, 6, 8, 9, 10]
    assert checkpoints(out) == [8, 10]
    assert json.loads((out / "config.json").read_text())["recipe"] == "tiny"


def test_a_dry_run_prints_config_folders_and_estimate_and_writes_nothing(
    train: Any, folders: Any, tmp_path: Path
) -> None:
    before = files(folders)
    result = run(*train(tmp_path / "run", "--dry-run", "--set", "seed=3"))
    assert result.exit_code == 0, result.stderr
    config = json.loads(result.stdout)
    assert (config["seed"], config["recipe"]) == (3, "tiny")
    assert "8 pictures in 3 groups" in message(result)
    assert "20 steps on cpu: about" in result.stderr.splitlines()[-1]  # the one line that people look for
    assert "No validation: 0 photos and 0 paintings are held out" in message(result)
    assert files(tmp_path) == []
    assert files(folders) == before


@pytest.fixture(scope="module")
def manifest(folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two photos and three paintings for validation, one of them a copy of what is trained on."""
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    shutil.copytree(folders, path.parent, dirs_exist_ok=True)
    shutil.copy(path.parent / "paintings" / "dots" / "1.png", path.parent / "paintings" / "again.png")
    rows = [(file, "train") for file in sorted(path.parent.rglob("*.*"))]
    apart = ("photos/3.jpg", "photos/7.jpg", "stripes/3.png", "dots/4.png", "again.png")
    rows = [(file.relative_to(path.parent).as_posix(), split) for file, split in rows]  # type: ignore[misc]
    rows = [(file, "validation" if file.endswith(apart) else split) for file, split in rows]  # type: ignore[attr-defined]
    path.write_text("\n".join(["file,split", *map(",".join, rows)]) + "\n")  # type: ignore[arg-type]
    return path


SHORT = ["--set", "phases=[{steps=8,batch=2,crop=32,thumbnails=[32],zoom_crops=0}]", "--set", "identity_samples=0"]
SHORT += ["--set", "validate_every=2", "--set", "validation_side=64", "--set", "log_every=2"]


@pytest.fixture(scope="module")
def impatient(train: Any, manifest: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that stops early, since nothing is improvement enough for it: its folder, its arguments, what it said."""
    out = tmp_path_factory.mktemp("runs") / "impatient"
    pictures = ["--content", manifest.parent / "photos", "--style", manifest.parent / "paintings"]
    arguments = train(out, *pictures, "--manifest", manifest)
    result = run(*arguments, *SHORT, "--set", "patience=2", "--set", "min_improvement=100")
    assert result.exit_code == 0, result.stderr
    return out, arguments, message(result)


def test_a_validation_set_is_told_before_anything_is_written(impatient: Any, tmp_path: Path) -> None:
    _, arguments, _ = impatient
    result = run(*arguments, "--dry-run", "--out", tmp_path / "run", "--set", "content_target=0.9")
    assert result.exit_code == 0, result.stderr
    assert "photos: 10 pictures" in message(result)
    told = "Validation: 2 photos and 2 paintings, 4 pairs evaluated every 10 steps, content steered to 0.9"
    assert told in message(result)
    assert "left out, also used for training: 1 (again.png" in message(result)
    assert json.loads(result.stdout)["content_target"] == 0.9
    assert files(tmp_path) == []


def test_what_is_held_out_validates_where_the_manifest_has_nothing(train: Any, tmp_path: Path) -> None:
    result = run(*train(tmp_path / "run", "--dry-run", "--set", "hold_out=0.4", *ONE))
    assert result.exit_code == 0, result.stderr
    assert "held out for validation: " in message(result)
    assert "pairs evaluated every 10 steps" in message(result)
    result = run(*train(tmp_path / "run", "--dry-run", "--set", "content_target=0.9"))
    assert result.exit_code == 2
    assert "hold_out=0.05" in message(result)
    assert files(tmp_path) == []


def test_a_run_that_stops_early_says_why_and_what_is_best(impatient: Any) -> None:
    out, _, told = impatient
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    judged = {line["step"]: line["validation"]["score"] for line in lines if "validation" in line}
    assert list(judged) == [2, 4, 6]
    best = min(judged, key=judged.get)
    assert "Stopped early at step 6 of 8: in 2 validations the score has not improved by more than 100" in told
    assert f"Best by validation: step {best}, score {judged[best]:.3f}" in told
    assert f"step 6 of 8 validation: content {lines[-1]['validation']['content']:.3f}" in told
    assert {6, best} <= set(checkpoints(out))
    assert json.loads((out / "best.json").read_text())["step"] == best


def test_resuming_what_had_stopped_early_says_so_and_how_to_go_on(impatient: Any, tmp_path: Path) -> None:
    out, arguments, _ = impatient
    run_folder = shutil.copytree(out, tmp_path / "my run")
    before = files(run_folder)
    result = run(*arguments, "--out", run_folder, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "Stopped early at step 6 of 8" in message(result)
    assert files(run_folder) == before
    (line,) = [line for line in result.stderr.splitlines() if "To continue anyway: " in line]
    command = shlex.split(line.partition("To continue anyway: ")[2])
    assert command[-3:] == ["--resume", "--set", "patience=0"]
    result = run(*command[1:])
    assert result.exit_code == 0, result.stderr
    assert "from step 6 of 8" in message(result)
    assert "Stopped early" not in message(result)
    assert 8 in checkpoints(run_folder)


def two_checkpoints(trained: Any, folder: Path) -> Path:
    """A copy of the run whose first checkpoint of two is the best."""
    out = shutil.copytree(trained[0], folder / "run")
    (out / "best.json").write_text(json.dumps({"step": 4, "score": 1.0, "values": {}}))
    return out


def test_the_best_checkpoint_is_exported(trained: Any, tmp_path: Path) -> None:
    out = two_checkpoints(trained, tmp_path)
    result = run("export", out, "-o", tmp_path / "best")
    assert result.exit_code == 0, result.stderr
    card = json.loads((tmp_path / "best" / "card.json").read_text())["training"]
    assert (card["checkpoint"], card["step"]) == ("best by validation", "4")


@pytest.mark.slow
def test_the_newest_checkpoint_is_exported_where_that_is_asked_for(trained: Any, tmp_path: Path) -> None:
    from sfumato.export.onnx import export_run

    export_run(two_checkpoints(trained, tmp_path), tmp_path / "newest", newest=True)
    card = json.loads((tmp_path / "newest" / "card.json").read_text())["training"]
    assert (card["checkpoint"], card["step"]) == ("newest", "8")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--set", "learning_rat=1"], 2, "learning_rate"),
        (["--set", "weights.colour=1"], 2, "statistics"),
        (["--set", "seed"], 2, "KEY=VALUE"),
        (["--recipe", "huge"], 2, "tiny, laptop, flagship"),
        (["--recipe", "absent.toml"], 2, "absent.toml"),
        (["--device", "tpu"], 2, "auto or cpu"),
        (["--content", "nowhere"], 3, "nowhere"),
        (["--manifest", "nowhere.csv"], 3, "nowhere.csv"),
        (["--vgg", "nowhere.pth"], 5, "nowhere.pth"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    train: Any, tmp_path: Path, options: list[str], code: int, sentence: str
) -> None:
    result = run(*train(tmp_path / "run", *options))
    assert result.exit_code == code
    assert sentence in message(result)
    assert "Traceback" not in result.stderr
    assert files(tmp_path) == []


def test_too_few_pictures(train: Any, folders: Any, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    shutil.copy(folders / "photos" / "0.jpg", tmp_path / "few")
    (tmp_path / "few" / "broken.jpg").write_bytes(b"")
    result = run(*train(tmp_path / "run", "--content", tmp_path / "few"))
    assert result.exit_code == 3
    assert "1 usable pictures of 2 found" in message(result)


def test_only_the_manifest_s_train_rows_are_used(train: Any, folders: Any, tmp_path: Path) -> None:
    rows = [f"photos/{i}.jpg,{'train' if i < 5 else 'validation'}" for i in range(12)]
    rows += [
        f"paintings/{('stripes', 'dots', 'both')[i % 3]}/{i}.png,{'train' if i != 1 else 'person'}" for i in range(8)
    ]
    manifest = folders / "manifest.csv"
    manifest.write_text("\n".join(["file,split", *rows]) + "\n")
    try:
        result = run(*train(tmp_path / "run", "--dry-run", "--manifest", manifest, *ONE))
    finally:
        manifest.unlink()
    assert result.exit_code == 0, result.stderr
    assert "photos: 5 pictures" in message(result)
    assert "paintings: 7 pictures" in message(result)


def test_a_loss_that_is_not_finite_ends_with_its_code(train: Any, tmp_path: Path) -> None:
    options = ["--set", "learning_rate=1e12", "--set", "clip=1e30", *ENDLESS]
    result = run(*train(tmp_path / "run", *options))
    assert result.exit_code == 6
    assert "numbers overflowed" in message(result)


class Started:
    """A training in a process of its own, killed at the latest when the test ends."""

    def __init__(self, arguments: Any, out: Any) -> None:
        self.out = out
        with (out.parent / f"{out.name}.txt").open("w") as message:
            self.process = subprocess.Popen(
                [*SFUMATO, *map(str, arguments)],
                stdout=message,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "1000"},
            )

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.process.kill()
        self.process.wait()

    def message(self) -> Any:
        return (self.out.parent / f"{self.out.name}.txt").read_text()

    def wait_for_step(self, step: Any, seconds: int = 300) -> None:
        log, end = self.out / "log.jsonl", time.monotonic() + seconds
        # Health has lines of its own.
        while not log.is_file() or log.read_text().count("pictures_per_second") < step:
            assert self.process.poll() is None, self.message()
            assert time.monotonic() < end, self.message()
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_says_how_to_resume(train: Any, tmp_path: Path, number: Any, code: int) -> None:
    out = tmp_path / "my run"
    with Started(train(out, *ENDLESS), out) as training:
        training.wait_for_step(3)
        training.process.send_signal(number)
        assert training.process.wait(120) == code, training.message()
    text = training.message()
    assert "Traceback" not in text
    (step,) = checkpoints(out)
    assert f"saved at step {step}" in text
    assert steps(out) == list(range(1, step + 1))
    assert any(p.name.startswith("events") and p.stat().st_size > 500 for p in out.rglob("*"))
    # The command that it names goes on from there, as it is written.
    (line,) = [line for line in text.splitlines() if "To continue: " in line]
    command = shlex.split(line.partition("To continue: ")[2])
    assert command[0] == "sfumato"
    result = run(*command[1:], "--set", f"phases=[{{steps={step + 1},batch=2,crop=32,thumbnails=[32],zoom_crops=0}}]")
    assert result.exit_code == 0, result.stderr
    assert f"from step {step} of {step + 1}" in message(result)
    assert command[command.index("--device") + 1] == "cpu"


def test_there_must_be_a_run_to_go_on_with(train: Any, tmp_path: Path) -> None:
    result = run(*train(tmp_path / "misspelt", "--resume"))
    assert result.exit_code == 2
    assert "misspelt holds no run to resume; check the name" in message(result)
    assert not (tmp_path / "misspelt").exists()


@pytest.mark.slow
def test_kill_9_loses_one_checkpoint_interval_at_most(train: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Started(train(out, *ENDLESS, "--set", "checkpoint_every=3"), out) as training:
        training.wait_for_step(8)
        training.process.send_signal(signal.SIGKILL)
        training.process.wait(60)
    done, saved = steps(out)[-1], checkpoints(out)[-1]
    assert done >= 8
    assert done - saved <= 3
    phases = f"phases=[{{steps={done + 2},batch=2,crop=32,thumbnails=[32],zoom_crops=0}}]"
    result = run(*train(out, "--resume", "--set", phases))
    assert result.exit_code == 0, result.stderr
    assert f"from step {saved} of {done + 2}" in message(result)
    assert steps(out) == list(range(1, done + 3))
