"""What takes the place of missing values: found in training rows only, the same for all other rows and predictions."""

import math
from pathlib import Path

import numpy as np

from .counting import any_of
from .dataset import Column
from .distinct import most_frequent
from .errors import DataError
from .split import Split
from .sums import sum_and_count
from .training_rows import present_values


def fill_of(column: Column, split: Split, method: str, scratch: Path) -> float | str:
    """What `method` (mean | most_frequent) puts for a missing value of the column (docs/MATH.md, Missing values).

    DataError `all_missing` where no training row has a value, `nonfinite_values` where their mean is beyond float64.
    """
    n_present = sum(map(len, present_values(column, split)))
    if not n_present:
        raise DataError(
            f"Column '{column.name}' has no value in {any_of(split.training_rows, 'training row')}, so there is "
            f"nothing to fill it with. Leave it out: put it in `ignore`.",
            code="all_missing",
            field="features",
        )
    if column.categories is not None:
        counts = sum(
            (np.bincount(block, minlength=len(column.categories)) for block in present_values(column, split)),
            np.zeros(len(column.categories), np.intp),
        )
        return column.categories[int(counts.argmax())]
    if method == "mean":
        return _mean(column, split, n_present)
    return most_frequent(present_values(column, split), n_present, scratch)


def _mean(column: Column, split: Split, n_present: int) -> float:
    mean = sum_and_count(present_values(column, split))[0] / n_present
    if not math.isfinite(mean):
        largest = max(np.abs(block).max() for block in present_values(column, split))
        raise DataError(
            f"The values of column '{column.name}' are too large to have a mean (up to {largest:g}). "
            f"Scale the column, or set preprocessing.missing_values to most_frequent.",
            code="nonfinite_values",
            field="features",
        )
    return mean
