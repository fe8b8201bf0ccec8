"""The inputs of the first layer for rows of a dataset, which may have gaps and texts that the model does not know."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .preprocessing import CategoryFeature, NumberFeature, Preprocessing, known_codes, transform
from .targets import refuse_beyond

Array = npt.NDArray[Any]


class Inputs:
    """Makes inputs of the features of a dataset, as the first layer takes them."""

    def __init__(self, preprocessing: Preprocessing, columns: Mapping[str, Column], dtype: str) -> None:
        self._preprocessing, self._dtype = preprocessing, dtype
        self._positions = {
            feature.name: _positions(feature, columns[feature.name])
            for feature in preprocessing.features
            if isinstance(feature, CategoryFeature)
        }

    def __call__(self, columns: Mapping[str, Column], rows: slice) -> Array:
        """The inputs of these rows, (rows, n_inputs); DataError names a column with numbers beyond the dtype."""
        raw = {
            feature.name: self._raw(feature, columns[feature.name], rows) for feature in self._preprocessing.features
        }
        with np.errstate(over="ignore"):
            inputs = transform(self._preprocessing, raw).astype(self._dtype)
        if not np.isfinite(inputs).all():
            self._refuse(inputs)
        return inputs

    def _raw(self, feature: NumberFeature | CategoryFeature, column: Column, rows: slice) -> Array:
        block = column.block(rows)
        if isinstance(feature, CategoryFeature):
            return np.asarray(self._positions[feature.name][block.values])
        return block.filled(feature.fill)

    def _refuse(self, inputs: Array) -> None:
        first = 0
        for feature in self._preprocessing.features:  # only numbers can be beyond it
            n_beyond = int(np.count_nonzero(~np.isfinite(inputs[:, first])))
            refuse_beyond(n_beyond, feature.name, self._dtype, "features")
            first += len(feature.categories) + 1 if isinstance(feature, CategoryFeature) else 1


def _positions(feature: CategoryFeature, column: Column) -> Array:
    """Where each of a column's texts stands among the feature's categories, and for -1 where what fills it does."""
    texts = () if column.categories is None else column.categories[:]
    return known_codes(feature, np.arange(len(texts) + 1), [*texts, feature.fill or ""])
