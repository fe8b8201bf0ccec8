"""What each test row of a job costs under a model: what the gate before the champion compares. Numpy, no BLAS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError
from .matrix import MatrixRequest, read_split
from .metrics import accuracy, r2
from .model import Model, outputs_of
from .preprocessing import CategoryFeature, NumberFeature, known_codes
from .weights import class_weights

Array = npt.NDArray[Any]
TINY = np.finfo(np.float64).tiny
"""A probability of 0 costs as much as this one, so that every mean is finite."""


class Rows(NamedTuple):
    """Some rows of a dataset as models see them, whatever their preprocessing."""

    columns: dict[str, Column]
    targets: Array  # (rows, n_outputs) float64: 1 in the place of a row's class, or the numbers themselves
    weights: Array  # (rows,) float64: of the weight column
    class_weights: Array  # (rows,) float64: of the rows' classes

    def loss_weights(self) -> Array:
        """What a row counts in the loss; accuracy and R² know nothing of class weights."""
        return np.asarray(self.weights * self.class_weights)


def read_rows(
    dataset_directory: Path,
    request: MatrixRequest,
    classes: Sequence[str | int | float] | None,
    class_weight: str | Mapping[str, float] | None,
) -> tuple[Rows, Rows]:
    """The training rows, without their columns, and the test rows that `request` makes of a dataset.

    `classes` are the model's; DataError `incomparable` where a row has another one.
    """
    columns, split = read_split(dataset_directory, request)
    named, features = request.weight_column, [columns[name] for name in request.features]
    answers = _answers([columns[name] for name in request.targets], classes)
    weights = np.ones(len(answers)) if named is None else columns[named].values.astype(np.float64)
    by_class = class_weights(class_weight, classes, answers[split.training])

    def part(rows: Array, features: Sequence[Column]) -> Rows:
        of_class = np.ones(len(rows)) if by_class is None else by_class[answers[rows]]
        targets = answers[rows] if classes is None else np.eye(len(classes))[answers[rows]]
        return Rows({column.name: _part(column, rows) for column in features}, targets, weights[rows], of_class)

    return part(split.training, []), part(split.test, features)


def _answers(columns: Sequence[Column], classes: Sequence[str | int | float] | None) -> Array:
    """Each row's place among the classes, (rows,); for a regression the targets, (rows, n_targets) in float64."""
    if classes is not None:
        return _places(columns[0], classes)
    return np.stack([column.values for column in columns], axis=1).astype(np.float64)


def outputs(model: Model, rows: Rows) -> Array:
    """The model's outputs, (rows, n_outputs) in float64: through its own preprocessing, from the raw columns.

    DataError `incomparable` names a column that the model can't read, ModelInputError a row too large for it.
    """
    columns = {feature.name: _input(feature, rows.columns) for feature in model.preprocessing.features}
    return outputs_of(model, columns)


def constant_outputs(training: Rows, n_rows: int) -> Array:
    """What a model answers that knows no feature: the shares of the classes, or the means, of the training rows."""
    weights = training.loss_weights()
    means = np.einsum("i,ij->j", weights, training.targets) / weights.sum()
    return np.tile(means, (n_rows, 1))


def costs(answers: Array, rows: Rows, metric: str, loss: str, output_activation: str) -> Array:
    """What each row adds to the metric, (rows,): their mean is `test_loss`, 1 − `test_accuracy` or 1 − `test_r2`.

    Weights are in it, divided by their mean. DataError `incomparable` where that is undefined.
    """
    weights = rows.loss_weights() if metric == "test_loss" else rows.weights
    if not weights.any():
        raise DataError("The weights of all test rows are 0.", code="incomparable")
    each = _costs(answers, rows.targets, weights, metric, loss, output_activation)
    return np.asarray(each * (weights / weights.mean()))


def scores(answers: Array, rows: Rows, loss: str, output_activation: str) -> dict[str, float | None]:
    """The figures of a job's result: `test_loss`, and `test_accuracy` or `test_r2`."""
    found: dict[str, float | None] = {
        "test_loss": float(costs(answers, rows, "test_loss", loss, output_activation).mean())
    }
    if loss == "cross_entropy" or _is_one_hot(rows.targets):
        return found | {"test_accuracy": accuracy(answers, rows.targets.argmax(axis=1), rows.weights)}
    return found | {"test_r2": r2(answers, rows.targets, rows.weights)}


def _is_one_hot(targets: Array) -> bool:
    return targets.shape[1] > 1 and bool(((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all())


def _costs(answers: Array, targets: Array, weights: Array, metric: str, loss: str, output_activation: str) -> Array:
    if metric == "test_accuracy":
        return np.asarray(answers.argmax(axis=1) != targets.argmax(axis=1), dtype=np.float64)
    squares = (answers - targets) ** 2
    if metric == "test_r2":
        centred = targets - np.average(targets, axis=0, weights=weights)
        variances = np.average(centred**2, axis=0, weights=weights)
        if not variances.all():
            raise DataError("A target has the same value in all test rows, so R² is undefined.", code="incomparable")
        return np.asarray((squares / variances).mean(axis=1))
    if loss == "squared_error":
        return np.asarray(0.5 * squares.sum(axis=1))
    errors = targets * np.log(np.maximum(answers, TINY))
    if output_activation == "sigmoid":
        errors += (1 - targets) * np.log(np.maximum(1 - answers, TINY))
    return np.asarray(-errors.sum(axis=1))


def _places(column: Column, classes: Sequence[str | int | float]) -> Array:
    """Each row's place in `classes`."""
    labels: Sequence[Any] = column.categories if column.categories is not None else np.unique(column.values).tolist()
    place = {label: number for number, label in enumerate(classes)}
    codes = column.values if column.categories is not None else np.searchsorted(np.array(labels), column.values)
    found = np.array([place.get(label, -1) for label in labels], dtype=np.intp)[codes]
    if (found < 0).any():
        label = labels[int(codes[np.flatnonzero(found < 0)[0]])]
        raise DataError(f"Class {label!r} is not one of the model's.", code="incomparable")
    return found


def _part(column: Column, rows: Array) -> Column:
    missing = None if column.missing is None else column.missing[rows]
    return column._replace(values=column.values[rows], missing=missing)


def _input(feature: NumberFeature | CategoryFeature, columns: Mapping[str, Column]) -> Array:
    """A column as `workers.model` takes it."""
    column = columns.get(feature.name)
    is_number = isinstance(feature, NumberFeature)
    if column is None or (column.type == "number") != is_number:
        found = "is not there" if column is None else f"is {column.type}"
        raise DataError(f"Column '{feature.name}', which the champion reads, {found}.", code="incomparable")
    missing = column.missing if column.missing is not None and column.missing.any() else None
    if missing is not None and feature.fill is None:
        raise DataError(
            f"Column '{feature.name}' has missing values that the champion can't fill.", code="incomparable"
        )
    if isinstance(feature, CategoryFeature):
        codes = known_codes(feature, column.values, column.categories or ())
        return (
            codes
            if missing is None
            else np.where(missing, known_codes(feature, np.array([0]), [feature.fill or ""]), codes)
        )
    return column.values if missing is None else np.where(missing, float(feature.fill or 0), column.values)
