"""Batches determined by seed and step alone, so that a resumed run gets the same pictures as an unbroken one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.data.folders import FolderReport
from sfumato.parallel import WHOLE, Rows

# Random stream for pairs of crops. Streams 0 to 2 are used by other batches, 2 also by validation, 3 and 4 by
# collections, 6 and 7 by the tasks `matching` and `noise_features`.
_PAIRS = 5
_NUMBERED = 8
_WHOLE_CROPS = 2  # of a painting's numbered crops, those that are as large as its short side
STYLE_THUMBNAIL = 320  # short side at which a style picture is encoded, in training and in inference


@dataclass(frozen=True)
class BatchSpec:
    """The number and sizes of a batch's crops and thumbnails, and the enlargement of its zoom crops."""

    batch: int  # number of samples
    crop: int  # side of the crops, in pixels
    thumbnails: Sequence[int]  # sides of the square thumbnails, in pixels; one is drawn in each step
    zoom_crops: int  # number of samples that also have a crop of the enlarged photo
    magnification: float  # largest factor by which such a photo is enlarged
    crops_per_photo: int  # number of different crops of a photo, whose features can be cached; 0: always a new crop


@dataclass(frozen=True)
class Batch:
    """This process's samples of a step's global batch.

    Pictures are float32 in [0, 1]. B is the number of samples, S the side of a crop, T that of a thumbnail.
    """

    crop: Tensor  # (B, 3, S, S), crops of photos
    thumbnail: Tensor  # (B, 3, T, T), thumbnails of a window of the same photos
    zoomed: Tensor  # (L, 3, S, S), enlarged crops of the first L windows
    boxes: Tensor  # (L, 4), left, top, right, bottom of each `zoomed` crop in its window, in [0, 1]
    style: Tensor  # (B, 3, 320, 320), thumbnails of paintings
    patch: Tensor  # (B, 3, S, S), crops of the same paintings
    content_keys: list[tuple[int, int, int]]  # photo, variant, side; equal keys mean equal crops
    style_ids: list[int]  # index of each sample's painting
    wrong: list[int]  # for each sample, a sample of the global batch with another painting; empty if there is none
    count: int  # number of samples of the global batch
    zoom_count: int  # number of samples of the global batch with a `zoomed` crop
    rows: Rows = WHOLE  # which samples of the global batch these are


class BatchSource:
    """Batches of photos and paintings, which are held on `device`.

    Photos are drawn uniformly, paintings by `_group_weights`.
    """

    def __init__(self, content: FolderReport, style: FolderReport, seed: int, device: torch.device) -> None:
        self.content = [torch.from_numpy(p.pixels).to(device) for p in content.pictures]
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.style_weights = _group_weights(style)

    def batch(self, step: int, spec: BatchSpec, rows: Rows = WHOLE) -> Batch:
        """Return the `rows` of a step's batch, which depends only on the seed, the step, the spec and the pictures."""
        rng = np.random.default_rng([self.seed, 0, step])
        thumbnail = int(rng.choice(spec.thumbnails))
        photos = rng.integers(len(self.content), size=spec.batch).tolist()
        style_ids = rng.choice(len(self.style), size=spec.batch, p=self.style_weights).tolist()
        # Regions are drawn for the global batch, so that a row is the same on any process. Only these rows are resized,
        # which is the expensive part.
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
        wrong = _other_painting_rows(style_ids)
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
        """Cut a square window over the short side, mirrored half of the time, and a region of it for a crop.

        The region is 1 to 1.6 times as large as the crop, or as large as the window.
        """
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
        """Resize the middle square of a picture (3, h, w) uint8 to (3, side, side) in [0, 1]."""
        short = min(picture.shape[1:])
        top, left = ((length - short) // 2 for length in picture.shape[1:])
        return _fit(picture[:, top : top + short, left : left + short], side)


class PaintingSource:
    """Batches of paintings alone, which are held on `device` and drawn by `_group_weights`."""

    def __init__(self, style: FolderReport, seed: int, device: torch.device) -> None:
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.weights = _group_weights(style)

    def batch(self, step: int, count: int, side: int, rows: Rows = WHOLE) -> Tensor:
        """Return the `rows` of a step's batch (count, 3, side, side) in [0, 1].

        Square crops of half to all of a painting's short side are resized to `side` and mirrored half of the time. They
        depend only on the seed, the step, the sizes and the paintings.
        """
        rng = np.random.default_rng([self.seed, 2, step])
        cut = []
        for i in rng.choice(len(self.style), size=count, p=self.weights).tolist():
            region = _square(self.style[i], rng, rng.uniform(0.5, 1.0))
            cut.append((region, rng.random() < 0.5))
        crops = [(_fit(cut[row][0], side), cut[row][1]) for row in rows.own(count)]
        return torch.stack([crop.flip(2) if mirrored else crop for crop, mirrored in crops])

    def crop(self, painting: int, number: int, side: int) -> Tensor:
        """Return a numbered square crop of a painting, (3, side, side) in [0, 1], the same for the same seed.

        Crops 0 and 1 have the painting's whole short side, the others 0.6 of it or more; odd ones are mirrored.
        """
        rng = np.random.default_rng([self.seed, _NUMBERED, painting, number])
        share = 1.0 if number < _WHOLE_CROPS else rng.uniform(0.6, 1.0)
        cut = _fit(_square(self.style[painting], rng, share), side)
        return cut.flip(2) if number % 2 else cut


class CropPairSource:
    """Batches of pairs, a crop of a photo and one of a painting, from pictures held on `device`.

    Photos are drawn uniformly, paintings by `_group_weights`.
    """

    def __init__(self, content: FolderReport, style: FolderReport, seed: int, device: torch.device) -> None:
        self.content = [torch.from_numpy(p.pixels).to(device) for p in content.pictures]
        self.style = [torch.from_numpy(p.pixels).to(device) for p in style.pictures]
        self.seed = seed
        self.style_weights = _group_weights(style)

    def batch(self, step: int, count: int, side: int, rows: Rows = WHOLE) -> tuple[Tensor, Tensor]:
        """Return the `rows` of a step's photos and paintings, (count, 3, side, side) each, in [0, 1].

        Crops have half to all of the resolution at which pictures are held, and are mirrored half of the time. If a
        picture is smaller than the crop, its whole short side is taken and enlarged. Crops depend only on the seed, the
        step, the sizes and the pictures.
        """
        rng = np.random.default_rng([self.seed, _PAIRS, step])
        photos = rng.integers(len(self.content), size=count).tolist()
        paintings = rng.choice(len(self.style), size=count, p=self.style_weights).tolist()
        both = []
        for held, chosen in ((self.content, photos), (self.style, paintings)):
            cut = []
            for i in chosen:  # of the global batch, so that a row is the same on any process
                region = _crop(held[i], rng, round(side / rng.uniform(0.5, 1.0)))
                cut.append(region.flip(2) if rng.random() < 0.5 else region)
            both.append(torch.stack([_fit(cut[row], side) for row in rows.own(count)]))
        return both[0], both[1]


def _group_weights(pictures: FolderReport) -> np.ndarray:
    """Return each picture's probability, (N,): a group (an artist) has a share by the square root of its size."""
    weights: np.ndarray = np.zeros(len(pictures.pictures))
    for members in pictures.groups.values():
        weights[members] = 1 / np.sqrt(len(members))
    weights /= weights.sum()
    return weights


def _square(picture: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """Cut a random square whose side is a share of the short side out of a picture."""
    height, width = picture.shape[1:]
    side = round(share * min(height, width))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return picture[:, top : top + side, left : left + side]


def _fit(region: Tensor, side: int) -> Tensor:
    """Resize a region (3, h, w) uint8 to (3, side, side) in [0, 1], bicubic and antialiased."""
    x = region[None].float() / 255
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return x[0]


def _other_painting_rows(style_ids: Sequence[int]) -> list[int]:
    """Return for each row the nearest earlier row, cyclically, with another painting; empty if all have the same."""
    if len(set(style_ids)) < 2:
        return []
    count = len(style_ids)
    found = []
    for i, own in enumerate(style_ids):
        before = ((i - back) % count for back in range(1, count))
        found.append(next(j for j in before if style_ids[j] != own))
    return found


def _crop(picture: Tensor, rng: np.random.Generator, side: int) -> Tensor:
    """Cut a random square of at most `side` pixels, and at most the short side, out of a picture."""
    height, width = picture.shape[1:]
    region = min(side, height, width)
    top, left = int(rng.integers(height - region + 1)), int(rng.integers(width - region + 1))
    return picture[:, top : top + region, left : left + region]


def sample_boxes(pictures: Tensor, boxes: Tensor, side: int = 8) -> Tensor:
    """Sample the boxes (L, 4) in [0, 1] of pictures (L, 3, T, T) bilinearly as (L, 3, side, side)."""
    at = (torch.arange(side, device=boxes.device) + 0.5) / side
    xs = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * at
    ys = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * at
    grid = torch.stack([xs[:, None, :].expand(-1, side, -1), ys[:, :, None].expand(-1, -1, side)], 3) * 2 - 1
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
