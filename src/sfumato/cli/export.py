"""``sfumato export``: a run's best checkpoint as ONNX, checked against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.output import say
from sfumato.errors import OutputError, needs_extra


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a model.safetensors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the exported model.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="The model's name; by default made from its hash.")] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="The newest checkpoint, and not the best by validation.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export a trained model to ONNX, for `stylize --model` or, of kind noise, `imagine --model`."""
    with needs_extra("train", "Exporting"):
        from sfumato.export.onnx import export_run

    if out.exists():
        if not (out / "card.json").is_file():
            raise OutputError(f"{out} is already there and no exported model; give another -o")
        if not overwrite:
            raise OutputError(f"{out} is already there; add --overwrite or give another -o")
    parity = export_run(run, out, name, newest=newest, overwrite=overwrite)
    worst = max(parity.values())
    graphs = ", ".join(name.replace("_", " ") for name in parity)
    say(f"{out}: {graphs}; largest difference from torch {worst:.1e}")
