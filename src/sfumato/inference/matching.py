"""Feature matching: each place of a photo gets the painting's own nearest features.

A *hypercolumn* is the vector of VGG19's shallow features at one place of a picture, at a quarter of its size
(``networks.hypercolumn``). A place is described by its hypercolumn and its mean colour, which is not compared, but goes
along. A :class:`FeatureBank` holds places of a style's pictures. A :class:`Matcher` finds, for each place of a photo,
one of the bank, by three steps:

1. *Alignment.* A linear map takes the photo's mean and covariance to the bank's (Monge-Kantorovich; Pitié & Kokaram
   2007). It uses the style's whole tonal range, and it is continuous: places that are alike stay alike.
2. *Smoothing*, at coarse scales: a query becomes the mean of the queries of similar places of the photo, so that a
   region of one colour stays one region.
3. *Search* by cosine similarity (style swap, Chen & Schmidt 2016; neural neighbours, Kolkin et al. 2022), with one
   bias a bank vector that keeps some vectors from being used for everything (Sinkhorn, Cuturi 2013).
4. *Residual*: where the bank has nothing alike, a share of the difference between the aligned query and its match is
   added to the match. So small structure of the photo survives, with the style's covariance (as in whitening and
   colouring, Li et al. 2017) and some of its own (`Weights.structure`).
5. *Statistics*: each channel's mean and deviation are moved towards the bank's (Huang & Belongie 2017).

Everything here is NumPy; shapes are ``(places, channels)``, float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Channels of a hypercolumn: of its layers relu1_1, relu1_2, relu2_1, relu2_2 and relu3_1.
LAYER_CHANNELS = (64, 64, 128, 128, 256)
HYPERCOLUMN = sum(LAYER_CHANNELS)
#: Of a place: its hypercolumn and its mean colour.
CHANNELS = HYPERCOLUMN + 3
#: Principal directions in which places are compared: the rest is noise to the search, and costs time.
DIRECTIONS = 64
#: Places, at most, that the bias is balanced on, and that a query is smoothed over.
BALANCED, SMOOTHED = 2048, 4096
_ROUNDS = 8  # of Sinkhorn: more change few matches
_TEMPERATURE = 0.03  # of cosine similarity in the balancing
_SIMILARITY = 0.1  # temperature of the smoothing, in cosine similarity
_MIN_USE = np.float32(1e-30)  # use of a vector, at the least: float32 must not overflow
_GREY_RANGE = 0.02  # largest difference between a colour's channels that counts as grey
_PLACES_AT_ONCE = 512  # places that are searched at a time: their table of scores stays in the processor's cache
_MAX_STRETCH = 1.25  # of a channel's deviation towards the bank's, at most
_ROUNDING = 1e-3  # length of a query, in those of keys, below which it is rounding: a plain photo has no others
_GREY_SHARE = 0.35  # share of plain greys among the places that a photo of one colour is aligned by
_SOFTNESS = 0.1  # added to the cosine distance of the residual's share, where the painting has no fine structure at all
_ITERATIONS = 3  # of the search for principal directions
_RIDGE = np.float32(1e-4)  # of the mean variance of a direction, where vectors are predicted from directions


@dataclass(frozen=True)
class FeatureBank:
    """Places of a style's pictures at one scale.

    Attributes:
        vectors: ``(M, 643)`` float32: hypercolumns, each layer weighted by the decoder's scale, and colours in [0, 1].
        mean: ``(643,)``.
        origins: ``(M, 3)`` float32: number of the picture, and where in it the place is, across and down, in [0, 1].
    """

    vectors: Array
    mean: Array
    origins: Array

    @cached_property
    def covariance(self) -> Array:
        """The vectors' covariance ``(643, 643)``."""
        return covariance(self.vectors - self.mean)

    @cached_property
    def is_grey(self) -> bool:
        """Whether the colours of all places are greys."""
        return float(np.ptp(self.vectors[:, -3:], axis=1).max()) < _GREY_RANGE

    @classmethod
    def of(cls, vectors: Array, origins: Array | None = None) -> FeatureBank:
        return cls(vectors, vectors.mean(0), np.zeros((len(vectors), 3), np.float32) if origins is None else origins)


@dataclass(frozen=True)
class Weights:
    """How places are compared at one scale, and what is then done to the matches.

    Attributes:
        photo: share of the photo in a query, from 0 to 1; the rest is the picture painted so far.
        layers: weight of each layer of the hypercolumn. The first two hold colour, so a large weight keeps the photo's
            order of light and dark; relu3_1 sees 24 pixels, which at a coarse scale reach across edges.
        balance: from 0, plain nearest neighbours, to 1, where all vectors of the bank are used equally often.
        smooth: whether a query is smoothed over similar places.
        residual: share of the residual that is added, for each unit of cosine distance between query and match, and at
            most.
        structure: share of the photo's covariance in the one that the residual is aligned to. A soft painting has
            little variance where stripes, spokes and letters have theirs, and would flatten them.
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
    """What was found for N places: the indices ``(N,)`` of the bank's vectors, and the residual ``(N, K)`` that is
    added to them."""

    chosen: npt.NDArray[np.int64]
    residual: Array | None


class Readout(NamedTuple):
    """What a match stands for: ``vectors`` ``(M, C)`` of the bank, and ``directions`` ``(K, C)`` of the residual, of
    which there are none, ``(0, C)``, where no residual is added."""

    vectors: Array
    directions: Array

    def places(self, match: Match) -> Array:
        """``(N, C)``."""
        found = self.vectors[match.chosen]
        if match.residual is not None:
            found += match.residual @ self.directions
        return found


class Matcher:
    """The search of one photo in one bank at one scale: made once a scale, shared by all tiles."""

    def __init__(
        self,
        bank: FeatureBank,
        photo: Array,
        painted: Array | None,
        weights: Weights,
        rng: np.random.Generator,
        greys: Array | None = None,
    ) -> None:
        """``photo`` and ``painted`` ``(N, 643)`` are the same places of the photo and of the picture
        painted so far; of large pictures, a sample of them. ``greys`` ``(G, 643)`` are places of plain pictures from
        black to white, of which a photo that is mostly of one colour is taken to have some, too (`_GREY_SHARE`): so a
        white page takes what is light in the painting, and a black one what is dark."""
        self.bank, self.weights = bank, weights
        layers = np.repeat(np.array([*weights.layers, 0.0], np.float32), [*LAYER_CHANNELS, 3])
        mean, spread = _moments(photo, greys)
        both = layers[:, None] * layers
        spreads = spread * both, bank.covariance * both
        directions = _principal(spreads[0] + spreads[1], DIRECTIONS)
        self._basis = layers[:, None] * directions
        # Means are taken off after the projection, which is then one product, without a copy of the places.
        self._photo_mean, self._bank_mean = mean @ self._basis, bank.mean @ self._basis
        self._keys = bank.vectors @ self._basis - self._bank_mean
        self._least = np.float32(_ROUNDING) * np.sqrt(np.square(self._keys).sum(1).mean()) + _MIN_USE
        # Where its fine layers vary less than the photo's, places look alike though what tells them apart is lost.
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
        # The bias is a key's last number, and 1 a query's.
        self._units = unit(self._keys)
        self._scored = np.vstack([self._units.T, np.zeros((1, len(self._keys)), np.float32)])
        some = _sample_indices(len(photo), BALANCED, rng)
        photo, painted = photo[some], None if painted is None else painted[some]
        unlike = 0.0
        if weights.balance or weights.statistics:
            queries = self._queries(photo, painted)[0][:, :-1]
            unlike = _unlikeness(queries)  # of a plain photo 0: it stays plain
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
        """Places ``(N, 643)`` of the photo, and of the picture painted so far, to what matches them."""
        queries, projected = self._queries(photo, painted)
        chosen = np.empty(len(photo), np.int64)
        scores = np.empty((_PLACES_AT_ONCE, len(self._keys)), np.float32)
        for start in range(0, len(photo), _PLACES_AT_ONCE):
            part = queries[start : start + _PLACES_AT_ONCE]
            chosen[start : start + _PLACES_AT_ONCE] = np.matmul(part, self._scored, out=scores[: len(part)]).argmax(1)
        return Match(chosen, self._residual(projected @ self._structure, chosen) if self.weights.residual else None)

    def _queries(self, photo: Array, painted: Array | None) -> tuple[Array, Array]:
        """Unit vectors and a 1, ``(N, K + 1)``, and the photo's places in the directions of comparison, ``(N, K)``, not
        aligned and not of length 1."""
        projected = photo @ self._basis - self._photo_mean
        aligned = projected @ self._alignment if self._anchors is None else self._smoothed(projected)
        queries = np.empty((len(photo), aligned.shape[1] + 1), np.float32)
        queries[:, :-1], queries[:, -1] = aligned, 1
        if painted is not None:
            share = np.float32(self.weights.photo)
            queries[:, :-1] *= share
            queries[:, :-1] += (1 - share) * (painted @ self._basis - self._bank_mean)
        queries[:, :-1] = self._directed(queries[:, :-1])
        return queries, projected

    def _directed(self, places: Array) -> Array:
        """Rows of length 1, or 0 where there is nothing but rounding."""
        length = np.sqrt(np.einsum("nk,nk->n", places, places))[:, None]
        return np.asarray(places * ((length > self._least) / np.maximum(length, self._least)), np.float32)

    def _smoothed(self, places: Array) -> Array:
        """Places ``(N, K)`` of the photo, each as the mean of similar ones, aligned."""
        assert self._anchors is not None
        anchors, targets = self._anchors
        smoothed = np.empty_like(places)
        for start in range(0, len(places), _PLACES_AT_ONCE):
            part = slice(start, start + _PLACES_AT_ONCE)
            similar = np.exp((unit(places[part]) @ anchors - 1) / np.float32(_SIMILARITY))
            smoothed[part] = (similar @ targets) / (similar.sum(1, keepdims=True) + np.float32(1e-12))
        return smoothed

    def _residual(self, aligned: Array, chosen: npt.NDArray[np.int64]) -> Array:
        """What the matches miss of the aligned photo ``(N, K)``, weighted by how unlike they are: ``(N, K)``."""
        directed, cap = self._directed(aligned), np.float32(self.weights.residual)
        distance = 1 - np.einsum("nk,nk->n", directed, self._units[chosen])[:, None]
        share = np.minimum(cap, cap * (distance + self._softness)) * directed.any(1, keepdims=True)
        return np.asarray(share * (aligned - self._keys[chosen]), np.float32)

    def _move_statistics(self, found: Array, wanted_mean: Array, unlike: float) -> None:
        """Change the readout so that channels of places like ``found`` ``(N, 643)`` come nearer to a mean ``(643,)``
        and to the bank's deviation."""
        mean, deviation, wanted = found.mean(0), found.std(0), np.sqrt(np.diagonal(self.bank.covariance))
        gain = wanted / (deviation + np.float32(1e-3) * wanted.mean() + np.float32(1e-9))
        gain = np.clip(gain, 1 / _MAX_STRETCH, _MAX_STRETCH) ** np.float32(unlike)
        moved = mean + np.float32(self.weights.statistics * unlike) * (wanted_mean - mean)
        vectors, directions = self.readout
        self.readout = Readout((vectors - mean) * gain + moved, directions * gain)


def _moments(photo: Array, greys: Array | None) -> tuple[Array, Array]:
    """Mean ``(C,)`` and covariance ``(C, C)`` of the photo's places and, the plainer it is, of the greys."""
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
    """Of a covariance ``(643, 643)``: the variance of the layers from relu2_1 on, summed."""
    return float(np.diagonal(spread)[sum(LAYER_CHANNELS[:2]) : HYPERCOLUMN].sum())


def _plainness(colours: Array) -> float:
    """How far colours ``(N, 3)`` are one: the square of the chance that two of them lie in the same eighth of each
    channel. Of most photos it is below 0.02, of a page with text 0.4."""
    bins = (np.clip(colours, 0, 0.999) * 8).astype(np.int64) @ np.array([64, 8, 1])
    shares = np.bincount(bins) / len(bins)
    return float(np.square(np.square(shares).sum()))


def _unlikeness(queries: Array) -> float:
    """How much rows of length 1 or 0 differ, from 0 up to 1, where their mean is 0."""
    nonzero = queries[queries.any(1)]
    return 1 - float(np.square(nonzero.mean(0)).sum()) ** 2 if len(nonzero) else 0.0


def _prediction(keys: Array, vectors: Array) -> Array:
    """The matrix ``(K, C)`` that predicts vectors ``(M, C)``, less their mean, from centred keys ``(M, K)`` best (ridge
    regression)."""
    square = covariance(keys)
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square) + _MIN_USE
    return np.asarray(np.linalg.solve(square, keys.T @ vectors / np.float32(len(keys))), np.float32)


def unit(vectors: Array) -> Array:
    """Rows ``(N, K)`` of length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("nk,nk->n", vectors, vectors))
    return np.asarray(vectors / (length[:, None] + np.float32(1e-6)), np.float32)


def covariance(centred: Array) -> Array:
    """Of centred rows ``(N, K)``: ``(K, K)``."""
    return centred.T @ centred / np.float32(len(centred))


def transport(source: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> Array:
    """The linear map A ``(K, K)``, symmetric, that takes rows of covariance ``source`` to covariance ``target`` and
    moves them least: ``S^-½ (S^½ T S^½)^½ S^-½`` (Pitié & Kokaram 2007, equation 6).

    Eigenvalues of the source below 1 % of its largest, or 0.1 % of the target's, are raised to that: noise of a plain
    photo is not stretched to the range of a painting.
    """
    top = [float(np.linalg.eigvalsh(np.asarray(matrix, np.float64))[-1]) for matrix in (source, target)]
    floor = max(0.01 * top[0], 0.001 * top[1], 1e-12)
    root, inverse = _power(source, 0.5, floor), _power(source, -0.5, floor)
    return np.asarray(inverse @ _power(root @ target @ root, 0.5, 0.0) @ inverse, np.float32)


def balance(scores: Array, rounds: int = _ROUNDS) -> Array:
    """One bias a vector of the bank ``(1, M)`` by Sinkhorn's iteration: with it, the soft assignment of the places
    (rows of ``scores`` ``(N, M)``, cosine similarity divided by the temperature) uses all vectors equally often."""
    kernel = scores - scores.max(1, keepdims=True)  # a place's own constant changes no assignment
    np.exp(kernel, out=kernel)
    share = np.float32(scores.shape[0] / scores.shape[1])
    value = np.ones(scores.shape[1], np.float32)
    for _ in range(rounds):
        value = share / np.maximum((1 / (kernel @ value)) @ kernel, _MIN_USE)
    return np.log(value)[None]


def _power(matrix: npt.NDArray[np.floating], exponent: float, floor: float) -> npt.NDArray[np.float64]:
    """Of a symmetric matrix; eigenvalues below ``floor`` are raised to it."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    values = np.maximum(values, floor)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def _principal(matrix: Array, count: int) -> Array:
    """Directions ``(K, count)``, orthonormal, in which a covariance ``(K, K)`` is largest: subspace iteration, which
    takes a tenth of the time of all eigenvectors and finds more than 99 % of the variance that they do."""
    basis = np.random.default_rng(0).normal(size=(len(matrix), min(count, len(matrix)))).astype(np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(matrix @ basis)[0]
    return np.ascontiguousarray(basis, np.float32)


def _sample_indices(count: int, max_count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.asarray(rng.permutation(count)[:max_count])
