"""The error-correcting code of the invisible mark: 64 bits and a checksum in 80 steps of a convolutional code.

The code is tail-biting: its register starts as it ends, so no step is spent on closing it. The Viterbi algorithm reads
it from soft values, three times round. Source: Shao, Lin and Fossorier, *Two decoding algorithms for tail-biting
codes*, IEEE Transactions on Communications 51 (2003). The generators have the free distance 24, which is the best
known for this rate and memory.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

ID_BITS = 64
CHECK_BITS = 16
STEPS = ID_BITS + CHECK_BITS
MEMORY = 12
#: The taps of the register whose parity is each signal of a step; `MEMORY` + 1 bits each.
GENERATORS = (0o11543, 0o13745, 0o16355)
RATE = len(GENERATORS)
SIGNALS = STEPS * RATE


def encode(number: int) -> NDArray[np.float32]:
    """Return the code word of a number in [0, 2**64): (STEPS, RATE) of -1 and 1."""
    body = number.to_bytes(ID_BITS // 8, "big")
    bits = np.unpackbits(np.frombuffer(body + _checksum(body), np.uint8)).astype(np.int64)
    register = np.zeros(STEPS, np.int64)
    for back in range(MEMORY + 1):
        register |= np.roll(bits, back) << back
    return _signals()[register]


def decode(soft: NDArray[np.float64]) -> int | None:
    """Return the number whose code word fits soft values (STEPS, RATE) best; None if its checksum is wrong."""
    states = 1 << MEMORY
    gains = soft.astype(np.float32) @ _signals().T  # (STEPS, contents of the register)
    before = np.arange(states) >> 1  # and the same with the highest bit set
    fit = np.zeros(states, np.float32)
    choices = np.empty((3 * STEPS, states), np.bool_)
    for i in range(3 * STEPS):
        zero = fit[before] + gains[i % STEPS, :states]
        one = fit[before + states // 2] + gains[i % STEPS, states:]
        choices[i] = one > zero
        fit = np.maximum(zero, one)
    state = int(fit.argmax())
    bits = np.empty(3 * STEPS, np.uint8)
    for i in reversed(range(3 * STEPS)):
        bits[i] = state & 1
        state = state >> 1 | int(choices[i, state]) << (MEMORY - 1)
    whole = np.packbits(bits[STEPS : 2 * STEPS]).tobytes()  # the round whose register has settled at both ends
    body, checksum = whole[: ID_BITS // 8], whole[ID_BITS // 8 :]
    return int.from_bytes(body, "big") if checksum == _checksum(body) else None


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")[-CHECK_BITS // 8 :]


@cache
def _signals() -> NDArray[np.float32]:
    """Return the signals of every content of the register: (2 ** (MEMORY + 1), RATE) of -1 and 1."""
    tapped = np.arange(2 << MEMORY, dtype=np.int64)[:, None] & np.array(GENERATORS)
    for shift in (8, 4, 2, 1):
        tapped ^= tapped >> shift
    return np.asarray(1 - 2 * (tapped & 1), np.float32)
