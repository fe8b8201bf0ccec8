"""Inverted dropout of hidden layers (Srivastava et al., 2014): which outputs a step leaves out.

The mask of a row depends on (seed, epoch, step, row, layer) alone, so neither shards nor workers nor blocks change it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workers.batches import Step
from workers.randomness import DROPOUT, stream_key, words_at


class Dropout:
    """Draws the masks of blocks of rows for hidden layers of the given sizes; one thread may use it."""

    def __init__(self, rate: float, seed: int, hidden_sizes: Sequence[int], dtype: DTypeLike, block_rows: int) -> None:
        self._threshold = np.uint64(int(rate * 2.0**64))
        self._scale = np.asarray(1 / (1 - rate), dtype)
        self._seed = seed
        self._sizes = hidden_sizes
        widest = max(hidden_sizes, default=0)
        self._words = np.empty((2, block_rows * widest), np.uint64)
        self._masks = [np.empty((block_rows, size), dtype) for size in hidden_sizes]

    def masks(self, step: Step, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
        """For each hidden layer (rows, n): 0 with the probability `rate`, else 1 / (1 − rate). Until the next call."""
        return [self._mask(step, rows, layer) for layer in range(len(self._sizes))]

    def _mask(self, step: Step, rows: NDArray[np.int64], layer: int) -> NDArray[Any]:
        size = self._sizes[layer]
        words, scratch = (buffer[: len(rows) * size].reshape(len(rows), size) for buffer in self._words)
        np.add((rows * size).astype(np.uint64)[:, None], np.arange(size, dtype=np.uint64), out=words)
        words_at(stream_key(DROPOUT, self._seed, step.epoch, step.number, layer), words, scratch)
        mask = self._masks[layer][: len(rows)]
        np.multiply(words >= self._threshold, self._scale, out=mask)
        return mask
