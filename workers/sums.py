"""Sum, mean and deviation of more numbers than memory holds: of each block, then of these sums."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import DataError

Array = npt.NDArray[Any]
Blocks = Callable[[], Iterable[Array]]
"""A column's training rows, in blocks of 2¹⁶ and a last one: the blocks decide bits (docs/MATH.md, Preprocessing)."""


def mean_and_deviation(name: str, blocks: Blocks, field: str) -> tuple[float, float]:
    """Of the values of column `name`, float64, ddof 0; the deviation is 0 where all are the same, and nowhere else.

    It is 1 where it is too small for float64. DataError, about `field` of the spec, where they are too large for that.
    """
    if is_constant(blocks):
        return float(next(iter(blocks()))[0]), 0.0
    found, n_values = sum_and_count(blocks())
    mean = found / n_values
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = math.sqrt(sum_and_count((block - mean) ** 2 for block in blocks())[0] / n_values)
    if not np.isfinite([mean, deviation]).all():
        largest = max(np.abs(block).max() for block in blocks())
        raise DataError(
            f"The values of column '{name}' are too large to be standardised (up to {largest:g}). "
            f"Scale the column{', or leave it out of the features' if field == 'features' else ''}.",
            code="nonfinite_values",
            field=field,
        )
    return mean, deviation or 1.0


def is_constant(blocks: Blocks) -> bool:
    """Whether all values are the same."""
    first = next(iter(blocks()))[0]
    return all((block == first).all() for block in blocks())


def sum_and_count(blocks: Iterable[Array]) -> tuple[float, int]:
    """The sum of the blocks' sums, which are numpy's, rounded once, and how many values there are.

    The sum is not finite where one of them is beyond float64.
    """
    sums, n_values = [], 0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks:
            sums.append(float(block.sum()))
            n_values += len(block)
    try:
        return math.fsum(sums), n_values
    except (OverflowError, ValueError):  # too large together, or infinities of both signs
        return math.inf, n_values
