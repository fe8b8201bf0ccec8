"""Different 64-bit words among more of them than memory holds: dealt out into files, equal ones into the same."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .randomness import words_at
from .selection import keys_of_numbers, numbers_of_keys
from .stored import ScratchArray, Values, blocks

Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
WORDS_AT_ONCE = 2**18
MOST_PILES = 2**12


class Piles:
    """Words dealt out into as many files as it takes to look at one after the other.

    They are made for about `n_words`; where words are added to several of these, equal ones lie in piles of one number
    if all were made for as many.
    """

    def __init__(self, scratch: Path, name: str, n_words: int) -> None:
        self._bits = min(MOST_PILES, -(-n_words // WORDS_AT_ONCE) or 1).bit_length() - 1
        self._piles = [ScratchArray(scratch / f"{name}-{pile}", np.uint64) for pile in range(2**self._bits)]

    def add(self, words: Words) -> None:
        """Deal out more words."""
        if not self._bits:
            self._piles[0].append(words)
            return
        mixed = words_at(np.uint64(2), words.copy(), np.empty_like(words))
        numbers = (mixed >> np.uint64(64 - self._bits)).astype(np.int16)
        order = np.argsort(numbers, kind="stable")
        ends = np.bincount(numbers, minlength=len(self._piles)).cumsum()
        for pile, part in zip(self._piles, np.split(words[order], ends[:-1]), strict=True):
            pile.append(part)

    def __iter__(self) -> Iterator[ScratchArray]:
        """The piles in the order of their numbers."""
        return iter(self._piles)


def tally(words: Values) -> tuple[Words, Counts]:
    """The different words, ascending, and how often each stands there."""
    found, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    pending: list[Any] = []
    n_pending = 0
    for block in blocks(words):
        pending.append(block)
        n_pending += len(block)
        if n_pending > max(WORDS_AT_ONCE, len(found)):
            found, counts = _merged(found, counts, pending)
            pending, n_pending = [], 0
    return _merged(found, counts, pending)


def most_frequent(numbers: Iterable[npt.NDArray[Any]], n_numbers: int, scratch: Path) -> float:
    """The lowest of the numbers that are most frequent; -0.0 is 0.0."""
    piles = Piles(scratch, "numbers", n_numbers)
    for block in numbers:
        piles.add(keys_of_numbers(block))
    best = []
    for pile in piles:
        keys, counts = tally(pile)
        if len(keys):
            best.append((-int(counts.max()), int(keys[counts.argmax()])))
    return float(numbers_of_keys(np.array([min(best)[1]], np.uint64))[0])


def count_distinct(words: Iterable[Words], n_words: int, scratch: Path) -> int:
    """How many different words there are."""
    piles = Piles(scratch, "words", n_words)
    for block in words:
        piles.add(block)
    return sum(len(tally(pile)[0]) for pile in piles)


def _merged(words: Words, counts: Counts, more: list[Words]) -> tuple[Words, Counts]:
    new = np.concatenate([words, *more])
    if not len(new):
        return words, counts
    added = np.concatenate([counts, np.ones(len(new) - len(words), np.int64)])
    order = np.argsort(new)
    new, added = new[order], added[order]
    firsts = np.flatnonzero(np.concatenate([[True], new[1:] != new[:-1]]))
    return new[firsts], np.add.reduceat(added, firsts)
