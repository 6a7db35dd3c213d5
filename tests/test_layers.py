"""Imports go down only, neighbours do not import each other, and the light part needs no torch.

The table is that of the architecture, with the ground floor drawn out and the modules that came later in their places.
Imports inside functions and under `TYPE_CHECKING` count for the layers; only those that run when a module is imported
count for lightness.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "sfumato"

LAYERS = (  # top to bottom
    {"__main__"},
    {"cli"},
    {"studio"},
    {"video", "batch", "texture", "medical"},
    {"personal", "export"},
    {"training", "inference"},
    {"quality"},
    {"losses", "checkpoint", "data", "provenance"},
    {"networks", "assets"},
    {"sheet"},
    {"image", "config", "style_code"},
    {"deep", "metadata"},
    {"limits", "tables"},
    {"checks", "files", "html", "onnx_file", "parallel", "pipes", "rights", "text", "xmp_iptc"},
    {"folders", "locks"},
    {"errors"},
    {"public"},
)
HEIGHT = {name: height for height, layer in enumerate(reversed(LAYERS)) for name in layer}

#: What the light install runs: these import nothing but the standard library, its dependencies and each other.
LIGHT = {
    "__main__",
    "assets",
    "batch",
    "checks",
    "cli",
    "config",
    "deep",
    "errors",
    "files",
    "folders",
    "html",
    "image",
    "inference",
    "limits",
    "locks",
    "medical",
    "metadata",
    "onnx_file",
    "personal",
    "provenance",
    "quality",
    "sheet",
    "style_code",
    "pipes",
    "public",
    "rights",
    "tables",
    "text",
    "texture",
    "video",
    "xmp_iptc",
    # Of the other parts, what checks a run's options before torch is imported
    "losses.config",
    "networks.config",
    "training.config",
    "training.findings",
    "training.monitor",
    "training.rules",
    "training.signals",
}
DISTRIBUTION_TO_MODULE = {"pillow": "PIL"}
HEAVY = ("torch", "accelerate", "onnx", "tensorboard", "torchvision")


def sources() -> dict[str, str]:
    """Dotted module name to source, for every module of the package; a package's name ends in `.__init__`."""
    return {
        ".".join(("sfumato", *path.relative_to(PACKAGE).with_suffix("").parts)): path.read_text("utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(module: str, source: str, at_import_time: bool = False, typing: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of each thing that a module imports; without ``typing`` none for type checkers."""
    package = module.split(".")[:-1]
    for node in _nodes(ast.parse(source), at_import_time, typing and not at_import_time):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def _nodes(tree: ast.AST, at_import_time: bool, typing: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if not typing and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _nodes(node, at_import_time, typing)


def part(dotted: str) -> str | None:
    """The layer's name that a dotted name lies in: `sfumato.data.folders.encode_full` is in `data`; None outside
    Sfumato."""
    words = dotted.split(".")
    return words[1] if words[0] == "sfumato" and len(words) > 1 else None


def upward_imports(modules: Mapping[str, str]) -> list[str]:
    found = []
    for module, source in modules.items():
        own = part(module)
        if own in (None, "__init__"):  # the package's own door hands out names from everywhere, lazily
            continue
        for line, target in imports(module, source):
            other = part(target)
            if other in (None, own, "__version__"):
                continue
            if own not in HEIGHT or other not in HEIGHT:
                found.append(f"{module}:{line} imports {target}: one of them has no place in LAYERS")
            elif HEIGHT[other] >= HEIGHT[own]:
                found.append(f"{module}:{line} imports {target}, which is not below it")
    return found


def import_cycles(modules: Mapping[str, str]) -> list[str]:
    """Each cycle of modules that import each other, wherever in them, but for ``if TYPE_CHECKING``.

    That importing a module runs its packages' ``__init__`` as well does not count.
    """
    names = {module.removesuffix(".__init__"): module for module in modules}
    graph: dict[str, list[str]] = {}
    for name, module in names.items():
        found = {_longest(target, names) for _, target in imports(module, modules[module], typing=False)}
        graph[name] = sorted(found - {None, name})
    cycles, done = [], set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            cycles.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in graph[name]:
                walk(target, [*path, name])
            done.add(name)

    for name in graph:
        walk(name, [])
    return cycles


def _longest(target: str, names: Mapping[str, str]) -> str | None:
    """The module that a dotted name is, or is in."""
    while target and target not in names:
        target = target.rpartition(".")[0]
    return None if target == "sfumato" else target or None


def lies_in(dotted: str, names: set[str]) -> bool:
    """Whether a dotted name is one of those parts or modules of Sfumato, or inside of one."""
    inner = dotted.removeprefix("sfumato.")
    return any(f"{inner}.".startswith(f"{name}.") for name in names)


def is_light(module: str) -> bool:
    return lies_in(module, LIGHT | {"__init__"})


def heavy_imports(modules: Mapping[str, str], allowed: set[str]) -> list[str]:
    return [
        f"{module}:{line} imports {target} when it is imported"
        for module, source in modules.items()
        if is_light(module)
        for line, target in imports(module, source, at_import_time=True)
        if (not lies_in(target, LIGHT | {"__version__"}) if part(target) else target.split(".")[0] not in allowed)
    ]


def light_dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[^A-Za-z0-9_.-]", dependency)[0] for dependency in project["dependencies"]}
    return {DISTRIBUTION_TO_MODULE.get(name, name) for name in names}


def test_imports_go_down_only() -> None:
    assert upward_imports(sources()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert import_cycles(sources()) == []


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("from sfumato.b import y", "from sfumato.a import x", 1),
        ("def f():\n    from sfumato.b import y", "import sfumato.a", 1),
        ("from sfumato import b", "def f():\n    from sfumato.a import x", 1),
        ("from sfumato.b import y", "from sfumato.c import z", 0),
        ("from sfumato.b import y", "if TYPE_CHECKING:\n    from sfumato.a import x", 0),
    ],
)
def test_the_look_for_circles_finds_planted_ones(one: str, other: str, count: int) -> None:
    modules = {"sfumato.__init__": "", "sfumato.a": one, "sfumato.b": other, "sfumato.c": "import json"}
    assert len(import_cycles(modules)) == count


def test_every_module_has_a_place() -> None:
    parts = {part(module) for module in sources()} - {"__init__"}
    assert parts - HEIGHT.keys() == set()


def test_light_modules_import_only_light_things() -> None:
    allowed = light_dependencies() | sys.stdlib_module_names
    assert not allowed & set(HEAVY)
    assert heavy_imports(sources(), allowed) == []


def test_torchvision_is_nowhere() -> None:
    found = [m for m, source in sources().items() for _, name in imports(m, source) if name.startswith("torchvision")]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sfumato.networks.layers", "from sfumato.training.step import generator_step"),
        ("sfumato.networks.layers", "def f():\n    import sfumato.training.step"),
        ("sfumato.losses.total_loss", "from sfumato.data import folders"),  # a neighbour
        ("sfumato.losses.total_loss", "from ..data import folders"),
        ("sfumato.errors", "from sfumato import checks"),
        ("sfumato.image", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sfumato.cli import app"),
        ("sfumato.newcomer", "import sfumato.errors"),
    ],
)
def test_the_check_of_layers_finds_planted_faults(module: str, source: str) -> None:
    assert len(upward_imports({module: source})) == 1


@pytest.mark.parametrize(
    ("module", "source", "count"),
    [
        ("sfumato.image", "import torch", 1),
        ("sfumato.cli.train", "try:\n    import accelerate\nexcept ImportError:\n    pass", 1),
        ("sfumato.inference.stylizer", "from sfumato.networks.model import Model", 1),
        ("sfumato.training.config", "from sfumato.training.loop import Trainer", 1),
        ("sfumato.training.config", "from sfumato.losses.config import AdversarialConfig", 0),
        ("sfumato.cli.train", "def train():\n    import torch", 0),
        ("sfumato.training.loop", "import torch", 0),
        ("sfumato.image", "import json, numpy\nfrom PIL import Image", 0),
    ],
)
def test_the_check_of_heavy_imports_finds_planted_faults(module: str, source: str, count: int) -> None:
    assert len(heavy_imports({module: source}, light_dependencies() | sys.stdlib_module_names)) == count


BLOCK = "import sys\nfor name in {heavy}: sys.modules[name] = None\n"
IMPORT_ALL = """
import importlib, sys
for name in {modules}: importlib.import_module(name)
loaded = [name for name in {heavy} if sys.modules.get(name) is not None]
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""


@pytest.mark.parametrize("block", [BLOCK, ""], ids=["torch absent", "torch present"])
def test_light_modules_import_without_torch(block: str) -> None:
    modules = [module.removesuffix(".__init__") for module in sources() if is_light(module)]
    assert "sfumato.cli" in modules
    script = (block + IMPORT_ALL).format(heavy=HEAVY, modules=modules)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
