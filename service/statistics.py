"""What is said of a column of numbers, from one chunk of them after the other."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = npt.NDArray[Any]
MOST_DISTINCT_NUMBERS = 1000
BEYOND = 2.0**128 - 2.0**103
"""What is this large, with either sign, is no float32 that is finite: the largest is 3.4028235e38."""


class Statistics:
    """Figures of the numbers that were added; `fit_float32` tells whether it can hold them all."""

    def __init__(self) -> None:
        self.fit_float32 = True
        self._n_values = 0
        self._min, self._max = math.inf, -math.inf
        self._mean = self._variance = 0.0
        self._distinct: set[float] | None = set()
        self._whole = True

    def add(self, values: Array) -> None:
        """Take more numbers."""
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            least, most = float(values.min()), float(values.max())
            self._merge(len(values), float(values.mean()), float(values.var()))
        self.fit_float32 = self.fit_float32 and least > -BEYOND and most < BEYOND
        self._min, self._max = min(self._min, least), max(self._max, most)
        self._whole = self._whole and bool((np.trunc(values) == values).all())
        if self._distinct is not None:
            self._add_distinct(values)

    def figures(self) -> dict[str, Any]:
        """min, max, mean, std (ddof 0), distinct_values, whole; what can't be said is null."""
        if not self._n_values:
            return {"distinct_values": [], "whole": True}
        figures = {"min": self._min, "max": self._max, "mean": self._mean, "std": math.sqrt(self._variance)}
        return {
            **{name: value if math.isfinite(value) else None for name, value in figures.items()},
            "distinct_values": None if self._distinct is None else sorted(self._distinct),
            "whole": self._whole,
        }

    def _merge(self, n_values: int, mean: float, variance: float) -> None:
        """The mean and variance of both parts (Chan, Golub and LeVeque, 1979)."""
        n_both = self._n_values + n_values
        share = n_values / n_both
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.float64(mean) - self._mean
            spread = float(difference * difference * share * (1 - share))
        self._variance += share * (variance - self._variance) + spread if self._n_values else variance
        self._mean += share * float(difference) if self._n_values else mean
        self._n_values = n_both

    def _add_distinct(self, values: Array) -> None:
        for sample in (values[: 10 * MOST_DISTINCT_NUMBERS], values):  # most columns are settled by their beginning
            found = pc.unique(pa.array(sample))
            if len(found) + len(self._distinct or ()) > 2 * MOST_DISTINCT_NUMBERS:
                self._distinct = None
                return
        self._distinct = {value + 0.0 for value in found.to_pylist()} | (self._distinct or set())
        if len(self._distinct) > MOST_DISTINCT_NUMBERS:
            self._distinct = None
