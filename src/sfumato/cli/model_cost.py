"""``sfumato evaluate --cost``: time, memory and operations of a model."""

from __future__ import annotations

import os
from pathlib import Path

from sfumato.cli.output import console, say, say_json


def print_cost(model: Path, as_json: bool) -> None:
    """Measure and print the time, the memory and the operations of a model at several picture sizes.

    Args:
        model: the folder of an exported model, or ``shipped``.
        as_json: whether to print JSON instead of a table.
    """
    import numpy as np
    from rich.table import Table

    from sfumato.image import thumbnail_size
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.painting_model import LONGEST_THUMBNAIL
    from sfumato.inference.session import card_number, read_card
    from sfumato.quality.cost import macs_of_onnx, measure_cost

    stylizer = Stylizer(None if model == Path("shipped") else model)
    card = stylizer.card
    y, x = np.mgrid[0:512, 0:512].astype(np.float32) / 511
    style = Style.from_image(np.stack([x, y, (x + y) / 2])[None], "trial", stylizer)
    costs = measure_cost(lambda picture: stylizer(picture, style, quality="draft"), threads=os.cpu_count())
    found = []
    for cost in costs:
        height, width = cost.height, cost.width
        small = (1, 3, *thumbnail_size(height, width, card.thumbnail, LONGEST_THUMBNAIL))
        shapes = {
            "generator.onnx": {"picture": (1, 3, height, width), "norm_params": (1, card.norm_params), "origin": (2,)},
            "statistics.onnx": {"thumbnail": small, "code": (1, card.code_size)},
        }
        operations = {name: macs_of_onnx(stylizer.folder / name, some) for name, some in shapes.items()}
        found.append({**vars(cost), "macs": operations})
    parameters = card_number(read_card(stylizer.folder), "parameters", stylizer.folder / "card.json", 0, 10**12)
    if as_json:
        say_json({"model": card.model, "parameters": parameters, "sizes": found}, 1)
        return
    table = Table("size", "seconds (quartiles)", "memory", "generator, one pass", "statistics")
    for one, cost in zip(found, costs, strict=True):
        memory = "–" if cost.peak_bytes is None else f"{cost.peak_bytes / 1e6:.0f} MB"
        generator, statistics = (f"{macs / 1e9:.1f} G" for macs in one["macs"].values())
        spread = f"{cost.seconds:.2f} ({cost.low:.2f} to {cost.high:.2f}; {cost.repeats} runs)"
        table.add_row(f"{cost.width} x {cost.height}", spread, memory, generator, statistics)
    console().print(table)
    say(
        f"{card.model}: {parameters:,} parameters, {os.cpu_count()} threads; operations are multiply-accumulates. "
        "Large pictures are painted at a base size and enlarged, so they need fewer than one pass at full size."
    )
