"""How well outputs answer: accuracy, precision and recall for classes, R² for numbers. In float64.

All of them are weighted by the rows' weights (the weight column, never class weights), and None where a division by
nothing would leave them undefined.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_CLASSES_SHOWN = 100
"""A confusion matrix of more classes is too large for the record of a job."""


def accuracy(outputs: Array, classes: Array, row_weights: Array | None) -> float | None:
    """The share of rows whose largest output (the first on ties) is that of their class; classes (rows,) are places.

    None where an output is not finite: which one of them is the largest means nothing then.
    """
    if not np.isfinite(outputs).all():
        return None
    right = (outputs.argmax(axis=1) == classes).astype(np.float64)
    w = _weights(row_weights, len(right))
    return float(np.average(right, weights=w)) if w.any() else None


def confusion_matrix(outputs: Array, classes: Array, row_weights: Array | None) -> Array:
    """(n_classes, n_classes): how many rows of each true class (down) were predicted as each class (across).

    int64, or float64 sums of weights; classes (rows,) are places among the outputs (rows, n_classes).
    """
    n = outputs.shape[1]
    places = classes.astype(np.int64) * n + outputs.argmax(axis=1)
    weights = None if row_weights is None else row_weights.astype(np.float64)
    return np.bincount(places, weights, minlength=n * n).reshape(n, n)


def precision(confusion: Array) -> list[float | None]:
    """By class: the share of what was predicted as it that is it; None where nothing was predicted as it."""
    return _shares(confusion.diagonal(), confusion.sum(axis=0))


def recall(confusion: Array) -> list[float | None]:
    """By class: the share of its rows that were predicted as it; None where it has none."""
    return _shares(confusion.diagonal(), confusion.sum(axis=1))


def r2_by_output(outputs: Array, targets: Array, row_weights: Array | None) -> list[float | None]:
    """By output: 1 − Σw(t − o)² / Σw(t − t̄)²; None where the target is constant, or the answer not finite."""
    t, o = targets.astype(np.float64), outputs.astype(np.float64)
    w = _weights(row_weights, len(t))
    counted = t[w > 0]
    if len(counted) == 0:
        return [None] * t.shape[1]
    is_constant = counted.min(axis=0) == counted.max(axis=0)  # its mean may be rounded, and the sum not 0
    with np.errstate(all="ignore"):
        residual, total = w @ (t - o) ** 2, w @ (t - np.average(t, axis=0, weights=w)) ** 2
        scores = np.where(is_constant, np.nan, 1 - residual / total)
    return [score if math.isfinite(score) else None for score in scores.tolist()]


def r2(outputs: Array, targets: Array, row_weights: Array | None) -> float | None:
    """The mean over outputs of R²; None where that of an output is."""
    scores = [score for score in r2_by_output(outputs, targets, row_weights) if score is not None]
    return float(np.mean(scores)) if len(scores) == targets.shape[1] else None


def class_report(
    outputs: Array, classes: Array, labels: Sequence[str | int | float], row_weights: Array | None
) -> dict[str, Any]:
    """What a result says of classes: `confusion_matrix` (None for very many), `classes` with a row for each label.

    `rows` counts the rows of a class, whatever they weigh.
    """
    confusion = confusion_matrix(outputs, classes, row_weights)
    rows = np.bincount(classes, minlength=len(labels)).tolist()
    columns = zip(labels, precision(confusion), recall(confusion), rows, strict=True)
    names = ("class", "precision", "recall", "rows")
    return {
        "confusion_matrix": confusion.tolist() if len(labels) <= MOST_CLASSES_SHOWN else None,
        "classes": [dict(zip(names, values, strict=True)) for values in columns],
    }


def target_report(
    outputs: Array, targets: Array, names: Sequence[str], row_weights: Array | None
) -> dict[str, dict[str, float | None]]:
    """What a result says of several targets: `r2_by_target`."""
    return {"r2_by_target": dict(zip(names, r2_by_output(outputs, targets, row_weights), strict=True))}


def _weights(row_weights: Array | None, n_rows: int) -> Array:
    return np.ones(n_rows) if row_weights is None else row_weights.astype(np.float64)


def _shares(parts: Array, wholes: Array) -> list[float | None]:
    return [part / whole if whole > 0 else None for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True)]
