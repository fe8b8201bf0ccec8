"""What stands at a place in an order of values that are not in memory: by radix, a digit in each pass over them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Keys = npt.NDArray[np.uint64]
DIGIT_BITS, N_DIGITS = 8, 256
SIGN = np.uint64(2**63)


class Found(NamedTuple):
    """The keys that were asked for, and of each how many places before its own have the same key."""

    keys: Keys
    ties: Array


def select(rows: Callable[[], Iterable[tuple[Array, Keys]]], places: Array) -> Found:
    """The keys that stand, within each group, at places that count from 0 in ascending order: (groups, n) both.

    `rows` goes over all of them again and again: the number of the group and the key of each. Places outside a group
    find anything.
    """
    n_groups, n_places = places.shape
    keys, left = np.zeros(places.shape, np.uint64), places.copy()
    for shift in range(64 - DIGIT_BITS, -1, -DIGIT_BITS):
        counts = np.zeros((n_places, n_groups, N_DIGITS), np.int64)
        for groups, block in rows():
            heads = block >> np.uint64(shift)
            for place in range(n_places):
                is_near = heads >> np.uint64(DIGIT_BITS) == keys[groups, place]
                bins = groups[is_near] * N_DIGITS + (heads[is_near] & np.uint64(N_DIGITS - 1)).astype(np.intp)
                counts[place] += np.bincount(bins, minlength=n_groups * N_DIGITS).reshape(n_groups, N_DIGITS)
        for place in range(n_places):
            ends = counts[place].cumsum(axis=1)
            digits = np.minimum((ends <= left[:, place, None]).sum(axis=1), N_DIGITS - 1)
            every = np.arange(n_groups)
            left[:, place] -= ends[every, digits] - counts[place][every, digits]
            keys[:, place] = (keys[:, place] << np.uint64(DIGIT_BITS)) | digits.astype(np.uint64)
    return Found(keys, left)


def in_one_group(
    blocks: Callable[[], Iterable[Array]], key: Callable[[Array], Keys] = lambda block: block.astype(np.uint64)
) -> Callable[[], Iterator[tuple[Array, Keys]]]:
    """What `select` goes over where all rows are one group: their numbers or codes as keys."""
    return lambda: ((np.zeros(len(block), np.intp), key(block)) for block in blocks())


def keys_of_numbers(values: Array) -> Keys:
    """Keys in the order of float64 numbers; -0.0 is 0.0."""
    bits: Keys = (values + 0.0).view(np.uint64)
    return np.where(bits >= SIGN, ~bits, bits | SIGN)


def numbers_of_keys(keys: Keys) -> Array:
    """The numbers that have these keys."""
    return np.where(keys >= SIGN, keys ^ SIGN, ~keys).view(np.float64)
