"""``sfumato doctor``: what this installation has, and whether it works."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.output import say, say_error, say_json
from sfumato.errors import OutputError, SfumatoError

_PACKAGES = ("numpy", "onnxruntime", "pillow", "safetensors", "rich", "typer", "pydantic", "torch")


def doctor(
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model of your own, made by sfumato export.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look the installation over and paint a trial picture. Ends with the exit code of what is wrong."""
    facts: dict[str, str] = {}
    wrong: list[SfumatoError] = []
    checks: list[Callable[[], dict[str, str]]] = [_system, lambda: _model(model), _folders, lambda: _trial(model)]
    for check in checks:
        try:
            facts |= check()
        except SfumatoError as problem:
            wrong.append(problem)
    if as_json:
        say_json({**facts, "problems": [str(p) for p in wrong]}, 2)
    else:
        for name, value in facts.items():
            say(f"{name:12} {value}")
        say("all is well" if not wrong else f"{len(wrong)} problems:")
    if wrong:
        for each in wrong:
            say_error(each)
        raise typer.Exit(wrong[0].exit_code)


def _system() -> dict[str, str]:
    from sfumato import __version__

    facts = {"sfumato": __version__, "python": f"{sys.version.split()[0]} ({sys.executable})"}
    facts["system"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def _model(folder: Path | None) -> dict[str, str]:
    import onnxruntime

    from sfumato.inference import Style, Stylizer
    from sfumato.inference.library import own_folder, style_names
    from sfumato.inference.session import check_hash

    for name in style_names():
        Style.named(name, own=True)
    stylizer = Stylizer(folder)
    for name, digest in stylizer.card.files.items():
        check_hash(stylizer.folder / name, digest)
    stylizer.networks.check()
    try:
        own = f"your own lie in {own_folder()}"
    except OutputError as problem:
        own = str(problem)
    return {
        "model": f"{stylizer.card.model} ({stylizer.folder})",
        "decoder": f"{stylizer.networks.name} ({stylizer.networks.folder})",
        "devices": ", ".join(p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()),
        "styles": f"{len(style_names())}; {own}",
    }


def _folders() -> dict[str, str]:
    import shutil

    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:  # nothing here needs one
        return {"temp": "none that can be written to"}
    return {"temp": f"{folder}, {shutil.disk_usage(folder).free / 1e9:.1f} GB free"}


def _trial(folder: Path | None) -> dict[str, str]:
    from time import perf_counter

    import numpy as np

    from sfumato.inference import Style, Stylizer

    stylizer = Stylizer(folder)
    y, x = np.mgrid[0:512, 0:512].astype(np.float32) / 511
    picture = np.stack([x, y, (x + y) / 2])[None]
    style = Style.from_image(picture, "trial", stylizer) if stylizer.card.has_codes else None
    seconds = []
    for _ in range(2):
        began = perf_counter()
        stylizer(picture, style, quality="draft")
        seconds.append(perf_counter() - began)
    return {"trial": f"512 x 512 in {min(seconds):.2f} s (first: {seconds[0]:.2f} s)"}
