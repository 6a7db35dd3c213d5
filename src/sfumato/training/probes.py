"""Cheap measures of a generator on fixed probe pictures, and norms of gradients and weights, for the monitor.

Their names, meanings and healthy ranges are in `signals.py`. Features are those of the frozen VGG19 of the losses.
EfficientNet-Lite0 is not used, because it evaluates finished models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from sfumato.errors import UsageError
from sfumato.image import Picture
from sfumato.losses.perceptual import normalise_features
from sfumato.networks.perceptual import VGG19
from sfumato.quality.artefacts import Artefact, blobs, checkerboard, colour_inversion

#: Maps a style's index to the outputs of all probes in that style, (P, 3, h, w) in [0, 1]. The function holds the
#: probes' inputs (photos or noise) itself. Models without styles are only called for style 0.
Painter: TypeAlias = Callable[[int], Tensor]

LAYER = "relu3_1"
_SIDE = 64  # short side of VGG19's input, in pixels; VGG19 takes most of a measurement's time
_CELLS = 4  # features are averaged to a grid of 4 × 4 before the rank: enough vectors, which ignore fine grain


class Probes:
    """Fixed probe pictures, on which generators of any kind are measured.

    ==========================  ===========================  ============================  =====================
    kind                        `photos`                     `paintings`                   `styles`
    ==========================  ===========================  ============================  =====================
    photo and style to picture  P photos                     the K styles' (or any)        K
    photo to collection         P photos                     some of the collection        1
    noise to picture            None                         some of the training set      1
    ==========================  ===========================  ============================  =====================

    Args:
        vgg: gives the weights up to `LAYER`; outputs are measured on its device.
        photos: (P, 3, h, w) in [0, 1], P at least 2, better 4 or more.
        paintings: (R, 3, h, w), R at least 2; a reference for the differences and defects of real pictures. Photos and
            paintings have one size, about 96 to 128 pixels a side; a measurement then takes a fraction of a second on a
            CPU.
        styles: number K of styles that the painter can paint.

    Raises:
        UsageError: there are fewer than two photos or paintings, or their sizes differ.
    """

    def __init__(
        self, vgg: VGG19, *, photos: Tensor | None = None, paintings: Tensor | None = None, styles: int = 1
    ) -> None:
        given = [x for x in (photos, paintings) if x is not None]
        if not given or any(x.ndim != 4 or x.shape[1] != 3 or len(x) < 2 for x in given):
            raise UsageError("probes need two or more photos, or two or more paintings, each (N, 3, h, w)")
        if len({x.shape[2:] for x in given}) > 1:
            raise UsageError("probe photos and paintings must be of one size")
        self.device = next(vgg.parameters()).device
        weights = {f"{key}.{part}": t for key, c in vgg.convs.items() for part, t in c.state_dict().items()}
        self.vgg = VGG19(weights, (LAYER,)).to(self.device)  # a deeper one would cost twice as much
        self.styles = styles
        self.photos, self.paintings = (None if x is None else x.to(self.device).float() for x in (photos, paintings))
        real = self.photos if self.photos is not None else self.paintings
        assert real is not None
        self.real = real  # reference for the diversity of outputs
        self._features = self._features_of(real)
        self._diversity = _mean_pair(self._features)
        self._pixels = _mean_pair(real)
        self._spread = self._diversity  # mean distance between styles
        self._far = self._pixels, self._diversity  # mean distance of a painting to a photo, in pixels and in features
        if self.paintings is not None:
            painted = self._features_of(self.paintings)
            self._spread = _mean_pair(painted)
            if self.photos is not None:
                self._far = (
                    float(_distances(self.photos, self.paintings).mean()),
                    float(_distances(self._features, painted).mean()),
                )
        self._own = _defects(self.paintings) if self.paintings is not None else {}

    @torch.no_grad()
    def measure(self, paint: Painter) -> dict[str, float]:
        """Measure the signals of a generator.

        Args:
            paint: paints the probes with the generator.

        Returns:
            Signals by name; only `broken` if an output is not finite.

        Raises:
            UsageError: outputs have another size than the probes.
        """
        pictures = [paint(style).detach().to(self.device).float() for style in range(self.styles)]
        if self.photos is not None and any(x.shape != self.photos.shape for x in pictures):
            raise UsageError(f"the painter gave {tuple(pictures[0].shape)} for photos {tuple(self.photos.shape)}")
        if any(x.ndim != 4 or len(x) < 2 or x.shape[1:] != self.real.shape[1:] for x in pictures):
            raise UsageError(f"the painter gave {tuple(pictures[0].shape)} for probes of {tuple(self.real.shape[1:])}")
        broken = float((~torch.isfinite(torch.stack(pictures))).float().mean())
        if broken:
            return {"broken": broken}
        pictures = [x.clamp(0, 1) for x in pictures]
        features = list(self._features_of(torch.cat(pictures)).chunk(self.styles))
        count = len(pictures[0])
        signals = {
            "broken": 0.0,
            "diversity": _mean(_mean_pair(f) for f in features) / self._diversity,
            "response": _mean(_mean_pair(x) for x in pictures) / self._pixels,
            "rank": _mean(_rank(f) for f in features) / _rank(self._features[:count]),
        }
        if self.styles > 1:
            by_probe = torch.stack(features, 1)  # (P, K, C, h, w)
            signals["style_sensitivity"] = _mean(_mean_pair(f) for f in by_probe) / self._spread
        if self.photos is not None:
            signals |= self._against_photos(pictures, features)
        for name, value in _defects(torch.cat(pictures)).items():
            signals[name] = max(0.0, value - self._own.get(name, 0.0))
        return signals

    def _against_photos(self, pictures: Sequence[Tensor], features: Sequence[Tensor]) -> dict[str, float]:
        photos = self.photos
        assert photos is not None
        places = normalise_features(self._features)  # the photos' layout
        between = _distances(places, places)
        dependence, recognition = [], []
        for one in features:
            own = normalise_features(one)
            dependence.append(_correlation(_upper(between), _upper(_distances(own, own))))
            recognition.append(_recognised(_distances(own, places)))
        pixels, feature_change = (
            _mean(float(_paired(one, real).mean()) for one in ours)
            for ours, real in ((pictures, photos), (features, self._features))
        )
        inverted = [
            colour_inversion(_picture(x), _picture(p)).value
            for one in pictures
            for x, p in zip(one, photos, strict=True)
        ]
        return {
            "dependence": _mean(dependence),
            "recognition": _mean(recognition),
            # A tint changes pixels but hardly features, and new strokes may do the reverse: either is a change.
            "change": max(pixels / self._far[0], feature_change / self._far[1]),
            "colour_inversion": _mean(inverted),
        }

    def _features_of(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) > _SIDE:
            scale = _SIDE / min(x.shape[2:])
            x = nn.functional.interpolate(x, [round(scale * length) for length in x.shape[2:]], mode="area")
        features: Tensor = self.vgg(x)[LAYER]
        return features


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the norm of all gradients together, a scalar; 0 if there are none."""
    norms = [p.grad.detach().float().norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm() if norms else torch.zeros(())


def weight_size(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the norm of all weights together, a scalar."""
    norm: Tensor = torch.stack([p.detach().float().norm() for p in parameters]).norm()
    return norm


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the root mean square differences of each of `a` (N, ...) to each of `b` (M, ...): (N, M)."""
    # By subtraction: the formula with inner products cancels for nearly equal pictures.
    return torch.stack([(a - other).flatten(1).square().mean(1).sqrt() for other in b], 1)


def _paired(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).flatten(1).square().mean(1).sqrt()


def _upper(square: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(len(square), len(square), 1)
    above: Tensor = square[rows, columns]
    return above


def _mean_pair(x: Tensor) -> float:
    """Return the mean distance over all pairs of different elements of `x` (N, ...)."""
    return float(_upper(_distances(x, x)).mean())


def _mean(values: Iterable[float]) -> float:
    several = list(values)
    return sum(several) / len(several)


def _correlation(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation; 0 if one side is constant, or with a single value."""
    if len(a) < 2:
        return 0.0
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    size = a.norm() * b.norm()
    return float((a * b).sum() / size) if size > 1e-6 * len(a) else 0.0


def _recognised(distances: Tensor) -> float:
    """Return how often an output (row) is nearer to its own photo (column) than to another one; 0.5 is chance."""
    own = distances.diagonal()[:, None]
    nearer = (own < distances).float() + 0.5 * (own == distances).float()
    others = ~torch.eye(len(distances), dtype=torch.bool, device=distances.device)
    return float(nearer[others].mean())


def _rank(features: Tensor) -> float:
    """Return the effective rank of centred features (N, C, h, w), with 4 × 4 vectors for each picture.

    It is the exponential of the spectrum's entropy (Roy & Vetterli 2007).
    """
    vectors = nn.functional.adaptive_avg_pool2d(features, _CELLS).flatten(2).transpose(1, 2).flatten(0, 1).double()
    vectors = vectors - vectors.mean(0)
    spectrum = torch.linalg.eigvalsh(vectors @ vectors.T).clamp(min=0)  # smaller than the covariance matrix
    p = spectrum / spectrum.sum().clamp(min=1e-30)
    return float(torch.exp(-(p * p.clamp(min=1e-30).log()).sum()))


def _defects(pictures: Tensor) -> dict[str, float]:
    """Return the median of each defect over pictures: defects of the network are in most, a spotted subject in one."""
    detectors: tuple[Callable[[Picture], Artefact], ...] = (checkerboard, blobs)
    found = [[detector(_picture(x)).value for x in pictures] for detector in detectors]
    return {
        name: sorted(values)[len(values) // 2] for name, values in zip(("checkerboard", "blobs"), found, strict=True)
    }


def _picture(x: Tensor) -> Picture:
    """Convert (3, h, w) to a NumPy picture (1, 3, h, w) in [0, 1]."""
    picture: Picture = x[None].clamp(0, 1).cpu().numpy()
    return picture
