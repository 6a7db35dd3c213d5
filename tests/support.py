"""What tests of several commands use."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from sfumato.cli import app


def run(*arguments, columns=200):
    """The command in this process. An exception that the command lets through fails the test."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def assert_one_sentence(result, code, sentence):
    """A mistake is told in one line, with its exit code, and nothing else is said."""
    assert result.exit_code == code
    assert sentence in result.stderr
    assert result.stderr.startswith("sfumato: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def files(folder):
    """The files under a folder, named from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path):
    return np.asarray(Image.open(path))


def scene(height, width, seed=0, level=0.5):
    """A picture of coloured waves and some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 20
    waves = np.stack([np.sin(x * a + y * b) for a, b in rng.uniform(0.5, 3, (3, 2))])
    return np.clip(level + 0.25 * waves + rng.normal(0, 0.06, waves.shape), 0, 1).astype(np.float32)[None]
