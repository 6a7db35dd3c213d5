"""Batches keyed by seed and step: batch(n) is the same whatever ran before, so a resumed run sees the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.data.folders import FolderReport

STYLE_THUMBNAIL = 320  # short side at which a style picture is encoded, in training as in inference


@dataclass(frozen=True)
class BatchSpec:
    """Sizes of a batch, in pixels, and how far the scales of crop and thumbnail may part."""

    batch: int
    crop: int
    thumbnails: Sequence[int]  # sides of the square thumbnails; one is drawn a step
    large: int  # samples that also bring a crop of the enlarged photo
    magnification: float  # the most that such a photo is enlarged
    content_variants: int  # crops a photo; 0 means a fresh one each time, otherwise features can be cached


@dataclass(frozen=True)
class Batch:
    """Pictures in [0, 1], float32. B samples, side S of a crop, T of a thumbnail."""

    crop: Tensor  # (B, 3, S, S) of photos
    thumbnail: Tensor  # (B, 3, T, T) of a window of the same photos, at another scale
    large: Tensor  # (L, 3, S, S) of the first L windows, enlarged
    boxes: Tensor  # (L, 4) left, top, right, bottom of `large` in its window, in [0, 1]
    style: Tensor  # (B, 3, 320, 320) of paintings
    patch: Tensor  # (B, 3, S, S), another crop of the same paintings
    content_keys: list[tuple[int, int, int]]  # photo, variant, side: equal keys mean equal crops
    style_ids: list[int]


class BatchSource:
    """Draws batches from pictures held on `device`: photos evenly, artists by the square root of their size."""

    def __init__(self, content: FolderReport, style: FolderReport, seed: int, device: torch.device) -> None:
        self.content = [torch.from_numpy(p.pixels).to(device) for p in content.pictures]
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.style_weights = _by_group(style)

    def batch(self, step: int, spec: BatchSpec) -> Batch:
        """The batch of a step; depends on nothing but the seed, the step, the spec and the pictures."""
        rng = np.random.default_rng([self.seed, 0, step])
        thumbnail = int(rng.choice(spec.thumbnails))
        photos = rng.integers(len(self.content), size=spec.batch).tolist()
        style_ids = rng.choice(len(self.style), size=spec.batch, p=self.style_weights).tolist()
        windows, crops, keys = [], [], []
        for photo in photos:
            variant = int(rng.integers(spec.content_variants or 2**31))
            keys.append((photo, variant, spec.crop))
            window, crop = self._window_and_crop(photo, variant, spec.crop)
            windows.append(window)
            crops.append(crop)
        large, boxes = [], []
        for window in windows[: spec.large]:
            side = window.shape[1]
            region = max(4, round(spec.crop / spec.magnification ** rng.random()))
            region = min(region, side)
            left, top = rng.integers(side - region + 1, size=2).tolist()
            large.append(_fit(window[:, top : top + region, left : left + region], spec.crop))
            boxes.append([left / side, top / side, (left + region) / side, (top + region) / side])
        styles = [_square(self.style[i], rng, rng.uniform(0.75, 1.0)) for i in style_ids]
        patches = [_random_crop(self.style[i], rng, spec.crop) for i in style_ids]
        return Batch(
            torch.stack(crops),
            torch.stack([_fit(w, thumbnail) for w in windows]),
            torch.stack(large) if large else torch.empty(0, 3, spec.crop, spec.crop, device=crops[0].device),
            torch.tensor(boxes, device=crops[0].device).reshape(-1, 4),
            torch.stack([_fit(s, STYLE_THUMBNAIL) for s in styles]),
            torch.stack(patches),
            keys,
            style_ids,
        )

    def _window_and_crop(self, photo: int, variant: int, crop: int) -> tuple[Tensor, Tensor]:
        """A square window over the short side, maybe mirrored, and a crop in it at 1 to 1.6 photo pixels a pixel."""
        rng = np.random.default_rng([self.seed, 1, photo, variant])
        window = _square(self.content[photo], rng, 1.0)
        if rng.random() < 0.5:
            window = window.flip(2)
        side = window.shape[1]
        region = min(side, round(crop * rng.uniform(1.0, 1.6)))
        left, top = rng.integers(side - region + 1, size=2).tolist()
        return window, _fit(window[:, top : top + region, left : left + region], crop)

    @staticmethod
    def centre(picture: Tensor, side: int) -> Tensor:
        """The middle square of a picture (3, h, w) uint8 as (3, side, side) in [0, 1]."""
        short = min(picture.shape[1:])
        top, left = ((length - short) // 2 for length in picture.shape[1:])
        return _fit(picture[:, top : top + short, left : left + short], side)


class PaintingSource:
    """Draws batches of paintings alone, held on `device`: artists by the square root of their size."""

    def __init__(self, style: FolderReport, seed: int, device: torch.device) -> None:
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.weights = _by_group(style)

    def batch(self, step: int, count: int, side: int) -> Tensor:
        """The batch of a step, (count, 3, side, side) in [0, 1]: square crops of half to all of a painting's short
        side, brought to `side` and maybe mirrored. It depends on nothing but the seed, the step, the sizes and the
        paintings."""
        rng = np.random.default_rng([self.seed, 2, step])
        crops = []
        for i in rng.choice(len(self.style), size=count, p=self.weights).tolist():
            crop = _fit(_square(self.style[i], rng, rng.uniform(0.5, 1.0)), side)
            crops.append(crop.flip(2) if rng.random() < 0.5 else crop)
        return torch.stack(crops)


def _by_group(pictures: FolderReport) -> np.ndarray:
    """How probable each picture is, (N,): a group counts by the square root of its size."""
    weights: np.ndarray = np.zeros(len(pictures.pictures))
    for members in pictures.groups.values():
        weights[members] = 1 / np.sqrt(len(members))
    weights /= weights.sum()
    return weights


def _square(picture: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """A square of a share of the short side, anywhere."""
    height, width = picture.shape[1:]
    side = round(share * min(height, width))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return picture[:, top : top + side, left : left + side]


def _fit(region: Tensor, side: int) -> Tensor:
    """Region (3, h, w) uint8 -> (3, side, side) in [0, 1], antialiased where it shrinks, bicubic where it grows."""
    x = region[None].float() / 255
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return x[0]


def _random_crop(picture: Tensor, rng: np.random.Generator, side: int) -> Tensor:
    """A crop of a painting at its own scale (enlarged only where the painting is smaller than the crop)."""
    height, width = picture.shape[1:]
    region = min(side, height, width)
    top, left = int(rng.integers(height - region + 1)), int(rng.integers(width - region + 1))
    return _fit(picture[:, top : top + region, left : left + region], side)


def sample_boxes(pictures: Tensor, boxes: Tensor, side: int = 8) -> Tensor:
    """Read regions of pictures (L, 3, T, T) given as boxes (L, 4) in [0, 1] -> (L, 3, side, side), bilinear."""
    at = (torch.arange(side, device=boxes.device) + 0.5) / side
    xs = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * at
    ys = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * at
    grid = torch.stack([xs[:, None, :].expand(-1, side, -1), ys[:, :, None].expand(-1, -1, side)], 3) * 2 - 1
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
