"""Feature matching: each place of a photo gets the nearest features of the painting.

A *hypercolumn* is the vector of VGG19's shallow features at one place of a picture, at a quarter of its resolution
(``networks.hypercolumn``). A *place* is described by its hypercolumn and its mean colour; the colour is not compared,
but copied along with a match. A :class:`FeatureBank` holds places of a style's pictures. A :class:`Matcher` finds, for
each place of a photo, a place of the bank, in five steps:

1. *Alignment.* A linear map takes the photo's mean and covariance to the bank's (Monge-Kantorovich; Pitié & Kokaram
   2007). It uses the style's whole tonal range, and it is continuous: similar places stay similar.
2. *Smoothing*, at coarse scales: a query becomes the mean of the queries of similar places of the photo, so that a
   region of one colour stays one region.
3. *Search* by cosine similarity (style swap, Chen & Schmidt 2016; neural neighbours, Kolkin et al. 2022), with one bias
   per bank vector that prevents the overuse of some vectors (Sinkhorn, Cuturi 2013).
4. *Residual.* Where the bank has nothing similar, a share of the difference between the aligned query and its match is
   added to the match. So small structure of the photo survives, with the style's covariance (as in whitening and
   colouring, Li et al. 2017) and some of its own (`Weights.structure`).
5. *Statistics.* The mean and deviation of each channel are moved towards the bank's (Huang & Belongie 2017).

Everything here is NumPy; arrays are ``(places, channels)``, float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Channels of the layers of a hypercolumn: relu1_1, relu1_2, relu2_1, relu2_2 and relu3_1.
LAYER_CHANNELS = (64, 64, 128, 128, 256)
HYPERCOLUMN = sum(LAYER_CHANNELS)
#: Channels of a place: its hypercolumn and its mean colour.
CHANNELS = HYPERCOLUMN + 3
#: Number of principal directions in which places are compared: the other directions only add noise and time.
DIRECTIONS = 64
#: Largest number of places that the biases are computed from, and that a query is averaged over.
BALANCED, SMOOTHED = 2048, 4096
_ROUNDS = 8  # iterations of Sinkhorn's algorithm; more of them change few matches
_TEMPERATURE = 0.03  # of the soft assignment in `balance`, in cosine similarity
_SIMILARITY = 0.1  # temperature of the smoothing, in cosine similarity
_MIN_USE = np.float32(1e-30)  # lower bound on divisors, so that float32 does not overflow
_GREY_RANGE = 0.02  # largest difference between a colour's channels that counts as grey
_PLACES_AT_ONCE = 512  # places per step of the search: their score table fits into the processor's cache
_MAX_STRETCH = 1.25  # largest factor by which a channel's deviation is moved towards the bank's
_ROUNDING = 1e-3  # queries shorter than this, relative to the keys' mean length, are rounding errors of a plain photo
_GREY_SHARE = 0.35  # weight of plain greys in the statistics by which a photo of one colour is aligned
_SOFTNESS = 0.1  # added to the residual's cosine distance where the painting has no fine structure at all
_ITERATIONS = 3  # of the subspace iteration in `_principal`
_RIDGE = np.float32(1e-4)  # ridge penalty in `_prediction`, relative to the mean variance of a direction


@dataclass(frozen=True)
class FeatureBank:
    """Places of a style's pictures at one scale.

    Attributes:
        vectors: ``(M, 643)`` float32: hypercolumns, with each layer weighted by the decoder's scale, and colours in [0,
            1].
        mean: ``(643,)``, of the vectors.
        origins: ``(M, 3)`` float32: index of the picture, and the place's position in it, x and y in [0, 1].
    """

    vectors: Array
    mean: Array
    origins: Array

    @cached_property
    def covariance(self) -> Array:
        """The covariance of the vectors ``(643, 643)``."""
        return covariance(self.vectors - self.mean)

    @cached_property
    def is_grey(self) -> bool:
        """Whether the colours of all places are grey."""
        return float(np.ptp(self.vectors[:, -3:], axis=1).max()) < _GREY_RANGE

    @classmethod
    def of(cls, vectors: Array, origins: Array | None = None) -> FeatureBank:
        """Return the bank of these vectors ``(M, 643)``; without ``origins``, all are zero."""
        return cls(vectors, vectors.mean(0), np.zeros((len(vectors), 3), np.float32) if origins is None else origins)


@dataclass(frozen=True)
class Weights:
    """The parameters of matching at one scale.

    Attributes:
        photo: weight of the photo in a query, from 0 to 1; the rest is the picture painted so far.
        layers: weight of each layer of the hypercolumn. The first two encode colour, so large weights preserve the
            photo's order of tones; relu3_1 has a receptive field of 24 pixels, which crosses edges at a coarse scale.
        balance: from 0, plain nearest neighbours, to 1, where all vectors of the bank are used equally often.
        smooth: whether a query is averaged over similar places.
        residual: share of the residual that is added per unit of cosine distance between query and match; also its
            upper limit.
        structure: weight of the photo's covariance in the covariance that the residual is aligned to. A soft painting
            has little variance in the directions of stripes, spokes and letters, and would flatten them.
        statistics: how far means are moved to the bank's, from 0 to 1. Above 0, deviations are moved too, by a factor
            of at most `_MAX_STRETCH`.
        evened: how far the colours of matches are moved to those of `places.follow_luma`, from 0 to 1.
    """

    photo: float = 0.6
    layers: tuple[float, float, float, float, float] = (2.0, 1.5, 1.0, 1.0, 1.0)
    balance: float = 0.8
    smooth: bool = False
    residual: float = 0.0
    structure: float = 0.0
    statistics: float = 0.0
    evened: float = 0.0


class Match(NamedTuple):
    """The matches of N places.

    Attributes:
        chosen: index ``(N,)`` of the bank's vector of each place.
        residual: ``(N, K)``, added in the directions of comparison; ``None`` without a residual.
    """

    chosen: npt.NDArray[np.int64]
    residual: Array | None


class Readout(NamedTuple):
    """The map from matches to vectors.

    Attributes:
        vectors: ``(M, C)``, of the bank.
        directions: ``(K, C)``, of the residual; ``(0, C)`` where no residual is added.
    """

    vectors: Array
    directions: Array

    def places(self, match: Match) -> Array:
        """Return the vectors ``(N, C)`` of the matched places."""
        found = self.vectors[match.chosen]
        if match.residual is not None:
            found += match.residual @ self.directions
        return found


class Matcher:
    """The search of one photo in one bank at one scale; built once per scale and shared by all tiles.

    Args:
        bank: the style's places.
        photo: ``(N, 643)``, places of the photo; of a large photo, a sample.
        painted: ``(N, 643)``, the same places of the picture painted so far, if there is one.
        weights: the parameters of matching.
        rng: for the random subsets of places.
        greys: ``(G, 643)``, places of plain pictures from black to white. The plainer the photo, the more they count in
            its statistics (`_GREY_SHARE`), so that a white page is matched with the light parts of the painting and a
            black one with the dark parts.
    """

    def __init__(
        self,
        bank: FeatureBank,
        photo: Array,
        painted: Array | None,
        weights: Weights,
        rng: np.random.Generator,
        greys: Array | None = None,
    ) -> None:
        self.bank, self.weights = bank, weights
        layers = np.repeat(np.array([*weights.layers, 0.0], np.float32), [*LAYER_CHANNELS, 3])
        mean, spread = _moments(photo, greys)
        both = layers[:, None] * layers
        spreads = spread * both, bank.covariance * both
        directions = _principal(spreads[0] + spreads[1], DIRECTIONS)
        self._basis = layers[:, None] * directions
        # Means are subtracted after the projection, which saves a copy of the places.
        self._photo_mean, self._bank_mean = mean @ self._basis, bank.mean @ self._basis
        self._keys = bank.vectors @ self._basis - self._bank_mean
        self._least = np.float32(_ROUNDING) * np.sqrt(np.square(self._keys).sum(1).mean()) + _MIN_USE
        # Where the bank's fine layers vary less than the photo's, cosine distances underestimate the lost structure.
        rich = _fine_variance(bank.covariance) / (_fine_variance(spread) + float(_MIN_USE))
        self._softness = np.float32(_SOFTNESS * max(0.0, 1 - rich))
        of_photo, of_bank = (directions.T @ each @ directions for each in spreads)
        self._alignment = alignment = transport(of_photo, of_bank)
        self._structure = alignment
        if weights.structure:
            self._structure = transport(of_photo, of_bank + np.float32(weights.structure) * of_photo)
        self._anchors: tuple[Array, Array] | None = None
        if weights.smooth:
            some = _sample_indices(len(photo), SMOOTHED, rng)
            places = photo[some] @ self._basis - self._photo_mean
            self._anchors = unit(places).T, places @ alignment
        # The last component of a key is its bias, that of a query 1.
        self._units = unit(self._keys)
        self._scored = np.vstack([self._units.T, np.zeros((1, len(self._keys)), np.float32)])
        some = _sample_indices(len(photo), BALANCED, rng)
        photo, painted = photo[some], None if painted is None else painted[some]
        unlike = 0.0
        if weights.balance or weights.statistics:
            queries = self._queries(photo, painted)[0][:, :-1]
            unlike = _unlikeness(queries)  # 0 for a plain photo, so that it stays plain
        if weights.balance:
            weight = np.float32(weights.balance * _TEMPERATURE * unlike)
            self._scored[-1:] = weight * balance(queries / np.float32(_TEMPERATURE) @ self._scored[:-1])
        needed = weights.residual or weights.statistics
        none = np.zeros((0, bank.vectors.shape[1]), np.float32)
        self.readout = Readout(bank.vectors, _prediction(self._keys, bank.vectors) if needed else none)
        if weights.statistics:
            offset = (photo.mean(0) @ self._basis - self._photo_mean) @ alignment @ self.readout.directions
            self._move_statistics(self.readout.places(self.search(photo, painted)), bank.mean + offset, unlike)

    def search(self, photo: Array, painted: Array | None) -> Match:
        """Return the matches of places ``(N, 643)`` of the photo.

        ``painted`` ``(N, 643)`` are the same places of the picture painted so far, if there is one.
        """
        queries, projected = self._queries(photo, painted)
        chosen = np.empty(len(photo), np.int64)
        scores = np.empty((_PLACES_AT_ONCE, len(self._keys)), np.float32)
        for start in range(0, len(photo), _PLACES_AT_ONCE):
            part = queries[start : start + _PLACES_AT_ONCE]
            chosen[start : start + _PLACES_AT_ONCE] = np.matmul(part, self._scored, out=scores[: len(part)]).argmax(1)
        return Match(chosen, self._residual(projected @ self._structure, chosen) if self.weights.residual else None)

    def _queries(self, photo: Array, painted: Array | None) -> tuple[Array, Array]:
        """Return the queries and the projected places.

        Returns:
            Unit vectors with a 1 appended, ``(N, K + 1)``; and the photo's places in the directions of comparison,
            ``(N, K)``, neither aligned nor normalised.
        """
        projected = photo @ self._basis - self._photo_mean
        aligned = projected @ self._alignment if self._anchors is None else self._smoothed(projected)
        queries = np.empty((len(photo), aligned.shape[1] + 1), np.float32)
        queries[:, :-1], queries[:, -1] = aligned, 1
        if painted is not None:
            share = np.float32(self.weights.photo)
            queries[:, :-1] *= share
            queries[:, :-1] += (1 - share) * (painted @ self._basis - self._bank_mean)
        queries[:, :-1] = self._normalised(queries[:, :-1])
        return queries, projected

    def _normalised(self, places: Array) -> Array:
        """Return the rows scaled to length 1, or to 0 where they contain only rounding errors."""
        length = np.sqrt(np.einsum("nk,nk->n", places, places))[:, None]
        return np.asarray(places * ((length > self._least) / np.maximum(length, self._least)), np.float32)

    def _smoothed(self, places: Array) -> Array:
        """Return projected places ``(N, K)`` of the photo, each replaced by the aligned mean of similar places."""
        assert self._anchors is not None
        anchors, targets = self._anchors
        smoothed = np.empty_like(places)
        for start in range(0, len(places), _PLACES_AT_ONCE):
            part = slice(start, start + _PLACES_AT_ONCE)
            similar = np.exp((unit(places[part]) @ anchors - 1) / np.float32(_SIMILARITY))
            smoothed[part] = (similar @ targets) / (similar.sum(1, keepdims=True) + np.float32(1e-12))
        return smoothed

    def _residual(self, aligned: Array, chosen: npt.NDArray[np.int64]) -> Array:
        """Return the residual ``(N, K)``: aligned photo minus matches, weighted by their cosine distance."""
        normalised, cap = self._normalised(aligned), np.float32(self.weights.residual)
        distance = 1 - np.einsum("nk,nk->n", normalised, self._units[chosen])[:, None]
        share = np.minimum(cap, cap * (distance + self._softness)) * normalised.any(1, keepdims=True)
        return np.asarray(share * (aligned - self._keys[chosen]), np.float32)

    def _move_statistics(self, found: Array, wanted_mean: Array, unlike: float) -> None:
        """Move the readout towards the bank's statistics.

        Args:
            found: ``(N, 643)``, the vectors of a sample of matched places.
            wanted_mean: ``(643,)``, the mean that they should have.
            unlike: how far means and deviations are moved, from 0 to 1 (`_unlikeness`).
        """
        mean, deviation, wanted = found.mean(0), found.std(0), np.sqrt(np.diagonal(self.bank.covariance))
        gain = wanted / (deviation + np.float32(1e-3) * wanted.mean() + np.float32(1e-9))
        gain = np.clip(gain, 1 / _MAX_STRETCH, _MAX_STRETCH) ** np.float32(unlike)
        moved = mean + np.float32(self.weights.statistics * unlike) * (wanted_mean - mean)
        vectors, directions = self.readout
        self.readout = Readout((vectors - mean) * gain + moved, directions * gain)


def _moments(photo: Array, greys: Array | None) -> tuple[Array, Array]:
    """Return the mean ``(C,)`` and covariance ``(C, C)`` of the photo's places, mixed with those of greys.

    The weight of the greys grows with the photo's plainness.
    """
    mean = photo.mean(0)
    spread = covariance(photo - mean)
    if greys is None:
        return mean, spread
    other = greys.mean(0)
    between = (mean - other)[:, None] * (mean - other)
    grey = np.float32(_GREY_SHARE * _plainness(photo[:, -3:]))
    rest = 1 - grey
    return rest * mean + grey * other, rest * spread + grey * covariance(greys - other) + rest * grey * between


def _fine_variance(spread: Array) -> float:
    """Return the summed variance of the layers from relu2_1 on, given a covariance ``(643, 643)``."""
    return float(np.diagonal(spread)[sum(LAYER_CHANNELS[:2]) : HYPERCOLUMN].sum())


def _plainness(colours: Array) -> float:
    """Return how uniform colours ``(N, 3)`` are, from 0 to 1.

    It is the square of the probability that two of them fall into the same bin of a histogram with 8 bins per channel:
    below 0.02 for most photos, 0.4 for a page of text.
    """
    bins = (np.clip(colours, 0, 0.999) * 8).astype(np.int64) @ np.array([64, 8, 1])
    shares = np.bincount(bins) / len(bins)
    return float(np.square(np.square(shares).sum()))


def _unlikeness(queries: Array) -> float:
    """Return how much rows of length 1 or 0 differ: 0 where all are equal, 1 where their mean is 0."""
    nonzero = queries[queries.any(1)]
    return 1 - float(np.square(nonzero.mean(0)).sum()) ** 2 if len(nonzero) else 0.0


def _prediction(keys: Array, vectors: Array) -> Array:
    """Return the matrix ``(K, C)`` that predicts centred vectors ``(M, C)`` from centred keys ``(M, K)``.

    It is fitted by ridge regression.
    """
    square = covariance(keys)
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square) + _MIN_USE
    return np.asarray(np.linalg.solve(square, keys.T @ vectors / np.float32(len(keys))), np.float32)


def unit(vectors: Array) -> Array:
    """Return the rows ``(N, K)`` scaled to length 1; rows of zeros stay zero."""
    length = np.sqrt(np.einsum("nk,nk->n", vectors, vectors))
    return np.asarray(vectors / (length[:, None] + np.float32(1e-6)), np.float32)


def covariance(centred: Array) -> Array:
    """Return the covariance ``(K, K)`` of centred rows ``(N, K)``."""
    return centred.T @ centred / np.float32(len(centred))


def transport(source: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> Array:
    """Return the linear optimal transport map between two covariances.

    It is the symmetric matrix A ``(K, K)`` that takes rows of covariance ``source`` to covariance ``target`` with the
    smallest mean squared movement: ``S^-½ (S^½ T S^½)^½ S^-½`` (Pitié & Kokaram 2007, equation 6).

    Eigenvalues of the source below 1 % of its largest, or 0.1 % of the target's largest, are raised to that bound, so
    that noise of a plain photo is not stretched to the range of a painting.
    """
    top = [float(np.linalg.eigvalsh(np.asarray(matrix, np.float64))[-1]) for matrix in (source, target)]
    floor = max(0.01 * top[0], 0.001 * top[1], 1e-12)
    root, inverse = _power(source, 0.5, floor), _power(source, -0.5, floor)
    return np.asarray(inverse @ _power(root @ target @ root, 0.5, 0.0) @ inverse, np.float32)


def balance(scores: Array, rounds: int = _ROUNDS) -> Array:
    """Return one bias per vector of the bank, ``(1, M)``, by Sinkhorn's iteration.

    With the biases, the soft assignment of the places uses all vectors equally often. The rows of ``scores`` ``(N, M)``
    are places, the values cosine similarities divided by the temperature.
    """
    kernel = scores - scores.max(1, keepdims=True)  # a constant per place changes no assignment
    np.exp(kernel, out=kernel)
    share = np.float32(scores.shape[0] / scores.shape[1])
    value = np.ones(scores.shape[1], np.float32)
    for _ in range(rounds):
        value = share / np.maximum((1 / (kernel @ value)) @ kernel, _MIN_USE)
    return np.log(value)[None]


def _power(matrix: npt.NDArray[np.floating], exponent: float, floor: float) -> npt.NDArray[np.float64]:
    """Return a power of a symmetric matrix, whose eigenvalues are first clamped to at least ``floor``."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    values = np.maximum(values, floor)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def _principal(matrix: Array, count: int) -> Array:
    """Return the principal directions ``(K, count)``, orthonormal, of a covariance ``(K, K)``, by subspace iteration.

    It takes a tenth of the time of a full eigendecomposition and finds more than 99 % of the same variance.
    """
    basis = np.random.default_rng(0).normal(size=(len(matrix), min(count, len(matrix)))).astype(np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(matrix @ basis)[0]
    return np.ascontiguousarray(basis, np.float32)


def _sample_indices(count: int, max_count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return up to ``max_count`` random indices below ``count``."""
    return np.asarray(rng.permutation(count)[:max_count])
