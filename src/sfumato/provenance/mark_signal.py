"""The signal of the invisible mark: what is changed in the luma, and how it is read again.

Small smooth waves ("atoms", 64 x 64 pixels, of middle frequencies) lie on a grid of 32 pixels. The share of each atom
in the picture is moved to the nearest value that carries its bit: a whole step away from each other lie the values of
a 0, halfway between them those of a 1. The picture itself is therefore no noise for the reader, only what happens to
the picture later is. Source: Chen and Wornell, *Quantization index modulation*, IEEE Transactions on Information
Theory 47 (2001). A key chooses the atoms and shifts the values of each by an amount of its own. The pattern of 4 x 4
cells (a tile of 128 pixels) repeats over the whole picture, so that any part of it has all bits.

Four of the atoms of a cell carry no bit: they tell where tiles begin. Beside the atoms, waves over the whole picture
(pilots) make 24 frequencies stronger, with the phases that they have already; `mark_search` finds scale and angle by
them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sfumato.provenance.mark_code import RATE, SIGNALS, STEPS

Array = NDArray[np.float32]

CELL = 32
GRID = 4
TILE = CELL * GRID
ATOM = 2 * CELL
SYNCS = 4
DATA = SIGNALS // GRID**2
BAND = (0.03, 0.16)  # cycles per pixel: they outlive JPEG and halving
PILOTS = 24
PILOT_BAND = (0.05, 0.14)
#: Step of the atoms' values, and the root mean square of the pilots, in grey levels where `room` is 1.
STEP = 48.5
PILOT = 0.7
#: Room for the mark: the least, its growth with the local contrast, the most. The most bounds the whole change.
ROOM = (0.25, 0.055, 1.0)
ROUNDS = 4


@dataclass(frozen=True, eq=False)  # a key of caches by its identity
class Pattern:
    """What a key chooses.

    Attributes:
        atoms: (SYNCS + DATA, ATOM * ATOM), orthonormal.
        dither: (GRID, GRID, SYNCS + DATA) shifts of the values, in [0, 1) steps.
        pilots: (PILOTS, 2) frequencies (y, x) in cycles per pixel.
    """

    atoms: Array
    dither: Array
    pilots: NDArray[np.float64]


@lru_cache(maxsize=4)
def pattern(key: bytes) -> Pattern:
    """Return what a key chooses. All numbers come from SHAKE-256, so they stay the same with every NumPy."""

    def stream(name: str, kind: str, *shape: int) -> NDArray[np.float64]:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        data = hashlib.shake_256(b"sfumato mark 1 " + name.encode() + b":" + key).digest(size)
        return np.frombuffer(data, kind).reshape(shape) / 256.0 ** np.dtype(kind).itemsize

    count = SYNCS + DATA
    line = np.fft.fftfreq(ATOM)
    frequency = np.hypot(line[:, None], line)
    inside = (frequency > BAND[0]) & (frequency < BAND[1])
    waves = np.fft.ifft2(np.fft.fft2(stream("atoms", "u1", count, ATOM, ATOM) - 0.5) * inside).real
    fade = np.sin(np.pi * (np.arange(ATOM) + 0.5) / ATOM) ** 1.5
    window = fade[:, None] * fade
    waves = window * (waves - (waves * window).sum((1, 2), keepdims=True) / window.sum())  # no part of a mean
    atoms = np.linalg.qr(waves.reshape(count, -1).T)[0].T
    turns = stream("pilots", "<u4", PILOTS, 2)
    low, high = (edge**2 for edge in PILOT_BAND)
    radius, angle = np.sqrt(low + turns[:, 0] * (high - low)), np.pi * (np.arange(PILOTS) + turns[:, 1]) / PILOTS
    return Pattern(
        atoms.astype(np.float32),
        stream("dither", "<u2", GRID, GRID, count).astype(np.float32),
        np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1),
    )


def box(x: Array, reach: int) -> Array:
    """Return the means over squares of 2 * reach + 1 pixels; (H, W) to (H, W)."""
    side = 2 * reach + 1
    for _ in range(2):
        count, sums, start = len(x), np.zeros_like(x), 0
        run = np.pad(x, ((reach, reach), (0, 0)), mode="edge")  # sums of 1, 2, 4, ... rows
        for bit in range(side.bit_length()):
            if side >> bit & 1:
                sums = sums + run[start : start + count]
                start += 1 << bit
            run = run[: -(1 << bit)] + run[1 << bit :]
        x = (sums / np.float32(side)).T
    return x


def normalised(luma: Array) -> tuple[Array, Array]:
    """Return luma (H, W) less its local mean and over the room for a mark, and the room."""
    detail = luma - box(luma, 12)
    least, slope, most = ROOM
    contrast = np.sqrt(np.maximum(box(box(detail * detail, 12), 12), 0))
    room = np.clip(least + slope * contrast, least, most).astype(np.float32)
    return detail / room, room


def design(luma: Array, word: Array, by: Pattern, pilots: bool) -> Array:
    """Return the change of luma (H, W), in grey levels, that writes a code word (STEPS, RATE)."""
    x, room = normalised(luma)
    marked = luma
    if pilots:
        marked = np.clip(luma + room * _pilot_waves(x, by.pilots), 0, 255)
        x, _ = normalised(marked)
    shares = _project(x, by.atoms)
    rows, columns = (np.arange(size) % GRID for size in shares.shape[:2])
    bits = np.concatenate([np.zeros((GRID, GRID, SYNCS)), (1 - _to_cells(word)) / 4], 2)
    shift = (by.dither + bits)[rows[:, None], columns]
    wanted = ((np.round(shares / STEP - shift) + shift) * STEP).astype(np.float32)
    for turn in range(ROUNDS):  # atoms of neighbouring cells overlap, and the room changes a little with the mark
        if turn:
            x, _ = normalised(marked)
            shares = _project(x, by.atoms)
        marked = np.clip(marked + room * _spread(wanted - shares, by.atoms, luma.shape), 0, 255)
    return marked - luma


def place(x: Array, by: Pattern) -> tuple[float, int, int]:
    """Find where tiles begin in a normalised picture (H, W), from its sync atoms.

    Returns:
        How far the best place stands out, in standard deviations of all places, and its row and column in [0, TILE).
    """
    height, width = x.shape
    transformed = np.fft.rfft2(x.astype(np.float64)).astype(np.complex64)  # faster than that of float32
    sums = np.zeros((TILE, TILE), np.complex64)
    for atom, dither in zip(*_sync_spectra(by, height, width), strict=True):
        shares = np.fft.irfft2(transformed * atom, (height, width))[: height - ATOM + 1, : width - ATOM + 1]
        angle = (shares * (2 * np.pi / STEP)).astype(np.float32)
        sums += np.fft.fft2(_fold(np.cos(angle)) + 1j * _fold(np.sin(angle))) * dither
    found = np.fft.ifft2(sums).real
    row, column = divmod(int(found.argmax()), TILE)
    return float(found.max() / found.std()), row, column


def read(x: Array, by: Pattern, row: int, column: int) -> NDArray[np.complex128]:
    """Sum what all cells of a normalised picture say, with tiles that begin at a row and a column.

    Returns:
        (STEPS, RATE); the real part is the soft value of a signal. With another key its phase is anything.
    """
    shares = _project(x[row % CELL :, column % CELL :], by.atoms[SYNCS:])
    rows, columns = (
        (np.arange(size) - start // CELL) % GRID for size, start in zip(shares.shape[:2], (row, column), strict=True)
    )
    said = np.exp(2j * np.pi * (shares / STEP - by.dither[rows[:, None], columns, SYNCS:]))
    sums = np.zeros((GRID, GRID, DATA), np.complex128)
    np.add.at(sums, (rows[:, None], columns), said)
    return sums.transpose(2, 0, 1).reshape(STEPS, RATE)


@lru_cache(maxsize=8)
def _sync_spectra(by: Pattern, height: int, width: int) -> tuple[list[Array], list[Array]]:
    """Return the conjugate spectra of the sync atoms, in a picture, and of their dither, in a tile."""
    atoms, dithers = [], []
    for k in range(SYNCS):
        atoms.append(np.conj(np.fft.rfft2(by.atoms[k].reshape(ATOM, ATOM), (height, width))))
        tile = np.zeros((TILE, TILE), np.complex64)
        tile[::CELL, ::CELL] = np.exp(2j * np.pi * by.dither[..., k])
        dithers.append(np.conj(np.fft.fft2(tile)))
    return atoms, dithers


def _to_cells(word: Array) -> Array:
    """Arrange (STEPS, RATE) as (GRID, GRID, DATA): the signals of a step lie in different cells."""
    return word.reshape(DATA, GRID, GRID).transpose(1, 2, 0)


def _project(x: Array, atoms: Array) -> Array:
    """Return the shares of atoms in the cells that lie in x whole: (rows, columns, atoms)."""
    views = np.lib.stride_tricks.sliding_window_view(x, (ATOM, ATOM))[::CELL, ::CELL]
    return np.stack([row.reshape(len(row), -1) @ atoms.T for row in views])


def _spread(shares: Array, atoms: Array, shape: tuple[int, ...]) -> Array:
    """Return the sum of atoms by their shares (rows, columns, atoms), as a picture of a shape (H, W)."""
    out = np.zeros(shape, np.float32)
    columns = shares.shape[1]
    for i, row in enumerate(shares):
        blocks = (row @ atoms).reshape(columns, ATOM, ATOM // CELL, CELL)
        for k in range(ATOM // CELL):
            flat = blocks[:, :, k].transpose(1, 0, 2).reshape(ATOM, -1)
            out[i * CELL : i * CELL + ATOM, k * CELL : (k + columns) * CELL] += flat
    return out


def _pilot_waves(x: Array, pilots: NDArray[np.float64]) -> Array:
    """Return waves (H, W) of the pilots' frequencies with the phases that x has there."""
    down, along = (
        np.exp(-2j * np.pi * np.outer(line, np.arange(size))).astype(np.complex64)
        for line, size in zip(pilots.T, x.shape, strict=True)
    )
    phases = np.angle(((down @ x) * along).sum(1))
    turned = np.conj(down) * np.exp(1j * phases).astype(np.complex64)[:, None]
    waves = turned.real.T @ along.real + turned.imag.T @ along.imag  # the real part, since along is conjugated
    return np.asarray(waves * (PILOT * np.sqrt(2 / PILOTS)), np.float32)


def _fold(x: Array) -> Array:
    """Sum a map over all tiles: (H, W) to (TILE, TILE)."""
    height, width = x.shape
    x = np.pad(x, ((0, -height % TILE), (0, -width % TILE)))
    return np.asarray(x.reshape(x.shape[0] // TILE, TILE, -1, TILE).sum((0, 2)))
