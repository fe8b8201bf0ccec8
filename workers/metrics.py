"""How well outputs answer: accuracy for classes, R² for numbers. In float64, weighted by the rows' weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def accuracy(outputs: Array, classes: Array, row_weights: Array | None) -> float:
    """The share of rows whose largest output (the first on ties) is that of their class; classes (rows,) are places."""
    right = (outputs.argmax(axis=1) == classes).astype(np.float64)
    return float(np.average(right, weights=row_weights))


def r2(outputs: Array, targets: Array, row_weights: Array | None) -> float | None:
    """The mean over outputs of 1 − Σw(t − o)² / Σw(t − t̄)²; None where a target is constant."""
    t, o = targets.astype(np.float64), outputs.astype(np.float64)
    w = np.ones(len(t)) if row_weights is None else row_weights.astype(np.float64)
    mean = np.average(t, axis=0, weights=w)
    residual, total = w @ (t - o) ** 2, w @ (t - mean) ** 2
    if (total == 0).any():
        return None
    return float(np.mean(1 - residual / total))
