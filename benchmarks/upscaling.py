"""Compare the shipped upscaler with bicubic interpolation: PSNR and SSIM on unseen pictures.

usage: upscaling.py DATA [--manifest CSV] [--split validation] [--card] [--sheet FILE.png]

DATA has content/ and style/. Each picture of the split is reduced to half its size (bicubic, antialiased), enlarged
both ways, and compared with the original. A second test first reduces it to two thirds, which removes most JPEG
artefacts. Differences are paired, with Student's 95 % intervals. PSNR is over all channels, SSIM of the luma.
--card writes the figures into the card of the network. --sheet shows the largest gains and losses.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from unseen import rows_of

from sfumato.assets import weights_dir
from sfumato.image import Picture, read_image, resample, resize, write_image
from sfumato.inference.upscale import upscale_array
from sfumato.quality.intervals import mean_interval
from sfumato.quality.similarity import psnr, ssim
from sfumato.sheet import contact_sheet


def even(x: Picture) -> Picture:
    return x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]


def both_ways(x: Picture) -> tuple[Picture, Picture]:
    """Return a picture of even sides, reduced to half and enlarged by bicubic interpolation and by the network."""
    height, width = x.shape[2:]

    def bicubic(y: Picture, *size: int) -> Picture:
        return np.clip(resample(y, *size, Image.Resampling.BICUBIC), 0, 1)

    small = bicubic(x, height // 2, width // 2)
    return bicubic(small, height, width), upscale_array(small, 1)


def compared(pictures: list[Picture]) -> tuple[dict[str, object], np.ndarray]:
    """Return the figures of a set, and the gain of each picture in PSNR."""
    rows = []
    for x in pictures:
        plain, learnt = both_ways(x)
        rows.append([(f(plain, x), f(learnt, x)) for f in (psnr, ssim)])
    table = np.array(rows)  # (N, measures, ways)
    found: dict[str, object] = {"pictures": len(rows)}
    for i, name in enumerate(("psnr", "ssim")):
        gain = mean_interval(table[:, i, 1] - table[:, i, 0])
        found[name] = {
            "bicubic": round(float(table[:, i, 0].mean()), 4),
            "network": round(float(table[:, i, 1].mean()), 4),
            "gain": [round(v, 4) for v in (gain.value, gain.low, gain.high)],
            "better_on": round(float((table[:, i, 1] > table[:, i, 0]).mean()), 3),
        }
    return found, table[:, 0, 1] - table[:, 0, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--card", action="store_true")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    report: dict[str, object] = {
        "measured_by": "benchmarks/upscaling.py: PSNR in dB, SSIM; means, gains with intervals"
    }
    shown: list[list[Picture]] = []
    for kind, name in (("content", "photos"), ("style", "paintings")):
        pictures = [read_image(path) for path in rows_of(arguments.data / kind, arguments.manifest, arguments.split)]
        report[name], gains = compared([even(x) for x in pictures])
        reduced = [even(resize(x, x.shape[2] * 2 // 3, x.shape[3] * 2 // 3)) for x in pictures]
        report[f"{name}, reduced first"], _ = compared(reduced)
        for i in (*np.argsort(gains)[-2:], np.argsort(gains)[len(gains) // 2], *np.argsort(gains)[:1]):
            x = even(pictures[i])
            at = [slice(side // 2 - 48, side // 2 + 48) for side in x.shape[2:]]
            shown.append([y[:, :, at[0], at[1]].repeat(4, 2).repeat(4, 3) for y in (x, *both_ways(x))])
    print(json.dumps(report, indent=1))
    if arguments.card:
        path = weights_dir("upscaler") / "card.json"
        card = {**json.loads(path.read_text("utf-8")), "scores": report}
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if arguments.sheet:
        labels = ["best", "second best", "median", "worst"] * 2
        write_image(contact_sheet(shown, labels, ["itself", "bicubic", "network"], 384), arguments.sheet)


if __name__ == "__main__":
    main()
