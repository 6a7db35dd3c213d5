"""The public names are pinned: adding or taking one away is a decision, and this file shows it."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import sfumato

PUBLIC = (
    "Finish", "InputError", "MissingExtraError", "ModelError", "OutputError", "PaintOptions", "PersonalStyle", "Photo",
    "Pipeline", "QualityError", "Recipe", "Result", "SfumatoError", "Style", "StyleAugment", "StyleCode", "Stylizer",
    "TrainingError", "UsageError", "__version__", "list_styles", "load_style", "read_image", "read_photo",
    "write_image", "write_photo",
)  # fmt: skip
OF_QUALITY = (
    "Artefact", "Evaluation", "Evaluator", "Features", "Interval", "Moments", "Pair", "colour_distance", "fid",
    "fid_infinity", "kid", "mean_interval", "psnr", "read_pairs", "ssim", "worst",
)  # fmt: skip
OF_TRAINING = (
    "Decision", "Finding", "Interrupted", "MonitorConfig", "Phase", "Record", "TrainConfig", "Trainer", "Validator",
    "load_recipe", "read_history", "write_health",
)  # fmt: skip
OF_MEDICAL = ("Look", "Lookalike", "Measured", "look_alike")
OF_VIDEO = ("Schedule", "VideoResult", "paint_video")
PACKAGE = Path(sfumato.__file__).parent


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("sfumato", PUBLIC),
        ("sfumato.quality", OF_QUALITY),
        ("sfumato.training", OF_TRAINING),
        ("sfumato.medical", OF_MEDICAL),
        ("sfumato.video", OF_VIDEO),
    ],
)
def test_public_names_are_these_and_no_others(package: str, names: tuple[str, ...]) -> None:
    module = importlib.import_module(package)
    assert tuple(module.__all__) == names
    assert set(names) <= set(dir(module))
    for name in names:
        assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"__version__"}))
def test_a_public_name_appears_under_the_package(name: str) -> None:
    value = getattr(sfumato, name)
    assert (value.__module__, value.__qualname__) == ("sfumato", name)
    assert pickle.loads(pickle.dumps(value)) is value
    assert typing.get_type_hints(value) is not None


def test_values_are_pickled_and_copied_under_the_public_name() -> None:
    for value in (sfumato.PaintOptions(0.5, seed=3), sfumato.Finish(sharpen=0.5)):
        stored = pickle.dumps(value)
        assert b"sfumato.inference" not in stored
        assert pickle.loads(stored) == copy.deepcopy(value) == value
    hints = typing.get_type_hints(sfumato.PaintOptions)
    assert hints["strength"] is float


def test_a_pickle_is_read_where_nothing_was_imported_yet() -> None:
    stored = pickle.dumps(sfumato.PaintOptions(0.5))
    script = f"import pickle; print(pickle.loads({stored!r}).strength)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0.5"


@pytest.mark.parametrize(
    "package", ["sfumato", "sfumato.medical", "sfumato.quality", "sfumato.training", "sfumato.video"]
)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Stylist'"):
        _ = importlib.import_module(package).Stylist


@pytest.mark.parametrize(
    "package", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name[0] != "_")
)
def test_a_package_says_whether_it_is_public(package: str) -> None:
    doc = importlib.import_module(f"sfumato.{package}").__doc__ or ""
    if package in ("medical", "quality", "training", "video"):
        assert "The names in ``__all__`` are public" in doc
    else:
        assert "This package is not public" in doc


def test_the_changelog_knows_the_version() -> None:
    changelog = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{sfumato.__version__}]" in changelog


def test_importing_sfumato_loads_nothing_big() -> None:
    script = "import sys, sfumato; print([m for m in ('numpy', 'PIL', 'pydantic', 'onnxruntime') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
