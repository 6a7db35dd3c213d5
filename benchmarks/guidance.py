"""Measure the benefit of guidance: ``--auto`` against one fixed strength at the same mean content distance.

The evaluator is EfficientNet-Lite0, which guidance does not use.

usage: guidance.py PAIRS.csv PHOTOS PAINTINGS [--keep 0.5 ...] [--out FILE.json]

Each pair is painted with ``--auto`` and at fixed strengths. Linear interpolation of the measures between neighbouring
strengths gives the fixed strength with the mean content distance of ``--auto``.
The paired test flips all pairs of a style together.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from sfumato.image import read_image, resize
from sfumato.inference import Style, Stylizer
from sfumato.inference.guide import choose
from sfumato.quality.evaluator import Evaluator, OutputProvider
from sfumato.quality.intervals import mean_interval, sign_flip_test
from sfumato.quality.pairs import Pair, read_pairs

STRENGTHS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--keep", type=float, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cache", type=Path, help="keeps the figures of each pair")
    arguments = parser.parse_args()
    pairs = read_pairs(arguments.pairs, arguments.photos, arguments.paintings)
    torch.set_num_threads(1)  # the pairs share the cores
    stylizer = Stylizer(threads=1)
    styles = {path: Style.from_image(path, stylizer=stylizer) for path in {pair.style for pair in pairs}}
    evaluator = Evaluator(pairs, cache=arguments.cache, workers=os.cpu_count() or 1)

    def judged(name: str, settings: dict[Pair, tuple[float, float]]) -> dict[str, np.ndarray]:
        def paint(pair: Pair) -> np.ndarray:
            strength, stroke = settings[pair]
            return stylizer(pair.content, styles[pair.style], strength, stroke=stroke, quality="draft")

        found = evaluator.evaluate(name, OutputProvider(paint, lambda pair: f"{stylizer.card.digest} {settings[pair]}"))
        return {what: np.array([row.values[what] for row in found.rows]) for what in ("content", "style", "texture")}

    fixed = [judged(f"{strength:g}", dict.fromkeys(pairs, (strength, 1.0))) for strength in STRENGTHS]
    means = [each["content"].mean() for each in fixed]
    groups = [pair.style.name for pair in pairs]
    report = []
    for keep in (None, *arguments.keep):
        chosen = {pair: choose(stylizer, read_image(pair.content), styles[pair.style], keep) for pair in pairs}
        auto = judged("auto", {pair: (choice.strength, choice.stroke) for pair, choice in chosen.items()})
        content = auto["content"].mean()
        above = int(np.clip(np.searchsorted(means, content), 1, len(means) - 1))
        share = (content - means[above - 1]) / (means[above] - means[above - 1])
        line = {}
        for what in ("style", "texture"):
            at_fixed = (1 - share) * fixed[above - 1][what] + share * fixed[above][what]
            gain = auto[what] - at_fixed
            interval = mean_interval(gain)
            line[what] = {
                "auto": round(float(auto[what].mean()), 4),
                "fixed": round(float(at_fixed.mean()), 4),
                "difference": [round(v, 4) for v in (interval.value, interval.low, interval.high)],
                "p by style": sign_flip_test(gain, groups),
                "p by pair": sign_flip_test(gain, list(range(len(gain)))),
            }
        strength = STRENGTHS[above - 1] + share * (STRENGTHS[above] - STRENGTHS[above - 1])
        trials = [len(choice.trials) for choice in chosen.values()]
        report.append(
            {
                "keep": keep, "content": round(float(content), 4), "fixed strength": round(float(strength), 3),
                "kept, asked at least": [round(float(np.min([c.content_kept for c in chosen.values()])), 3), keep],
                "trials": [min(trials), float(np.mean(trials)), max(trials)], **line,
            }
        )  # fmt: skip
        print(json.dumps(report[-1], indent=1), flush=True)
    stylizer, seconds = Stylizer(), []
    for pair in (pairs[0], *pairs[::8]):  # the first loads the graphs
        photo = resize(read_image(pair.content), 1024, 1024)
        began = perf_counter()
        choose(stylizer, photo, styles[pair.style])
        seconds.append(perf_counter() - began)
    seconds = seconds[1:]
    report.append({"seconds of choosing on 1024 x 1024": [round(s, 3) for s in sorted(seconds)]})
    print(json.dumps(report[-1]))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
