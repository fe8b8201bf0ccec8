"""Keyed randomness: numbers that depend on what they are for, never on what was drawn before.

Everything is drawn by counter-based generators: Philox (Salmon et al., 2011) where a whole stream is needed, SplitMix64
(Steele, Lea & Flood, 2014) where a few numbers anywhere in a stream are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

INITIAL_WEIGHTS, ORDER_OF_ROWS, DROPOUT = 0, 1, 2
"""What a stream is for: streams of different purposes have nothing in common."""

Words = NDArray[np.uint64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def generator(purpose: int, seed: int, number: int) -> np.random.Generator:
    """The generator for one purpose of a job, such as the weights of layer `number` or the order of its epoch."""
    return np.random.Generator(_philox(purpose, seed, number, 0, 0))


def stream_key(purpose: int, seed: int, *numbers: int) -> np.uint64:
    """The key of a stream of `words_at` for one purpose of a job and up to three numbers below 2⁶⁴."""
    first, second, third = (*numbers, 0, 0, 0)[:3]
    return np.uint64(_philox(purpose, seed, first, second, third).random_raw())


def words_at(key: np.uint64, places: Words, scratch: Words) -> Words:
    """Replaces `places` (any shape) by the 64-bit words that stand there in the stream of `key`; in place."""
    words = places
    np.multiply(words, GAMMA, out=words)
    np.add(words, key, out=words)
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, None), strict=True):
        np.right_shift(words, shift, out=scratch)
        np.bitwise_xor(words, scratch, out=words)
        if multiplier is not None:
            np.multiply(words, multiplier, out=words)
    return words


def _philox(purpose: int, seed: int, *numbers: int) -> Any:  # noqa: ANN401 - numpy's BitGenerator
    first, second, third = numbers
    counter = np.array([0, third, second, purpose], dtype=np.uint64)
    return np.random.Philox(key=np.array([seed, first], dtype=np.uint64), counter=counter)
