"""Measures of the quality of stylised pictures, with intervals and tests of significance.

The names in ``__all__`` are public; all others of this package may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.public import exports

if TYPE_CHECKING:
    from sfumato.quality.artefacts import Artefact, worst
    from sfumato.quality.evaluation import Evaluation
    from sfumato.quality.evaluator import Evaluator
    from sfumato.quality.features import Features
    from sfumato.quality.frechet import Moments, fid, fid_infinity
    from sfumato.quality.intervals import Interval, mean_interval
    from sfumato.quality.kernel import kid
    from sfumato.quality.pairs import Pair, read_pairs
    from sfumato.quality.similarity import colour_distance, psnr, ssim

__getattr__, __dir__ = exports(
    "sfumato.quality",
    {
        "Artefact": "artefacts",
        "Evaluation": "evaluation",
        "Features": "features",
        "Interval": "intervals",
        "Evaluator": "evaluator",
        "Moments": "frechet",
        "Pair": "pairs",
        "colour_distance": "similarity",
        "fid": "frechet",
        "fid_infinity": "frechet",
        "kid": "kernel",
        "mean_interval": "intervals",
        "psnr": "similarity",
        "read_pairs": "pairs",
        "ssim": "similarity",
        "worst": "artefacts",
    },
)

__all__ = [
    "Artefact",
    "Evaluation",
    "Evaluator",
    "Features",
    "Interval",
    "Moments",
    "Pair",
    "colour_distance",
    "fid",
    "fid_infinity",
    "kid",
    "mean_interval",
    "psnr",
    "read_pairs",
    "ssim",
    "worst",
]
