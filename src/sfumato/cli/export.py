"""``sfumato export``: write the best checkpoint of a run as ONNX, and check it against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.output import say
from sfumato.errors import OutputError, needs_extra


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a model.safetensors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the model to.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the model. \\[default: made from its hash]")] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Export the newest checkpoint instead of the best by validation.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model.")] = False,
) -> None:
    """Export a trained model to ONNX, for `stylize --model` or, if its kind is noise, for `imagine --model`."""
    with needs_extra("train", "Exporting"):
        from sfumato.export.onnx import export_run

    if out.exists():
        if not (out / "card.json").is_file():
            raise OutputError(f"{out} already exists and is not an exported model; give another -o")
        if not overwrite:
            raise OutputError(f"{out} already exists; add --overwrite or give another -o")
    parity = export_run(run, out, name, newest=newest, overwrite=overwrite)
    worst = max(parity.values())
    graphs = ", ".join(name.replace("_", " ") for name in parity)
    say(f"{out}: {graphs}; largest difference from torch {worst:.1e}")
