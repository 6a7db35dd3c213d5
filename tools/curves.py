"""A run's curves for its documentation: the content, statistics, gram and identity terms of its log, each over its own
first value, as means over 100 steps.

usage: curves.py RUN OUT.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

TERMS = {"content": "#1f6f8b", "statistics": "#c8553d", "gram": "#588157", "identity": "#8a5a9e"}
WIDTH, HEIGHT, LEFT, TOP = 720, 300, 50, 20
WINDOW = 100  # steps


def curves(log: list[dict[str, float]]) -> str:
    last = max(line["step"] for line in log)
    edges = np.arange(0, last + WINDOW, WINDOW)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif'>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
    ]
    means = {}
    for name in TERMS:
        values = [[line[name] for line in log if a < line["step"] <= a + WINDOW and name in line] for a in edges]
        means[name] = [(a + WINDOW / 2, float(np.mean(v))) for a, v in zip(edges, values, strict=True) if v]
    relative = {name: [(x, y / points[0][1]) for x, y in points] for name, points in means.items() if points}
    top = max(y for points in relative.values() for _, y in points)

    def place(x: float, y: float) -> str:
        return f"{LEFT + x / last * (WIDTH - LEFT - 130):.1f},{HEIGHT - 30 - y / top * (HEIGHT - 30 - TOP):.1f}"

    for y in np.arange(0, top, 0.5):
        at = place(0, y).split(",")[1]
        parts.append(f"<path d='M{LEFT} {at}H{WIDTH - 130}' stroke='#ddd'/><text x='15' y='{at}'>{y:.1f}</text>")
    for x in range(0, int(last) + 1, 500):
        at = place(x, 0).split(",")[0]
        parts.append(f"<text x='{at}' y='{HEIGHT - 10}' text-anchor='middle'>{x}</text>")
    for name, points in relative.items():
        line = " ".join(place(x, y) for x, y in points)
        end_x, end_y = place(*points[-1]).split(",")
        parts.append(f"<polyline points='{line}' fill='none' stroke='{TERMS[name]}' stroke-width='2'/>")
        parts.append(f"<text x='{float(end_x) + 6:.1f}' y='{end_y}' fill='{TERMS[name]}'>{name}</text>")
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in (arguments.run / "log.jsonl").read_text().splitlines()]
    arguments.out.write_text(curves([line for line in lines if "content" in line]), "utf-8")


if __name__ == "__main__":
    main()
