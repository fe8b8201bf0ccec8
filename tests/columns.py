"""Columns of a dataset, from plain values; None is missing. And which rows a split takes for what, as plain lists."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from workers.dataset import Column
from workers.files import scratch_directory
from workers.split import TEST, TRAINING, VALIDATION, Split, split_of


def numbers(name: str, *values: float | None) -> Column:
    missing = np.array([value is None for value in values])
    plain = np.array([value or 0.0 for value in values])
    return Column(name, "number", plain, missing if missing.any() else None, None)


def texts(name: str, *values: str | None) -> Column:
    categories = tuple(sorted({value for value in values if value is not None}))
    codes = np.array([-1 if value is None else categories.index(value) for value in values], np.int32)
    missing = codes < 0
    return Column(name, "category", codes, missing if missing.any() else None, categories)


class Drawn(NamedTuple):
    """The numbers of the rows of each part."""

    training: list[int]
    validation: list[int]
    test: list[int]


def drawn(split_by: Callable[..., Split], *arguments: Any, **named: Any) -> Drawn:
    with scratch_directory() as scratch:
        split = split_by(*arguments, **named, scratch=scratch)
        parts = split.parts[:]
    found = Drawn(*(np.flatnonzero(parts == part).tolist() for part in (TRAINING, VALIDATION, TEST)))
    assert split.sizes == tuple(map(len, found))
    return found


def training_on(scratch: Any, rows: int, *training: int) -> Split:
    """The split of so many rows in which these train and the others test."""
    parts = np.full(rows, TEST)
    parts[list(training)] = TRAINING
    return split_of([parts], scratch)
