"""The public names are pinned: adding or taking one away is a decision, and this file shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sfumato

PUBLIC = {
    "__version__": "",
    "InputError": "sfumato.errors",
    "MissingExtraError": "sfumato.errors",
    "ModelError": "sfumato.errors",
    "OutputError": "sfumato.errors",
    "SfumatoError": "sfumato.errors",
    "Style": "sfumato.inference.style",
    "StyleCode": "sfumato.style_code",
    "Stylizer": "sfumato.inference.stylizer",
    "TrainingError": "sfumato.errors",
    "UsageError": "sfumato.errors",
}


def test_public_names_are_these_and_no_others() -> None:
    assert set(sfumato.__all__) == set(PUBLIC)
    assert set(PUBLIC) <= set(dir(sfumato))


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"__version__"}))
def test_a_public_name_is_a_documented_class_from_its_home(name: str) -> None:
    value = getattr(sfumato, name)
    assert isinstance(value, type)
    assert value.__module__ == PUBLIC[name]
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Stylist'"):
        _ = sfumato.Stylist


def test_the_changelog_knows_the_version() -> None:
    changelog = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{sfumato.__version__}]" in changelog


def test_importing_sfumato_loads_nothing_big() -> None:
    script = "import sys, sfumato; print([m for m in ('numpy', 'PIL', 'pydantic', 'onnxruntime') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
