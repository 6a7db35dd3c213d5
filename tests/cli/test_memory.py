"""What does not fit into memory is one sentence, and in a folder the others are done all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sfumato.cli import _Commands
from sfumato.cli.pictures import Pictures
from sfumato.errors import InputError
from sfumato.image import Photo, read_image, write_image
from sfumato.inference.jobs import Job
from support import FLOAT32, scene


class Inverted(Pictures):
    """Wants 2 ** 50 bytes for photos that are called so."""

    doing, done = "inverting", "inverted"

    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        if Path(name).name == "large.png":
            np.empty(1 << 50, np.uint8)
        return replace(photo, pixels=255 - photo.pixels)

    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        return False

    def made_of(self, found: dict[str, object]) -> None:
        return None


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for name in ("a", "large", "z"):
        write_image(scene(16, 16), tmp_path / f"{name}.png")
    return [Job(tmp_path / f"{name}.png", tmp_path / f"{name}-out.png") for name in ("a", "large", "z")]


def test_a_photo_too_large_for_memory_does_not_end_a_folder(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught:
        Inverted(None, 95, False, False).all(jobs, is_batch=True)
    assert caught.value.exit_code == InputError.exit_code
    assert [job.target.exists() for job in jobs if job.target] == [True, False, True]
    np.testing.assert_allclose(read_image(jobs[2].target or ""), 1 - read_image(jobs[2].photo or ""), atol=FLOAT32)
    message = "".join(capsys.readouterr()).replace("\n", "")
    assert "large.png does not fit into memory" in message
    assert "1 failed" in message


def test_one_photo_too_large_for_memory_is_an_input_error(jobs: list[Job]) -> None:
    with pytest.raises(InputError, match=r"large\.png does not fit into memory"):
        Inverted(None, 95, False, False).all(jobs[1:2], is_batch=False)


@pytest.mark.parametrize("of", ["numpy", "torch"])
def test_any_command_that_runs_out_of_memory_ends_in_one_sentence(of: str) -> None:
    app = typer.Typer(cls=_Commands, pretty_exceptions_enable=False)

    @app.command()
    def greedy() -> None:
        if of == "numpy":
            np.empty(1 << 50, np.uint8)
        else:
            import torch

            torch.empty(1 << 50, dtype=torch.uint8)

    @app.command()
    def broken() -> None:
        raise RuntimeError("a bug of ours")

    result = CliRunner().invoke(app, ["greedy"])
    assert (result.exit_code, result.stdout) == (InputError.exit_code, "")
    assert result.stderr.startswith("sfumato: out of memory")
    assert result.stderr.count("\n") == 1
    with pytest.raises(RuntimeError, match="a bug"):
        CliRunner().invoke(app, ["broken"], catch_exceptions=False)
