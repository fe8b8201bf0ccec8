"""What takes the place of missing values: found in training rows only, the same for all other rows and predictions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError

Array = npt.NDArray[Any]


def fill_of(column: Column, training_rows: Array, method: str) -> float | str:
    """What `method` (mean | most_frequent) puts for a missing value of the column (docs/MATH.md, Missing values).

    DataError `all_missing` where no training row has a value, `nonfinite_values` where their mean is beyond float64.
    """
    values = column.values[training_rows]
    present = values if column.missing is None else values[~column.missing[training_rows]]
    if not len(present):
        raise DataError(
            f"Column '{column.name}' has no value in any of the {len(values)} training rows, so there is nothing to "
            f"fill it with. Leave it out: put it in `ignore`.",
            code="all_missing",
            field="features",
        )
    if column.categories is not None:
        return column.categories[int(np.bincount(present).argmax())]
    return _mean(column.name, present) if method == "mean" else _most_frequent(present)


def filled(column: Column, fill: float | str) -> Array:
    """The column's values with `fill` in the place of missing ones."""
    if column.missing is None:
        return column.values
    place = fill if column.categories is None else column.categories.index(str(fill))
    return np.where(column.missing, np.array(place, column.values.dtype), column.values)


def _mean(name: str, values: Array) -> float:
    with np.errstate(over="ignore"):
        mean = float(values.mean())
    if not np.isfinite(mean):
        raise DataError(
            f"The values of column '{name}' are too large to have a mean (up to {np.abs(values).max():g}). "
            f"Scale the column, or set preprocessing.missing_values to most_frequent.",
            code="nonfinite_values",
            field="features",
        )
    return mean


def _most_frequent(values: Array) -> float:
    """The lowest of those that are most frequent; -0.0 is 0.0."""
    distinct, counts = np.unique(values + 0.0, return_counts=True)
    return float(distinct[counts.argmax()])
