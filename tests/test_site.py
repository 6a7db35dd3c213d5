"""The pages of the site that are made from the code are whole, and a dead link fails the build."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

import sfumato
from sfumato.cli import app
from sfumato.errors import UsageError
from sfumato.training.config import TrainConfig, load_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """tools/build_site.py as a module."""
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "tools" / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_site"] = module
    spec.loader.exec_module(module)
    return module


def parameters(command: Any, path: str) -> list[tuple[str, str]]:
    """The path of each command, and an option's name, unless the option is hidden."""
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    found = [(path, option) for parameter in shown for option in parameter.opts if option.startswith("--")]
    for name, inner in getattr(command, "commands", {}).items():
        found += parameters(inner, f"{path} {name}")
    return found


def test_every_option_of_every_command_is_in_the_reference(site: ModuleType) -> None:
    page = site.command_reference()
    sections = dict(re.findall(r"^#+ `([a-z -]+)`\n(.*?)(?=^#+ `|\Z)", page, re.MULTILINE | re.DOTALL))
    expected = [entry for entry in parameters(typer.main.get_command(app), "sfumato") if entry[0] != "sfumato"]
    assert len(expected) > 100
    assert [entry for entry in expected if not re.search(rf"{entry[1]}\b", sections.get(entry[0], ""))] == []


def test_every_key_of_the_config_is_in_the_reference_with_its_default(site: ModuleType) -> None:
    page = site.configuration_reference()
    config = load_recipe("tiny").model_dump()
    keys = [f"{table}.{key}" for table, inner in config.items() if isinstance(inner, dict) for key in inner]
    keys += [key for key in config if key != "phases"] + [f"phases.{key}" for key in config["phases"][0]]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", page, re.MULTILINE))
    assert set(keys) <= rows.keys()
    default = TrainConfig.model_fields["learning_rate"].default
    assert rows["learning_rate"].startswith(f"number, > 0 | `{default}`")
    assert [key for key, cells in rows.items() if cells.endswith("|")] == []
    with pytest.raises(UsageError, match="unknown key"):
        load_recipe("tiny", ["no_such_key=1"])


def test_a_key_without_a_meaning_ends_the_build(site: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: text for name, text in site.commented(TrainConfig).items() if name != "clip"}
    monkeypatch.setattr(site, "commented", lambda model: without if model is TrainConfig else {})
    with pytest.raises(SystemExit, match=r"TrainConfig\.clip has no comment"):
        site.configuration_reference()


def test_every_public_name_is_in_the_reference(site: ModuleType) -> None:
    marks = re.findall(r"^::: (\S+)$", site.python_reference(), re.MULTILINE)
    assert {f"sfumato.{name}" for name in sfumato.__all__ if name != "__version__"} <= set(marks)


def test_every_page_of_the_site_is_there_and_every_page_that_is_there_is_in_it(
    site: ModuleType, tmp_path: Path
) -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for inner in (entry.values() if isinstance(entry, dict) else entry) for page in pages(inner)]

    listed = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    site.collect(ROOT, tmp_path / "pages")
    written = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.md")}
    made = {f"reference/{name}.md" for name in ("commands", "configuration", "python")}
    assert listed == written | made


def test_a_notebook_becomes_a_page(site: ModuleType) -> None:
    cells = [{"cell_type": "markdown", "source": ["# A\n", "b"]}, {"cell_type": "code", "source": ["x = 1\n", "x"]}]
    page = site.notebook_page(json.dumps({"cells": cells}), "a.ipynb")
    assert page.startswith("# A\nb\n\n```python\nx = 1\nx\n```\n\n")


def test_formulas_are_mathml_and_code_stays(site: ModuleType) -> None:
    pytest.importorskip("latex2mathml", reason="the extra docs is not installed")
    text = site.with_formulas("`$HOME`, $x^2$ and\n\n$$\n\\frac{1}{n}\n$$\n\n```sh\necho $A $B\n```\n")
    assert "$HOME" in text
    assert "echo $A $B" in text
    assert text.count("$") == 3
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in text
    assert re.search(r'<math [^>]*display="block"[^>]*><mrow><mfrac>', text)
    theory = site.with_formulas((ROOT / "docs" / "theory.md").read_text("utf-8"))
    formulas = re.findall(r"<math .*?</math>", theory, re.DOTALL)
    assert len(formulas) > 200
    assert [formula for formula in formulas if re.search(r"\\[a-zA-Z]", formula)] == []


@pytest.mark.parametrize(("link", "code"), [("b.md#there", 0), ("c.md", 1), ("b.md#nowhere", 1)])
def test_a_dead_link_fails_the_build(
    site: ModuleType, tmp_path: Path, link: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("zensical", reason="the extra docs is not installed")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(f"# A\n\n[link]({link})\n", "utf-8")
    (tmp_path / "pages" / "b.md").write_text("# B\n\n## There\n", "utf-8")
    (tmp_path / "mkdocs.yml").write_text("site_name: S\ndocs_dir: pages\nsite_dir: site\n", "utf-8")
    assert site.build(tmp_path / "mkdocs.yml") == code
    told = capsys.readouterr().out
    assert ("does not exist" in told) == (code == 1)
    assert "Traceback" not in told
