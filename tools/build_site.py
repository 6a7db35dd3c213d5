"""Build the documentation as a site: what `make docs` runs.

usage: build_site.py

The pages are the Markdown files of the repository, in their own places, so that a link works there and on the site.
Notebooks become Markdown.
Three pages are made from the code: the commands, the configuration and the public names of Python. Formulas become
MathML. All of it is collected in out/site-source, of which zensical makes the site in out/site, as mkdocs.yml says. A
link to a page or heading that does not exist ends it with exit code 1.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from sfumato.cli import app
from sfumato.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "out" / "site-source"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "LICENSE", "NOTICE")
#: Packages whose `__all__` is public.
PUBLIC = {
    "sfumato": "The package",
    "sfumato.quality": "Measures",
    "sfumato.training": "Training",
    "sfumato.video": "Videos",
    "sfumato.medical": "Medical look-alikes",
}


def main() -> int:
    collect(ROOT, SOURCE)
    for page in SOURCE.rglob("*.md"):
        page.write_text(with_formulas(page.read_text("utf-8")), "utf-8")
    reference = SOURCE / "reference"
    reference.mkdir()
    (reference / "commands.md").write_text(command_reference(), "utf-8")
    (reference / "configuration.md").write_text(configuration_reference(), "utf-8")
    (reference / "python.md").write_text(python_reference(), "utf-8")
    return build(ROOT / "mkdocs.yml")


def collect(root: Path, out: Path) -> None:
    """Copy the written pages and their pictures; what was in ``out`` goes."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(root / "docs", out / "docs")
    for name in PAGES:
        shutil.copy(root / name, out / name)
    for notebook in out.rglob("*.ipynb"):
        notebook.with_suffix(".md").write_text(notebook_page(notebook.read_text("utf-8"), notebook.name), "utf-8")
        notebook.unlink()
    for page in out.rglob("*.md"):
        page.write_text(re.sub(r"\.ipynb(?=[)#])", ".md", page.read_text("utf-8")), "utf-8")


def notebook_page(notebook: str, name: str) -> str:
    """A notebook's text and code as Markdown; ``name`` is its file's."""
    fence = {"markdown": "{}", "code": "```python\n{}\n```"}
    cells = [fence[cell["cell_type"]].format("".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return (
        "\n\n".join([*cells, f"*This page is the notebook `docs/tutorials/{name}`: open it in Jupyter to run it.*"])
        + "\n"
    )


def with_formulas(text: str) -> str:
    """Markdown with MathML in place of ``$...$`` and ``$$...$$`` outside code: browsers show it without a script."""
    from latex2mathml.converter import convert

    def shown(found: re.Match[str]) -> str:
        if found["block"]:
            return convert(found["block"].strip(), display="block")
        return convert(found["inline"]) if found["inline"] else found[0]

    return re.sub(r"```.*?```|`[^`]*`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+?)\$", shown, text, flags=re.DOTALL)


def build(config: Path) -> int:
    """Make the site; the exit code is not 0 where a link leads nowhere."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", str(config)]
    # A warning makes zensical end with a traceback; the warning above it is what says the file and line.
    done = subprocess.run(command, cwd=config.parent, check=False, capture_output=True, text=True)
    told = (done.stdout + done.stderr).partition("Traceback (most recent call last)")
    print(told[0] if "--strict" in told[2] else "".join(told), end="")
    return min(done.returncode, 1)


def command_reference() -> str:
    """Every command, argument and option, as Typer documents them."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="sfumato")
    return get_docs_for_click(obj=command, ctx=context, name="sfumato", title="Commands")


def configuration_reference() -> str:
    """Every key of a recipe and of ``--set``: its type, default and meaning, a table for each part.

    Raises:
        SystemExit: a key has no meaning: no comment at the end of its line and no entry in ``Attributes:``.
    """
    lines = [
        "# Configuration",
        "",
        "The keys of a recipe, a TOML file for `sfumato train --recipe FILE.toml`. Each can also be set by itself:",
        "`sfumato train ... --set learning_rate=5e-4 --set weights.content=0.1`. An unknown key is an error.",
        "[Training](../docs/training.md) says what they do. `phases` is a list of tables.",
    ]
    for path, model in models(TrainConfig):
        lines += ["", f"## {f'`{path}`' if path else 'The run'}", "", first_paragraph(model), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        meanings = {**commented(model), **attributes(model)}
        for name, field in model.model_fields.items():
            inner = model_in(field.annotation)
            key = f"{path}.{name}" if path else name
            kind = f"see [below](#{anchor(key)})" if inner else named(field.annotation, field.metadata)
            default = "required" if field.default is PydanticUndefined else "" if inner else f"`{toml(field.default)}`"
            if not meanings.get(name):
                raise SystemExit(f"{model.__module__}: {model.__name__}.{name} has no comment that says what it is")
            cells = [f"`{key}`", kind, default, meanings[name].removesuffix(".").replace("|", r"\|")]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def models(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A config and those inside it, each with its path."""
    yield path, model
    for name, field in model.model_fields.items():
        if inner := model_in(field.annotation):
            yield from models(inner, f"{path}.{name}" if path else name)


def model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def anchor(key: str) -> str:
    """The heading's id, as Markdown's toc makes it."""
    return re.sub(r"[^\w\s-]", "", key).strip().lower()


def named(annotation: object, metadata: Iterable[object] = ()) -> str:
    """A type in a few words: ``whole number, ≥ 0``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [getattr(entry, "metadata", [entry]) for entry in arguments[1:]]
        return named(arguments[0], [*metadata, *chain.from_iterable(inner)])
    if origin is Literal:
        return " or ".join(map(toml, arguments))
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"list of {count}({named(arguments[0])})"
    if origin in (Union, UnionType):  # with None, which the default says
        return named(arguments[0], metadata)
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    signs = [f"{sign} {getattr(m, name):g}" for m in metadata for name, sign in bounds.items() if hasattr(m, name)]
    return ", ".join([words[annotation], *signs])


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else "not set" if value is None else str(value)


def first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split()).replace("``", "`")


def commented(model: type[BaseModel]) -> dict[str, str]:
    """What the comment at the end of a field's line says."""
    found = {}
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(model)).readline):
        line = token.line.strip()
        if token.type == tokenize.COMMENT and not line.startswith("#") and (match := re.match(r"(\w+):", line)):
            name = match[1]
            found[name] = token.string.lstrip("# ")
    return found


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What ``Attributes:`` of the docstring says of each field."""
    _, _, section = (inspect.getdoc(model) or "").partition("Attributes:\n")
    return {name: " ".join(text.split()) for name, text in re.findall(r"^    (\w+): ((?:.|\n {5,})+)", section, re.M)}


def python_reference() -> str:
    """A heading for each public package, and mkdocstrings' mark for each of its names."""
    lines = ["# Python", "", "These names are public. Everything else may change from one version to the next."]
    for package, title in PUBLIC.items():
        names = [name for name in import_module(package).__all__ if not name.startswith("__")]
        lines += ["", f"## {title}: `{package}`", *(f"\n::: {package}.{name}" for name in names)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
