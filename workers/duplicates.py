"""Rows that stand in more than one part of a matrix, with the same features and target: figures on them flatter."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workers.counting import part_of
from workers.dataset import Column
from workers.distinct import Piles, tally
from workers.randomness import words_at
from workers.split import PARTS
from workers.stored import blocks, texts_at
from workers.text_spans import text_spans

Words = npt.NDArray[np.uint64]
NO_NUMBER = np.float64(np.nan).view(np.uint64)


class SharedRows:
    """Finds held-out rows that equal training rows, from the words of all rows, which it keeps in `scratch`."""

    def __init__(self, scratch: Path, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._piles = [Piles(scratch, f"words-{part}", sizes[0]) for part in range(len(sizes))]

    def add(self, words: Words, ends: Sequence[int]) -> None:
        """Take the words of more rows, those of one part after those of the other."""
        if any(self._sizes[1:]):
            for piles, part in zip(self._piles, np.split(words, ends[:-1]), strict=True):
                piles.add(part)

    def warnings(self) -> list[str]:
        """A warning where held-out rows equal training rows in all columns; none where there are no such rows."""
        counts = [0] * (len(PARTS) - 1)
        for training, *held_out in zip(*self._piles, strict=True):
            if any(map(len, held_out)):
                known, _ = tally(training)
                for place, words in enumerate(held_out):
                    counts[place] += sum(_count_known(block, known) for block in blocks(words))
        parts = zip(counts, self._sizes[1:], PARTS[1:], strict=True)
        shared = " and ".join(part_of(count, size, f"{name} row") for count, size, name in parts if count)
        if not shared:
            return []
        advice = "Remove repeated rows, or keep what belongs together on one side with split.by group."
        stand = "stands" if sum(counts) == 1 else "stand"
        return [f"{shared} {stand} in training too, same features and target: their figures look too good. {advice}"]


def words_of_rows(columns: Sequence[Column]) -> Iterator[Words]:
    """A 64-bit word for each row, equal for equal rows; for others, equal by chance once in 2⁶⁴ pairs; by blocks."""
    texts = [(column.values.__getitem__, column.categories) for column in columns]
    for rows in text_spans(texts, len(columns[0].values)):
        yield words_of_block(columns, rows)


def words_of_block(columns: Sequence[Column], rows: slice) -> Words:
    """The words of these rows."""
    words = np.zeros(rows.stop - rows.start, np.uint64)
    scratch = np.empty_like(words)
    for column in columns:
        words_at(np.uint64(1), np.bitwise_xor(words, _bits(column, rows), out=words), scratch)
    return words


def _bits(column: Column, rows: slice) -> Words:
    """What tells the values of a column apart, missing ones too."""
    block = column.block(rows)
    if column.type == "number":
        bits = np.asarray(block.values + 0.0).view(np.uint64)  # -0.0 becomes 0.0
        return bits if block.missing is None else np.where(block.missing, NO_NUMBER, bits)
    if column.type == "category" or column.categories is None:
        return block.values.astype(np.int64).view(np.uint64)
    texts = texts_at(column.categories, block.present)  # the same text may stand more than once in their list
    data = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    bits = np.zeros(len(block.values), np.uint64)
    bits[slice(None) if block.missing is None else ~block.missing] = np.frombuffer(data, np.uint64)
    return bits


def _count_known(words: Words, known: Words) -> int:
    """How many of the words are among `known`, which are ascending."""
    if not len(known):
        return 0
    places = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return int(np.count_nonzero(known[places] == words))
