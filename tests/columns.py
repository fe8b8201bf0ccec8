"""Columns of a dataset, from plain values; None is missing."""

import numpy as np

from workers.dataset import Column


def numbers(name: str, *values: float | None) -> Column:
    missing = np.array([value is None for value in values])
    plain = np.array([value or 0.0 for value in values])
    return Column(name, "number", plain, missing if missing.any() else None, None)


def texts(name: str, *values: str | None) -> Column:
    categories = tuple(sorted({value for value in values if value is not None}))
    codes = np.array([-1 if value is None else categories.index(value) for value in values], np.int32)
    missing = codes < 0
    return Column(name, "category", codes, missing if missing.any() else None, categories)
