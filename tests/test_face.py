"""What strangers meet first: workflows, forms and guides say what is true of the tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import sfumato

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").iterdir())


def load(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(found, dict), path
    return found


def made(commands: str) -> list[str]:
    """The targets of every call of make."""
    calls = re.findall(r"^\s*make\s+(.*)$", commands, re.MULTILINE)
    return [word for call in calls for word in call.split() if "=" not in word and not word.startswith("-")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_whole_and_calls_only_targets_that_there_are(path: Path) -> None:
    workflow = load(path)
    assert {"name", True, "jobs", "permissions"} <= workflow.keys()  # YAML reads `on` as true
    called = []
    for job in workflow["jobs"].values():
        assert set(needed(job)) <= workflow["jobs"].keys()
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@\S+", step["uses"])
            called += made(step.get("run", ""))
    assert called
    assert set(called) <= TARGETS


def needed(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else needs


def test_workflows_run_all_that_ci_runs() -> None:
    asked = made((ROOT / ".ci" / "run").read_text("utf-8"))
    assert {"check", "docs", "test"} <= set(asked) <= TARGETS
    runs = {step.get("run", "") for job in load(WORKFLOWS[0])["jobs"].values() for step in job["steps"]}
    assert {f"make {target}" for target in asked} <= runs


def test_workflows_try_the_versions_of_python_that_are_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    for job in load(WORKFLOWS[0])["jobs"].values():
        assert job["strategy"]["matrix"]["python"] == promised


def test_every_test_of_the_light_install_is_there() -> None:
    listed = re.findall(r"[\w/]+\.py", MAKEFILE.partition("LIGHT_TESTS :=")[2].partition("\n#")[0])
    assert listed
    assert [name for name in listed if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_an_issue_form_has_what_its_host_asks_for(path: Path) -> None:
    form = load(path)
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert ids
    assert len(set(ids)) == len(ids)


def test_hooks_run_what_make_check_runs() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program = hook["entry"].removeprefix(".venv/bin/").split(" --force-exclude")[0]
        assert f"$(BIN)/{program}" in MAKEFILE, hook["id"]


def test_the_citation_agrees_with_the_package() -> None:
    citation = load(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["version"] == sfumato.__version__
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_a_guide_names_are_there(page: str) -> None:
    """A name in backticks with a slash and a suffix is a file of the repository, from its root or from the package."""
    # Not those with a part to fill in, such as cli/NAME.py.
    named = set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|toml|md|yml|csv))`", (ROOT / page).read_text("utf-8")))
    named = {name for name in named if not re.search(r"[A-Z]{4}", Path(name).stem) and not name.startswith("DATA/")}
    assert named
    roots = (ROOT, ROOT / "src" / "sfumato")
    assert sorted(name for name in named if not any((root / name).is_file() for root in roots)) == []
