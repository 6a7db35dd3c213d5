"""docs/articles.md has a row for each thing that the articles name, and shows only what there is."""

from __future__ import annotations

import ast
import math
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import typer

from sfumato.cli import app
from sfumato.training.config import load_recipe

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "articles.md").read_text("utf-8")
THEORY = (ROOT / "docs" / "theory.md").read_text("utf-8")
CODE = re.compile(r"`([^`]+)`")


def rows() -> list[list[str]]:
    """The cells of each row: number, articles, what they say, state, what Sfumato does, what shows it."""
    lines = re.findall(r"^\| (\d+ \|.*)\|$", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def commands() -> list[str]:
    """Each command that the page names, without repetitions."""
    return list(dict.fromkeys(code for code in CODE.findall(PAGE) if code.startswith("sfumato ")))


def test_each_of_the_109_things_has_a_row_with_a_state_and_something_to_show() -> None:
    assert [row[0] for row in rows()] == [str(number) for number in range(1, 110)]
    assert [row[0] for row in rows() if len(row) != 6] == []
    assert {row[3] for row in rows()} == {"yes", "no", "not yet"}
    assert [row[0] for row in rows() if min(map(len, row)) == 0] == []


def test_the_page_counts_its_rows() -> None:
    states = Counter(row[3] for row in rows())
    assert f'{states["yes"]} rows are "yes", {states["no"]} are "no", and {states["not yet"]} are "not yet".' in PAGE


def test_every_command_and_option_exists() -> None:
    whole: Any = typer.main.get_command(app)
    assert len(commands()) > 50
    for line in commands():
        command, words = whole, shlex.split(line)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        assert command is not whole, line
        options = {option for parameter in command.params for option in parameter.opts}
        assert [word for word in words if word.startswith("-") and word not in options] == [], line


def settings() -> list[tuple[str | None, str]]:
    """Each `KEY=VALUE` of the page and of theory.md, with the kind of model that it is set for."""
    found: list[tuple[str | None, str]] = []
    for code in CODE.findall(PAGE + THEORY):
        if "--set " in code and "NAME=" not in code:
            kind = re.search(r"--kind (\w+)", code)
            found += [(kind[1] if kind else None, value) for value in re.findall(r"--set (\S+)", code)]
    return list(dict.fromkeys(found))


def test_every_setting_is_one_that_training_takes() -> None:
    assert len(settings()) > 12
    for kind, value in settings():
        load_recipe("tiny", [value], kind)  # an unknown key, or a value that is not allowed, is an error


def defines(node: ast.stmt) -> list[str]:
    """The names that a statement of a module or of a class gives to something."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_every_name_in_the_code_and_every_file_is_there() -> None:
    names = {code for code in CODE.findall(PAGE + THEORY) if re.fullmatch(r"[a-z_]+(\.\w+)*:[A-Z_a-z.]+", code)}
    names -= {"module:name"}
    assert len(names) > 20
    for name in names:
        module, _, path = name.partition(":")
        file = ROOT / "src" / "sfumato" / module.replace(".", "/")
        inside = ast.parse(
            (file.with_suffix(".py") if file.with_suffix(".py").is_file() else file / "__init__.py").read_text("utf-8")
        )
        for part in path.split("."):
            defined = {key: node for node in getattr(inside, "body", []) for key in defines(node)}
            assert part in defined, name
            inside = defined[part]
    files = {code for code in CODE.findall(PAGE + THEORY) if re.fullmatch(r"(tests|benchmarks)/[\w/]+\.py", code)}
    assert len(files) > 8
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_article_s_worked_example_is_computed_right() -> None:
    generator = -math.log(0.9)
    discriminator = -math.log(0.8) - math.log(1 - 0.9)
    values = (f"{value:.3f}" for value in (generator, discriminator, 0.5 * generator + 0.5 * discriminator))
    assert " ".join(values) == "0.105 2.526 1.316"
    assert "0.105, 2.526, 1.316" in PAGE
    for value in ("0.105", "2.526", "1.316"):
        assert value in THEORY
    assert (f"{generator / math.log(2):.3f}", f"{discriminator / math.log(2):.3f}") == ("0.152", "3.644")


def test_every_paper_that_theory_cites_is_in_its_list() -> None:
    text, _, listed = THEORY.partition("\n## 10. References\n")
    text = " ".join(text.split())
    first = {  # the first name and the year of each
        (entry[1], year)
        for entry in re.finditer(r"^\* ([\w-]+)(?:.|\n  )*", listed, re.MULTILINE)
        for year in re.findall(r"\b(?:19|20)\d\d\b", entry[0])
    }
    others = r" et al\.|(?:, [A-Z][\w-]+)* (?:&|and) [A-Z][\w-]+"
    cited = set(re.findall(rf"([A-Z][\w-]+)(?:{others})? \(?((?:19|20)\d\d)", text))
    assert len(cited) > 30
    assert cited - first == set()
