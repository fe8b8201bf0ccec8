"""Rows that stand in more than one part of a matrix, with the same features and target: figures on them flatter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.counting import counted
from workers.dataset import Column
from workers.randomness import words_at
from workers.split import Split

Words = npt.NDArray[np.uint64]


def warnings_of_shared_rows(columns: Sequence[Column], split: Split) -> list[str]:
    """A warning where held-out rows equal training rows in all of these columns; none where there are no such rows."""
    words = words_of_rows(columns)
    training = np.unique(words[split.training])
    counts = {
        name: int(np.isin(words[rows], training).sum())
        for name, rows in (("validation", split.validation), ("test", split.test))
    }
    shared = " and ".join(
        f"{count} of {counted(len(getattr(split, name)), f'{name} row')}" for name, count in counts.items() if count
    )
    if not shared:
        return []
    advice = "Remove repeated rows, or keep what belongs together on one side with split.by group."
    return [f"{shared} stand in training too, same features and target: their figures look too good. {advice}"]


def words_of_rows(columns: Sequence[Column]) -> Words:
    """A 64-bit word for each row, equal for equal rows; for others, equal by chance once in 2⁶⁴ pairs."""
    words = np.zeros(len(columns[0].values), np.uint64)
    scratch = np.empty_like(words)
    for column in columns:
        for values in _bits(column):
            words_at(np.uint64(1), np.bitwise_xor(words, values, out=words), scratch)
    return words


def _bits(column: Column) -> list[Any]:
    if column.type == "number":
        values = (column.values + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    else:
        places = column.values.astype(np.int64)
        if column.type == "text" and column.categories:  # where the same text may stand more than once
            first: dict[str, int] = {}
            known = np.array([first.setdefault(text, place) for place, text in enumerate(column.categories)])
            places = np.where(places < 0, places, known[places])
        values = places.view(np.uint64)
    return [values] if column.missing is None else [values, column.missing.astype(np.uint64)]
