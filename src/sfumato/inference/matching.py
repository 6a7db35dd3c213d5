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

Everything here is NumPy; shapes are ``(places, channels)``, float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Channels of a hypercolumn: of its layers relu1_1, relu1_2, relu2_1, relu2_2 and relu3_1.
LAYER_CHANNELS = (64, 64, 128, 128, 256)
HYPERCOLUMN = sum(LAYER_CHANNELS)
#: Of a place: its hypercolumn and its mean colour.
CHANNELS = HYPERCOLUMN + 3
#: Principal directions in which places are compared: the rest is noise to the search, and costs time.
DIRECTIONS = 96
#: Places, at most, that the bias is balanced on, and that a query is smoothed over.
BALANCED, SMOOTHED = 2048, 4096
_ROUNDS = 8  # of Sinkhorn: more change few matches
_TEMPERATURE = 0.03  # of cosine similarity in the balancing
_SIMILARITY = 0.1  # temperature of the smoothing, in cosine similarity
_LEAST = np.float32(1e-30)  # use of a vector, at the least: float32 must not overflow
_CHUNK = 2048  # places that are searched at a time: bounds the memory


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

    @classmethod
    def of(cls, vectors: Array, origins: Array | None = None) -> FeatureBank:
        return cls(vectors, vectors.mean(0), np.zeros((len(vectors), 3), np.float32) if origins is None else origins)


@dataclass(frozen=True)
class Weights:
    """How places are compared at one scale.

    Attributes:
        photo: share of the photo in a query, from 0 to 1; the rest is the picture painted so far.
        layers: weight of each layer of the hypercolumn. The first two hold colour, so a large weight keeps the photo's
            order of light and dark; relu3_1 sees 24 pixels, which at a coarse scale reach across edges.
        balance: from 0, plain nearest neighbours, to 1, where all vectors of the bank are used equally often.
        smooth: whether a query is smoothed over similar places.
    """

    photo: float = 0.6
    layers: tuple[float, float, float, float, float] = (2.0, 1.5, 1.0, 1.0, 1.0)
    balance: float = 0.8
    smooth: bool = False


class Matcher:
    """The search of one photo in one bank at one scale: made once a scale, shared by all tiles."""

    def __init__(
        self,
        bank: FeatureBank,
        photo: Array,
        painted: Array | None,
        weights: Weights,
        rng: np.random.Generator,
    ) -> None:
        """``photo`` and ``painted`` ``(N, 643)`` are the same places of the photo and of the picture
        painted so far; of large pictures, a sample of them."""
        self.bank, self.weights = bank, weights
        layers = np.repeat(np.array([*weights.layers, 0.0], np.float32), [*LAYER_CHANNELS, 3])
        self._photo_mean = photo.mean(0)
        centred: Array = (photo - self._photo_mean) * layers
        keys: Array = (bank.vectors - bank.mean) * layers
        directions = _principal(covariance(centred) + covariance(keys), DIRECTIONS)
        self._basis = layers[:, None] * directions
        keys = keys @ directions
        self._alignment = transport(covariance(centred @ directions), covariance(keys))
        self._keys = np.ascontiguousarray(unit(keys).T)
        self._anchors: tuple[Array, Array] | None = None
        if weights.smooth:
            some = _some(len(photo), SMOOTHED, rng)
            places = (photo[some] - self._photo_mean) @ self._basis
            self._anchors = unit(places).T, places @ self._alignment
        self._bias: Array | None = None
        if weights.balance:
            some = _some(len(photo), BALANCED, rng)
            queries = self._queries(photo[some], None if painted is None else painted[some])
            # Of a plain photo all queries are alike, and should stay so: then nothing is balanced.
            unlike = 1 - np.square(queries.mean(0)).sum() ** 2
            weight = np.float32(weights.balance * _TEMPERATURE * unlike)
            self._bias = weight * balance(queries @ self._keys / _TEMPERATURE)

    def __call__(self, photo: Array, painted: Array | None) -> Array:
        """Places ``(..., 643)`` of the photo, and of the picture painted so far, to the bank's vectors that match them,
        ``(..., 643)``."""
        return np.asarray(self.bank.vectors[self.search(photo, painted)])

    def search(self, photo: Array, painted: Array | None) -> npt.NDArray[np.int64]:
        """As a call, to the indices ``(...)`` of the vectors."""
        places = photo.reshape(-1, CHANNELS)
        now = None if painted is None else painted.reshape(-1, CHANNELS)
        found = np.empty(len(places), np.int64)
        for start in range(0, len(places), _CHUNK):
            part = slice(start, start + _CHUNK)
            scores = self._queries(places[part], None if now is None else now[part]) @ self._keys
            if self._bias is not None:
                scores += self._bias
            found[part] = scores.argmax(1)
        return found.reshape(photo.shape[:-1])

    def _queries(self, photo: Array, painted: Array | None) -> Array:
        """Unit vectors ``(N, K)``."""
        places = (photo - self._photo_mean) @ self._basis
        if self._anchors is None:
            queries = places @ self._alignment
        else:
            anchors, aligned = self._anchors
            similar = np.exp((unit(places) @ anchors - 1) / np.float32(_SIMILARITY))
            queries = (similar @ aligned) / (similar.sum(1, keepdims=True) + np.float32(1e-12))
        if painted is not None:
            share = np.float32(self.weights.photo)
            queries = share * queries + (1 - share) * ((painted - self.bank.mean) @ self._basis)
        return unit(queries)


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
    kernel = np.exp(scores - scores.max(1, keepdims=True))  # a place's own constant changes no assignment
    share = np.float32(scores.shape[0] / scores.shape[1])
    value = np.ones(scores.shape[1], np.float32)
    for _ in range(rounds):
        value = share / np.maximum((1 / (kernel @ value)) @ kernel, _LEAST)
    return np.log(value)[None]


def _power(matrix: npt.NDArray[np.floating], exponent: float, floor: float) -> npt.NDArray[np.float64]:
    """Of a symmetric matrix; eigenvalues below ``floor`` are raised to it."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    values = np.maximum(values, floor)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def _principal(matrix: Array, count: int) -> Array:
    """The ``count`` eigenvectors ``(K, count)`` of a covariance with the largest eigenvalues."""
    _, vectors = np.linalg.eigh(matrix)
    return np.ascontiguousarray(vectors[:, ::-1][:, :count], dtype=np.float32)


def _some(count: int, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.asarray(rng.permutation(count)[:most])
