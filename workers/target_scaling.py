"""Targets of a regression in the unit that training sees, and networks that answer in that unit or the target's own.

An offset and a factor of the last layer, whose outputs are z itself, are all that lies between the two. So a model is
kept in the target's own unit, and nobody who reads one has to know how it was trained.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .sums import Blocks, mean_and_deviation

Array = npt.NDArray[Any]
FINE_SHARE = {"float32": 1e-5, "float64": 1e-13}
"""A deviation below this share of the mean is lost in the dtype, whose numbers are not that close to each other."""


class TargetScaling(NamedTuple):
    """What is subtracted from each target, and what all of them are divided by: (value - mean) / deviation.

    One deviation for all, so that each counts in the loss what it counts in their own units.
    """

    means: tuple[float, ...]
    deviation: float

    @property
    def loss_unit(self) -> float:
        """What a loss of training is multiplied by to be that of the targets themselves."""
        return self.deviation**2

    def scaled(self, place: int, values: Array) -> Array:
        """The values of target number `place` in the unit of training, in float64."""
        return np.asarray((values - self.means[place]) / self.deviation)

    def in_own_unit(self, weights: Array, biases: Array) -> tuple[Array, Array]:
        """The last layer, (n_out, n_in) and (n_out,) in any dtype, such that the network answers as the targets are.

        DataError where that is beyond the dtype.
        """
        exact = weights.astype(np.float64) * self.deviation, biases.astype(np.float64) * self.deviation
        return _as_layer(weights.dtype, exact[0], exact[1] + self.means)

    def in_deviations(self, weights: Array, biases: Array) -> tuple[Array, Array]:
        """The opposite: the last layer of a network that answers in the unit of training. DataError likewise."""
        exact = weights.astype(np.float64), biases.astype(np.float64) - self.means
        return _as_layer(weights.dtype, exact[0] / self.deviation, exact[1] / self.deviation)


def _as_layer(dtype: np.dtype[Any], weights: Array, biases: Array) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):
        layer = weights.astype(dtype), biases.astype(dtype)
    if not all(np.isfinite(array).all() for array in layer):
        raise DataError(
            f"The weights of the last layer are too large for {dtype} in another unit of the target. "
            f"Scale the target, or set training.dtype to float64.",
            code="nonfinite_values",
            field="target",
        )
    return layer


def fit_targets(columns: Mapping[str, Blocks], dtype: str) -> tuple[TargetScaling, list[str]]:
    """The scaling by these values of the targets, and warnings; the deviation is the root of the mean variance.

    DataError where the values are too large for that.
    """
    means, deviations, warnings = [], [], []
    for name, blocks in columns.items():
        mean, deviation = mean_and_deviation(name, blocks, "target")
        means.append(mean)
        deviations.append(deviation)
        if deviation == 0:
            warnings.append(f"Column '{name}' has the same value in all training rows: there is nothing to learn.")
        elif deviation < FINE_SHARE[dtype] * abs(mean):
            way_out = "Subtract what is common" if dtype == "float64" else "Set training.dtype to float64"
            around = f"by {deviation:.3g} around {mean:.6g}"
            warnings.append(f"Column '{name}' varies {around}, which {dtype} hardly tells apart. {way_out}.")
    deviation = math.hypot(*deviations) / math.sqrt(len(deviations))
    return TargetScaling(tuple(means), deviation or 1.0), warnings


def scaling_from_json(saved: Mapping[str, Any] | None) -> TargetScaling | None:
    """What a `TargetScaling` was as a JSON object with the names of its fields; None where targets are not scaled."""
    return None if saved is None else TargetScaling(tuple(saved["means"]), saved["deviation"])
