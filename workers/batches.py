"""Which rows a step of training uses: all of them in order, or a batch of an epoch's keyed permutation.

Every process that works on a job finds the same rows by itself, from the step's number alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.errors import DataError
from workers.randomness import ORDER_OF_ROWS, generator

Rows = NDArray[np.int64]


class Step(NamedTuple):
    """One update of the weights: its epoch, counted from 1, and its number in the epoch, counted from 0."""

    epoch: int
    number: int


NO_TRAINING = Step(0, 0)
"""A look at all training rows as they are: no batch, no dropout."""


class Batch(NamedTuple):
    """The rows of a step, ascending, and how they lie in the shards."""

    rows: Rows | None  # None: all training rows
    bounds: Sequence[int]  # those of shard s stand at places bounds[s] to bounds[s + 1]
    leaves: Sequence[int]  # the shards that have rows: the leaves of the step's summation tree
    total_weight: float  # Σ w


class Batches:
    """The batches of a job's training rows: `ranges` are the rows of each shard, `weights` (rows,), 1 where None.

    DataError where the rows weigh nothing together: there is nothing to average then.
    """

    def __init__(
        self, ranges: Sequence[tuple[int, int]], batch_size: int | None, seed: int, weights: NDArray[np.float64] | None
    ) -> None:
        self._starts = [first for first, _ in ranges] + [ranges[-1][1]]
        self._size = batch_size
        self._seed = seed
        self._weights = weights
        self._order: tuple[int, Rows] = (0, np.empty(0, np.int64))  # an epoch, and its permutation
        n_rows = self._starts[-1]
        self._whole = self._batch(None, self._starts, n_rows)
        if not 0 < self._whole.total_weight < math.inf:
            message = f"The weights of the training rows add up to {self._whole.total_weight:g}. Change weight_column "
            raise DataError(f"{message}or class_weight.", code="invalid_weights")

    def batch(self, step: Step) -> Batch:
        """The batch of a step."""
        if self._size is None or step == NO_TRAINING:
            return self._whole
        places = slice(step.number * self._size, (step.number + 1) * self._size)
        rows = np.sort(self._permutation(step.epoch)[places])
        return self._batch(rows, np.searchsorted(rows, self._starts).tolist(), len(rows))

    def _permutation(self, epoch: int) -> Rows:
        if self._order[0] != epoch:
            self._order = epoch, generator(ORDER_OF_ROWS, self._seed, epoch).permutation(self._starts[-1])
        return self._order[1]

    def _batch(self, rows: Rows | None, bounds: list[int], n_rows: int) -> Batch:
        leaves = [shard for shard in range(len(bounds) - 1) if bounds[shard] < bounds[shard + 1]]
        if self._weights is None:
            return Batch(rows, bounds, leaves, float(n_rows))
        weights = self._weights if rows is None else self._weights[rows]
        return Batch(rows, bounds, leaves, float(np.add.reduce(weights)))
