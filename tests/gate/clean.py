"""Nights with nothing wrong with them: other rows of the same source, or the same rows and a few new ones."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.column_statistics import read_whole, statistics_of
from service.comparison import compare_data
from service.data_check import Finding, problems
from tests.gate.nights import CHECK
from workers.dataset import Column

Rows = NDArray[np.intp]


def fresh_rows(rows: int, nights: int, seed: int) -> Iterator[Rows]:
    """First those of the champion, a third of all; then each night as many of the others."""
    random = np.random.default_rng(seed)
    order = random.permutation(rows)
    champions, others = order[: rows // 3], order[rows // 3 :]
    yield champions
    for _ in range(nights):
        yield random.choice(others, len(champions), replace=False)


def growing_rows(rows: int, nights: int, seed: int) -> Iterator[Rows]:
    """First those of the champion, two thirds of all; then each night a few more."""
    order = np.random.default_rng(seed).permutation(rows)
    for night in range(nights + 1):
        yield order[: 2 * rows // 3 + night * (rows // 3) // nights]


def findings(dataset: Path, nights: Iterator[Rows]) -> Iterator[list[Finding]]:
    """What the check says of each night."""
    columns = read_whole(dataset)
    reference = json.loads(json.dumps(statistics_of(_of_rows(columns, next(nights)))))
    used = [column.name for column in columns]
    for rows in nights:
        yield problems(CHECK, compare_data(reference, _of_rows(columns, rows), used))


def _of_rows(columns: list[Column], rows: Rows) -> list[Column]:
    return [
        column._replace(
            values=column.values[:][rows], missing=None if column.missing is None else column.missing[:][rows]
        )
        for column in columns
    ]
