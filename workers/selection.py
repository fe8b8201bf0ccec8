"""What stands at a place in an order of values that are not in memory: by radix, a digit in each pass over them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Keys = npt.NDArray[np.uint64]
Rows = Callable[[], Iterable[tuple[Array, Keys]]]
DIGIT_BITS, N_DIGITS = 8, 256
FEW_ROWS = 2**18
"""So many are kept in memory once no others can stand at the places."""
SIGN = np.uint64(2**63)


class Found(NamedTuple):
    """The keys that were asked for, and of each how many places before its own have the same key."""

    keys: Keys
    ties: Array


def select(rows: Rows, places: Array) -> Found:
    """The keys that stand, within each group, at places that count from 0 in ascending order: (groups, n) both.

    `rows` goes over all of them again and again: the number of the group and the key of each. Places outside a group
    find anything.
    """
    keys, left = np.zeros(places.shape, np.uint64), places.copy()
    every, is_few = np.arange(len(places)), False
    for shift in range(64 - DIGIT_BITS, -1, -DIGIT_BITS):
        counts = _count_digits(rows, keys, shift)
        n_near = 0
        for place in range(places.shape[1]):
            ends = counts[place].cumsum(axis=1)
            digits = np.minimum((ends <= left[:, place, None]).sum(axis=1), N_DIGITS - 1)
            found = counts[place][every, digits]
            left[:, place] -= ends[every, digits] - found
            keys[:, place] = (keys[:, place] << np.uint64(DIGIT_BITS)) | digits.astype(np.uint64)
            n_near += int(found.sum())
        if n_near <= FEW_ROWS and not is_few:
            rows, is_few = _in_memory(_near(rows, keys, shift)), True
    return Found(keys, left)


def _count_digits(rows: Rows, heads: Keys, shift: int) -> list[Array]:
    """For each column of `heads`, of the keys that begin so in their group, how many have which next digit."""
    n_groups, n_places = heads.shape
    same = [next(other for other in range(n_places) if (heads[:, other] == head).all()) for head in heads.T]
    counts = {place: np.zeros(n_groups * N_DIGITS, np.int64) for place in same}
    for groups, keys in rows():
        tops = keys >> np.uint64(shift)
        for place in counts:
            is_near = tops >> np.uint64(DIGIT_BITS) == heads[groups, place]
            bins = groups[is_near] * N_DIGITS + (tops[is_near] & np.uint64(N_DIGITS - 1)).astype(np.intp)
            counts[place] += np.bincount(bins, minlength=n_groups * N_DIGITS)
    return [counts[place].reshape(n_groups, N_DIGITS) for place in same]


def _near(rows: Rows, heads: Keys, shift: int) -> Iterator[tuple[Array, Keys]]:
    """The rows whose keys begin as one of their group's."""
    for groups, keys in rows():
        is_near = np.zeros(len(keys), bool)
        for head in heads.T:
            is_near |= keys >> np.uint64(shift) == head[groups]
        yield groups[is_near], keys[is_near]


def _in_memory(blocks: Iterable[tuple[Array, Keys]]) -> Rows:
    groups, keys = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return lambda: [(groups, keys)]


def in_one_group(
    blocks: Callable[[], Iterable[Array]], key: Callable[[Array], Keys] = lambda block: block.astype(np.uint64)
) -> Rows:
    """What `select` goes over where all rows are one group: their numbers or codes as keys."""
    return lambda: ((np.zeros(len(block), np.intp), key(block)) for block in blocks())


def keys_of_numbers(values: Array) -> Keys:
    """Keys in the order of float64 numbers; -0.0 is 0.0."""
    bits: Keys = (values + 0.0).view(np.uint64)
    return np.where(bits >= SIGN, ~bits, bits | SIGN)


def numbers_of_keys(keys: Keys) -> Array:
    """The numbers that have these keys."""
    return np.where(keys >= SIGN, keys ^ SIGN, ~keys).view(np.float64)
