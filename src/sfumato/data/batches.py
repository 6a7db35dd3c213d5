"""Batches keyed by seed and step: batch(n) is the same whatever ran before, so a resumed run sees the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.data.folders import FolderReport
from sfumato.parallel import WHOLE, Rows

_PAIRS = 5  # of the seed, for pairs of crops: 0 to 2 are other batches', 2 also validation's, 3 and 4 a collection's
STYLE_THUMBNAIL = 320  # short side at which a style picture is encoded, in training as in inference


@dataclass(frozen=True)
class BatchSpec:
    """Sizes of a batch, in pixels, and how far the scales of crop and thumbnail may part."""

    batch: int
    crop: int
    thumbnails: Sequence[int]  # sides of the square thumbnails; one is drawn a step
    zoom_crops: int  # samples that also bring a crop of the enlarged photo
    magnification: float  # the most that such a photo is enlarged
    crops_per_photo: int  # crops a photo; 0 means a fresh one each time, otherwise features can be cached


@dataclass(frozen=True)
class Batch:
    """A process's samples of a step's batch: pictures in [0, 1], float32. B samples, side S of a crop, T of a
    thumbnail."""

    crop: Tensor  # (B, 3, S, S) of photos
    thumbnail: Tensor  # (B, 3, T, T) of a window of the same photos, at another scale
    zoomed: Tensor  # (L, 3, S, S) of the first L windows, enlarged
    boxes: Tensor  # (L, 4) left, top, right, bottom of `zoomed` in its window, in [0, 1]
    style: Tensor  # (B, 3, 320, 320) of paintings
    patch: Tensor  # (B, 3, S, S), another crop of the same paintings
    content_keys: list[tuple[int, int, int]]  # photo, variant, side: equal keys mean equal crops
    style_ids: list[int]
    wrong: list[int]  # for each sample another of the whole batch, with another painting; empty where there is none
    count: int  # samples of the whole batch
    zoom_count: int  # and those of them that are large too
    rows: Rows = WHOLE  # which of the whole batch's samples these are


class BatchSource:
    """Draws batches from pictures held on `device`: photos evenly, artists by the square root of their size."""

    def __init__(self, content: FolderReport, style: FolderReport, seed: int, device: torch.device) -> None:
        self.content = [torch.from_numpy(p.pixels).to(device) for p in content.pictures]
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.style_weights = _by_group(style)

    def batch(self, step: int, spec: BatchSpec, rows: Rows = WHOLE) -> Batch:
        """The batch of a step, or those rows of it; depends on nothing but the seed, the step, the spec and the
        pictures."""
        rng = np.random.default_rng([self.seed, 0, step])
        thumbnail = int(rng.choice(spec.thumbnails))
        photos = rng.integers(len(self.content), size=spec.batch).tolist()
        style_ids = rng.choice(len(self.style), size=spec.batch, p=self.style_weights).tolist()
        # Drawn and cut for the whole batch, whose rows must not depend on who has them; fitted, which costs, for these.
        own = rows.own(spec.batch)
        cut = []
        for photo in photos:
            variant = int(rng.integers(spec.crops_per_photo or 2**31))
            cut.append(((photo, variant, spec.crop), *self._window_and_region(photo, variant, spec.crop)))
        zoomed, boxes = [], []
        for row, (_, window, _) in enumerate(cut[: spec.zoom_crops]):
            side = window.shape[1]
            region = max(4, round(spec.crop / spec.magnification ** rng.random()))
            region = min(region, side)
            left, top = rng.integers(side - region + 1, size=2).tolist()
            if row in own:
                zoomed.append(_fit(window[:, top : top + region, left : left + region], spec.crop))
                boxes.append([left / side, top / side, (left + region) / side, (top + region) / side])
        styles = [_square(self.style[i], rng, rng.uniform(0.75, 1.0)) for i in style_ids]
        patches = [_crop(self.style[i], rng, spec.crop) for i in style_ids]
        crops = torch.stack([_fit(cut[row][2], spec.crop) for row in own])
        wrong = _of_other_paintings(style_ids)
        return Batch(
            crops,
            torch.stack([_fit(cut[row][1], thumbnail) for row in own]),
            torch.stack(zoomed) if zoomed else crops[:0],
            torch.tensor(boxes, device=crops.device).reshape(-1, 4),
            torch.stack([_fit(styles[row], STYLE_THUMBNAIL) for row in own]),
            torch.stack([_fit(patches[row], spec.crop) for row in own]),
            [cut[row][0] for row in own],
            [style_ids[row] for row in own],
            [wrong[row] for row in own] if wrong else [],
            spec.batch,
            min(spec.zoom_crops, spec.batch),
            rows,
        )

    def _window_and_region(self, photo: int, variant: int, crop: int) -> tuple[Tensor, Tensor]:
        """A square window over the short side, maybe mirrored, and what becomes a crop at 1 to 1.6 pixels a pixel."""
        rng = np.random.default_rng([self.seed, 1, photo, variant])
        window = _square(self.content[photo], rng, 1.0)
        if rng.random() < 0.5:
            window = window.flip(2)
        side = window.shape[1]
        region = min(side, round(crop * rng.uniform(1.0, 1.6)))
        left, top = rng.integers(side - region + 1, size=2).tolist()
        return window, window[:, top : top + region, left : left + region]

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

    def batch(self, step: int, count: int, side: int, rows: Rows = WHOLE) -> Tensor:
        """The batch of a step, (count, 3, side, side) in [0, 1], or those rows of it: square crops of half to all of a
        painting's short side, brought to `side` and maybe mirrored. It depends on nothing but the seed, the step, the
        sizes and the paintings."""
        rng = np.random.default_rng([self.seed, 2, step])
        cut = []
        for i in rng.choice(len(self.style), size=count, p=self.weights).tolist():
            region = _square(self.style[i], rng, rng.uniform(0.5, 1.0))
            cut.append((region, rng.random() < 0.5))
        crops = [(_fit(cut[row][0], side), cut[row][1]) for row in rows.own(count)]
        return torch.stack([crop.flip(2) if mirrored else crop for crop, mirrored in crops])


class CropPairSource:
    """Draws pairs of crops, one of a photo and one of a painting, from pictures held on `device`: photos evenly,
    artists by the square root of their size."""

    def __init__(self, content: FolderReport, style: FolderReport, seed: int, device: torch.device) -> None:
        self.content = [torch.from_numpy(p.pixels).to(device) for p in content.pictures]
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.style_weights = _by_group(style)

    def batch(self, step: int, count: int, side: int, rows: Rows = WHOLE) -> tuple[Tensor, Tensor]:
        """Photos and paintings of a step, (count, 3, side, side) each, in [0, 1], or those rows of them.

        Crops are at half to all of the size at which pictures are held, maybe mirrored; of a picture that is smaller
        than the crop all of the short side is taken, and enlarged. They depend on nothing but the seed, the step, the
        sizes and the pictures.
        """
        rng = np.random.default_rng([self.seed, _PAIRS, step])
        photos = rng.integers(len(self.content), size=count).tolist()
        paintings = rng.choice(len(self.style), size=count, p=self.style_weights).tolist()
        both = []
        for held, chosen in ((self.content, photos), (self.style, paintings)):
            cut = []
            for i in chosen:  # of the whole batch, whose rows must not depend on who has them
                region = _crop(held[i], rng, round(side / rng.uniform(0.5, 1.0)))
                cut.append(region.flip(2) if rng.random() < 0.5 else region)
            both.append(torch.stack([_fit(cut[row], side) for row in rows.own(count)]))
        return both[0], both[1]


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


def _of_other_paintings(style_ids: Sequence[int]) -> list[int]:
    """For each sample the nearest one before it, round the end, that has another painting; empty where all have one."""
    if len(set(style_ids)) < 2:
        return []
    count = len(style_ids)
    found = []
    for i, own in enumerate(style_ids):
        before = ((i - back) % count for back in range(1, count))
        found.append(next(j for j in before if style_ids[j] != own))
    return found


def _crop(picture: Tensor, rng: np.random.Generator, side: int) -> Tensor:
    """What becomes a crop of a painting at its own scale (enlarged only where the painting is the smaller)."""
    height, width = picture.shape[1:]
    region = min(side, height, width)
    top, left = int(rng.integers(height - region + 1)), int(rng.integers(width - region + 1))
    return picture[:, top : top + region, left : left + region]


def sample_boxes(pictures: Tensor, boxes: Tensor, side: int = 8) -> Tensor:
    """Read regions of pictures (L, 3, T, T) given as boxes (L, 4) in [0, 1] -> (L, 3, side, side), bilinear."""
    at = (torch.arange(side, device=boxes.device) + 0.5) / side
    xs = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * at
    ys = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * at
    grid = torch.stack([xs[:, None, :].expand(-1, side, -1), ys[:, :, None].expand(-1, -1, side)], 3) * 2 - 1
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
