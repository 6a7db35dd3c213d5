"""Feature banks: places sampled from a style's pictures at one scale."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from sfumato.image import Picture, resize
from sfumato.inference.feature_networks import STRIDE, FeatureNetworks
from sfumato.inference.matching import Array, FeatureBank
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import as_rows, encode_region
from sfumato.inference.style_pictures import SparsePlaces, StylePicture

#: Number of vectors in a bank.
BANK = 4096
_ENCODED = 5  # places that are encoded per place that is sampled, at most
#: Side in pixels of the windows from which places of a large picture are sampled.
WINDOW = 128
#: Short sides in pixels at which `thinned` encodes pictures; painting takes the nearest one.
LEVELS = (64, 128, 256, 512)
#: Distance in places, along each axis, of the places that `thinned` keeps.
GAP = 4
#: Standard deviation of the noise that `thinned` adds, relative to that of each channel.
NOISE = 0.25
_MOST_KEPT = 512  # places of a level that `thinned` keeps


@lru_cache(maxsize=10)  # of 10 MB each; photos of one size share their banks
def make_bank(
    networks: FeatureNetworks, pictures: tuple[StylePicture, ...], short: int, seed: int = 0, size: int = BANK
) -> FeatureBank:
    """Sample a feature bank from a style's pictures.

    The pictures are not rotated. With four rotations, strokes could follow any edge of the photo, but painters' strokes
    have preferred directions: the result was further from the painting in every measure of style.

    Args:
        networks: encode the pictures.
        pictures: of the style; each gives a number of vectors in proportion to its weight.
        short: short side of the pictures in pixels; smaller pictures keep their size.
        seed: of the sampling.
        size: number of vectors.
    """
    rng = np.random.default_rng([0xBA2C, seed])
    weights = np.array([each.weight for each in pictures])
    counts = np.maximum(1, np.round(size * weights / weights.sum())).astype(int)
    vectors, origins = [], []
    for number, (each, count) in enumerate(zip(pictures, counts, strict=True)):
        if isinstance(each, SparsePlaces):
            found = each.places(short)
            found = found[rng.permutation(len(found))[:count]]
            spots = np.zeros((len(found), 2), np.float32)
        else:
            found, spots = _sample_places(networks, _shrunk(each.picture, short), count, rng)
        vectors.append(found)
        origins.append(np.insert(spots, 0, number, axis=1))
    return FeatureBank.of(np.concatenate(vectors), np.concatenate(origins))


def thinned(
    networks: FeatureNetworks, pictures: Sequence[StylePicture], gap: int = GAP, noise: float = NOISE
) -> SparsePlaces:
    """Return a few places of pictures, from which the pictures cannot be put together again.

    A jigsaw needs pieces that overlap their neighbours. So of every ``gap`` x ``gap`` places one is kept, on a grid
    with a random offset, with some noise, in random order and without its position.

    What is random depends on the hash of each picture, which nobody knows who does not have the picture. So each result
    has the same places of a picture, and several results do not add up to all of them.

    Args:
        networks: encode the pictures.
        pictures: of a style; each gives a number of places in proportion to its weight, as far as it has them.
        gap: distance of the places along each axis.
        noise: standard deviation of the Gaussian noise that is added, relative to that of each channel. It is far too
            little for differential privacy.
    """
    weights = np.array([each.weight for each in pictures])
    counts = np.maximum(1, np.round(_MOST_KEPT * weights / weights.sum())).astype(int)
    hashes = [int(each.sha256, 16) for each in pictures]
    levels = {}
    for short in LEVELS:
        found = []
        for each, digest, count in zip(pictures, hashes, counts, strict=True):
            rng = np.random.default_rng([digest, short])
            source = ArrayReader(_shrunk(each.picture, short))
            places = encode_region(networks, source, slice(0, source.height), slice(0, source.width))
            top, left = (int(rng.integers(min(gap, side))) for side in places.shape[1:])
            kept = as_rows(places[:, top::gap, left::gap])
            kept = kept + (noise * kept.std(0) * rng.standard_normal(kept.shape)).astype(np.float32)
            found.append(kept[rng.permutation(len(kept))[:count]])
        vectors = np.concatenate(found)
        order = np.random.default_rng([*hashes, short]).permutation(len(vectors))
        levels[short] = vectors[order].astype(np.float16)
    return SparsePlaces.of_levels(levels)


def _shrunk(picture: Picture, short: int) -> Picture:
    """Return the picture with its short side at ``short`` pixels, or at its own size if that is smaller."""
    height, width = picture.shape[2:]
    factor = min(1.0, short / min(height, width))
    return resize(picture, max(STRIDE, round(height * factor)), max(STRIDE, round(width * factor)))


def _sample_places(
    networks: FeatureNetworks, picture: Picture, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Sample places of a picture; of a large picture, only random windows are encoded.

    Returns:
        ``count`` places ``(N, 643)``, or all where there are fewer, and their positions, x and y in [0, 1]: ``(N, 2)``.
    """
    source = ArrayReader(picture)
    if source.height * source.width <= 1.6 * _ENCODED * count * STRIDE**2:  # windows have margins
        spots = [(slice(0, source.height), slice(0, source.width))]
    else:
        spots = windows(source.height, source.width, 2 + _ENCODED * count * STRIDE**2 // WINDOW**2, rng)
    vectors, where = [], []
    for rows, columns in spots:
        places = encode_region(networks, source, rows, columns)
        down, across = np.indices(places.shape[1:], np.float32) * STRIDE + STRIDE / 2
        at = np.stack([(across + columns.start) / source.width, (down + rows.start) / source.height], 2)
        vectors.append(as_rows(places))
        where.append(at.reshape(-1, 2))
    chosen = rng.permutation(sum(map(len, vectors)))[:count]
    return np.concatenate(vectors)[chosen], np.minimum(np.concatenate(where)[chosen], 1).astype(np.float32)


def windows(height: int, width: int, count: int, rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """Return ``count`` random regions of a picture of that size, on the grid of ``STRIDE``."""
    spots = []
    for _ in range(count):
        top, left = (int(rng.integers(0, max(1, side - WINDOW) // STRIDE + 1)) * STRIDE for side in (height, width))
        spots.append((slice(top, min(top + WINDOW, height)), slice(left, min(left + WINDOW, width))))
    return spots
