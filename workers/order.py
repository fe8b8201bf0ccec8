"""The order of a column's rows in time, with no more of them in memory than a block."""

import os.path
from bisect import bisect_left
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .selection import in_one_group, keys_of_numbers, select
from .stored import ScratchArray, Texts, Values, blocks, bytes_at
from .text_spans import places, text_spans

Array = npt.NDArray[Any]
KEY_BYTES = 7
"""So many bytes of a text are in a key; its last byte says how many of them there are, 8 where more follow."""


class Cut(NamedTuple):
    """A value that rows have or have not reached, and how many have not."""

    value: Any
    n_before: int


class Order(Protocol):
    """An order of the rows of a column, none of which is missing."""

    def at(self, place: int) -> Cut:
        """The cut before the first of the rows that have the value at a place of the ordered rows."""

    def reached(self, rows: slice, value: Any) -> Array:  # noqa: ANN401 - each order has values of its own
        """Which of these rows have the value of a cut or a later one."""


class NumberOrder(NamedTuple):
    """Numbers by value."""

    values: Values

    def at(self, place: int) -> Cut:
        """By the key of the number."""
        found = select(in_one_group(lambda: blocks(self.values), keys_of_numbers), np.array([[place]]))
        return Cut(found.keys[0, 0], place - int(found.ties[0, 0]))

    def reached(self, rows: slice, value: np.uint64) -> Array:
        """By their keys."""
        return np.asarray(keys_of_numbers(self.values[rows]) >= value)


class CodeOrder(NamedTuple):
    """Texts by code point, where their list is in this order and may hold a text several times in succession."""

    values: Values
    texts: Texts

    def at(self, place: int) -> Cut:
        """By the first code of the text."""
        found = select(in_one_group(lambda: blocks(self.values)), np.array([[place]]))
        code = int(found.keys[0, 0])
        code = bisect_left(self.texts, self.texts[code], hi=code)
        return Cut(code, sum(int(np.count_nonzero(block < code)) for block in blocks(self.values)))

    def reached(self, rows: slice, value: int) -> Array:
        """By their codes."""
        return np.asarray(self.values[rows] >= value)


class TextOrder(NamedTuple):
    """Texts by code point, which is the order of their UTF-8, from a list in no order."""

    values: Values
    texts: Texts
    scratch: Path

    def at(self, place: int) -> Cut:
        """By the text in UTF-8, found some bytes at a time, each time among the rows that begin with those before."""
        start, left = b"", place
        while True:
            keys, shared = self._keys_behind(start)
            if len(shared) > KEY_BYTES:
                start += shared[:-1]  # all texts that are left go on behind it
                continue
            found = select(in_one_group(partial(blocks, keys)), np.array([[left]]))
            left = int(found.ties[0, 0])
            *more, n_more = int(found.keys[0, 0]).to_bytes(8, "big")
            start += bytes(more[:n_more])
            if n_more <= KEY_BYTES:
                return Cut(start, place - left)

    def reached(self, rows: slice, value: bytes) -> Array:
        """Text by text."""
        return np.array([text >= value for text in bytes_at(self.texts, self.values[rows])], bool)

    def _keys_behind(self, start: bytes) -> tuple[ScratchArray, bytes]:
        """The keys of what follows `start` in the texts that begin with it and are longer; of all without a start.

        And what all of these begin with.
        """
        extremes: list[bytes] = []
        keys = ScratchArray(self.scratch / "keys", np.uint64)
        for rows in text_spans([(self.values.__getitem__, self.texts)], len(self.values)):
            texts = bytes_at(self.texts, self.values[rows])
            rests = [text[len(start) :] for text in texts if text.startswith(start) and (text != start or not start)]
            lengths = np.fromiter(map(len, rests), np.uint64, len(rests))
            firsts = np.array(rests, f"S{KEY_BYTES}").astype("S8").view(">u8").astype(np.uint64)
            keys.append(firsts | np.minimum(lengths, np.uint64(KEY_BYTES + 1)))
            extremes = [min([*extremes, *rests]), max([*extremes, *rests])] if rests else extremes
        return keys, os.path.commonprefix(extremes) or b""


def order_of(column: Column, scratch: Path) -> Order:
    """The order of the column's rows: numbers by value, texts by code point (ISO dates: by time)."""
    if column.categories is None:
        return NumberOrder(column.values)
    if column.type == "category" or _is_sorted(column.categories):
        return CodeOrder(column.values, column.categories)
    return TextOrder(column.values, column.categories, scratch)


def _is_sorted(texts: Texts) -> bool:
    last = ""
    for rows in text_spans([(places, texts)], len(texts)):
        block = [last, *texts[rows]]
        if any(left > right for left, right in pairwise(block)):
            return False
        last = block[-1]
    return True
