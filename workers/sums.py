"""The sum of more numbers than memory holds, the same however they were read: of each block, then of these sums."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt


def sum_and_count(blocks: Iterable[npt.NDArray[Any]]) -> tuple[float, int]:
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
