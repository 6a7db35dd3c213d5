"""``sfumato doctor``: a report on the installation, and a test of whether it works."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import OwnModel
from sfumato.cli.output import say, say_error, say_json
from sfumato.errors import OutputError, SfumatoError, first_line
from sfumato.text import counted

_PACKAGES = ("numpy", "onnxruntime", "pillow", "safetensors", "rich", "typer", "pydantic", "jinja2", "torch")


def doctor(
    model: OwnModel = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation and paint a test picture. The exit code is that of the first problem found."""
    facts: dict[str, str] = {}
    problems: list[SfumatoError] = []
    checks: list[Callable[[], dict[str, str]]] = [
        _system,
        lambda: _model(model),
        _devices,
        _folders,
        lambda: _trial(model),
    ]
    for check in checks:
        try:
            facts |= check()
        except SfumatoError as problem:
            problems.append(problem)
    if as_json:
        say_json({**facts, "problems": [str(p) for p in problems]}, 2)
    else:
        for name, value in facts.items():
            say(f"{name:15} {value}")
        say("no problems found" if not problems else f"{counted(len(problems), 'problem')}:")
    if problems:
        for each in problems:
            say_error(each)
        raise typer.Exit(problems[0].exit_code)


def _system() -> dict[str, str]:
    from sfumato import __version__

    facts = {"sfumato": __version__, "python": f"{sys.version.split()[0]} ({sys.executable})"}
    facts["system"] = f"{platform.system()} {platform.machine()}"
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def _model(folder: Path | None) -> dict[str, str]:
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
        own = f"your own styles are in {own_folder()}"
    except OutputError as problem:
        own = str(problem)
    return {
        "model": f"{stylizer.card.model} ({stylizer.folder})",
        "decoder": f"{stylizer.networks.name} ({stylizer.networks.folder})",
        "styles": f"{len(style_names())}; {own}",
    }


def _devices() -> dict[str, str]:
    """Return the processor and the devices that training can use; `_trial` reports those that painting uses."""
    facts = {"cpu": f"{_cpu_name()}, {_usable_cores()} of {os.cpu_count()} cores"}
    return facts | ({"trains on": _torch_devices()} if find_spec("torch") else {})


def _cpu_name() -> str:
    """Return the model name of the processor, or its architecture where the system does not report a name."""
    with suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        with suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Return how many cores this process may use: `taskset` and containers can limit it to fewer than exist."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _torch_devices() -> str:
    """Return the devices that training can use, with the memory of each GPU."""
    try:
        import torch
    except (ImportError, OSError) as problem:
        return f"none: torch cannot be imported ({first_line(problem)})"
    if not torch.accelerator.is_available():
        return "cpu"
    if not torch.cuda.is_available():
        return str(torch.accelerator.current_accelerator())
    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return "; ".join(f"cuda:{i} {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for i, gpu in enumerate(gpus))


def _folders() -> dict[str, str]:
    import shutil

    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:  # not a problem: no command needs one
        return {"temp": "no writable folder"}
    return {"temp": f"{folder}, {shutil.disk_usage(folder).free / 1e9:.1f} GB free"}


def _trial(folder: Path | None) -> dict[str, str]:
    """Paint a picture on each device that Sfumato supports and this ONNX Runtime has a provider for."""
    import onnxruntime

    from sfumato.inference.session import PROVIDERS

    available = onnxruntime.get_available_providers()
    devices = [device for device, provider in PROVIDERS.items() if provider in available]
    return {f"paints on {device}": _paint_on(device, folder) for device in devices}


def _paint_on(device: str, folder: Path | None) -> str:
    """Paint 512 x 512 pixels twice; return the seconds it took, or why the device cannot be used."""
    from time import perf_counter

    import numpy as np

    from sfumato.inference import Style, Stylizer

    stylizer = Stylizer(folder, device=device)
    y, x = np.mgrid[0:512, 0:512].astype(np.float32) / 511
    picture = np.stack([x, y, (x + y) / 2])[None]
    seconds = []
    try:
        style = Style.from_image(picture, "trial", stylizer) if stylizer.card.has_codes else None
        for _ in range(2):
            began = perf_counter()
            stylizer(picture, style, quality="draft")
            seconds.append(perf_counter() - began)
    except SfumatoError as problem:
        if device == "cpu":
            raise
        return f"no: {problem}"  # a GPU build on a machine without a GPU: the CPU still works
    return f"512 x 512 in {min(seconds):.2f} s (first: {seconds[0]:.2f} s)"
