"""Targets of a regression in the unit that training sees, and networks that answer in that unit or the target's own.

An offset and a factor of the last layer, whose outputs are z itself, are all that lies between the two. So a model is
kept in the target's own unit, and nobody who reads one has to know how it was trained.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .sums import Blocks, mean_and_deviation

Array = npt.NDArray[Any]
FINE_SHARE = {"float32": 1e-5, "float64": 1e-13}
"""A deviation below this share of the mean is lost in the dtype, whose numbers are not that close to each other."""


class TargetScaling(NamedTuple):
    """Of each target, what is subtracted, and what the rest is divided by: (value - mean) / deviation."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def loss_unit(self) -> float:
        """What the loss of training is multiplied by to be that of the targets themselves.

        1 for several targets: each counts in its own deviations, which no factor undoes.
        """
        return self.deviations[0] ** 2 if len(self.deviations) == 1 else 1.0

    def scaled(self, place: int, values: Array) -> Array:
        """The values of target number `place` in the unit of training, in float64."""
        return np.asarray((values - self.means[place]) / self.deviations[place])

    def in_own_unit(self, weights: Array, biases: Array) -> tuple[Array, Array]:
        """The last layer, (n_out, n_in) and (n_out,) in any dtype, such that the network answers as the targets are.

        DataError where that is beyond the dtype.
        """
        deviations, means = np.array(self.deviations), np.array(self.means)
        with np.errstate(over="ignore"):
            layer = (
                (weights * deviations[:, None]).astype(weights.dtype),
                (biases * deviations + means).astype(biases.dtype),
            )
        if not all(np.isfinite(array).all() for array in layer):
            raise DataError(
                f"The weights of the last layer are too large for {weights.dtype} in the unit of the target. "
                f"Scale the target, or set training.dtype to float64.",
                code="nonfinite_values",
                field="target",
            )
        return layer

    def in_deviations(self, weights: Array, biases: Array) -> tuple[Array, Array]:
        """The opposite: the last layer of a network that answers in the unit of training."""
        deviations, means = np.array(self.deviations), np.array(self.means)
        return (
            np.asarray((weights / deviations[:, None]).astype(weights.dtype)),
            np.asarray(((biases - means) / deviations).astype(biases.dtype)),
        )


def fit_targets(columns: Mapping[str, Blocks], dtype: str) -> tuple[TargetScaling, list[str]]:
    """The scaling of the targets by their training rows (mean and deviation as of a feature), and warnings.

    DataError where the values are too large for that.
    """
    found = {name: mean_and_deviation(name, blocks, "target") for name, blocks in columns.items()}
    warnings = [
        f"Column '{name}' varies by {deviation:.3g} around {mean:.6g}, which {dtype} hardly tells apart. "
        f"{'Subtract what is common' if dtype == 'float64' else 'Set training.dtype to float64'}."
        for name, (mean, deviation) in found.items()
        if deviation < FINE_SHARE[dtype] * abs(mean)
    ]
    means, deviations = zip(*found.values(), strict=True)
    return TargetScaling(means, deviations), warnings


def scaling_from_json(saved: Mapping[str, Sequence[float]] | None) -> TargetScaling | None:
    """What a `TargetScaling` was as a JSON object with the names of its fields; None where targets are not scaled."""
    return None if saved is None else TargetScaling(tuple(saved["means"]), tuple(saved["deviations"]))
