"""What each test row of a job costs under a model: what the gate before the champion compares. Numpy, no BLAS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError
from .matrix import MatrixRequest
from .matrix_rows import read_split
from .metrics import accuracy, r2
from .model import Model, outputs_of
from .preprocessing import CategoryFeature, NumberFeature, known_codes
from .split import TEST, TRAINING, Split
from .stored import ScratchArray, Values, blocks, spans, texts_at
from .weights import weights_of_counts

Array = npt.NDArray[Any]
BLOCK_TARGETS = 2**20
"""So many of the training rows' targets are in memory at once."""
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


class TrainingRows(NamedTuple):
    """What the training rows answer and count, on disk."""

    answers: Sequence[Values]  # (rows,) each: their places among the classes, or the numbers of each target
    row_weights: Values
    n_classes: int | None
    by_class: Array | None

    @property
    def n_rows(self) -> int:
        """How many they are."""
        return len(self.row_weights)

    def targets(self, rows: slice) -> Array:
        """As in `Rows`."""
        return _targets([answers[rows] for answers in self.answers], self.n_classes)

    def weights(self, rows: slice) -> Array:
        """As in `Rows`."""
        return self.row_weights[rows]

    def loss_weights(self, rows: slice) -> Array:
        """As in `Rows`."""
        return np.asarray(self.weights(rows) * _of_class(self.answers[0][rows], self.by_class))


def read_rows(
    dataset_directory: Path,
    request: MatrixRequest,
    classes: Sequence[str | int | float] | None,
    class_weight: str | Mapping[str, float] | None,
    scratch: Path,
) -> tuple[TrainingRows, Rows]:
    """The training rows, without their features, and the test rows that `request` makes of a dataset.

    `classes` are the model's; DataError `incomparable` where a row has another one. Training rows lie in the directory
    `scratch`, test rows in memory.
    """
    columns, split = read_split(dataset_directory, request, scratch)
    targets, named = [columns[name] for name in request.targets], request.weight_column
    dtype = np.float64 if classes is None else np.intp
    training = [ScratchArray(scratch / f"answers-{place}", dtype) for place in range(len(targets))]
    training.append(ScratchArray(scratch / "weights", np.float64))
    tests: list[list[Array]] = []
    for rows in spans(len(split.parts)):
        parts = split.parts[rows]
        found = [_answers(column, rows, classes) for column in targets]
        found.append(np.ones(len(parts)) if named is None else columns[named].values[rows])
        for kept, values in zip(training, found, strict=True):
            kept.append(values[parts == TRAINING])
        tests.append([values[parts == TEST] for values in found])
    *answers, weights = training
    *tested, weighs = (np.concatenate(part) for part in zip(*tests, strict=True))
    n_classes = None if classes is None else len(classes)
    by_class = None if classes is None or class_weight is None else _by_class(class_weight, classes, answers[0])
    features = {name: _test_rows(columns[name], split) for name in request.features}
    test = Rows(features, _targets(tested, n_classes), weighs, _of_class(tested[0], by_class))
    return TrainingRows(answers, weights, n_classes, by_class), test


def _by_class(class_weight: str | Mapping[str, float], classes: Sequence[str | int | float], answers: Values) -> Array:
    counts = np.zeros(len(classes), np.intp)
    for block in blocks(answers):
        counts += np.bincount(block, minlength=len(classes))
    return weights_of_counts(class_weight, classes, counts)


def _of_class(answers: Array, by_class: Array | None) -> Array:
    return np.ones(len(answers)) if by_class is None else by_class[answers]


def _targets(answers: Sequence[Array], n_classes: int | None) -> Array:
    return np.stack(answers, axis=1) if n_classes is None else _one_hot(answers[0], n_classes)


def _one_hot(answers: Array, n_classes: int) -> Array:
    found = np.zeros((len(answers), n_classes))
    found[np.arange(len(answers)), answers] = 1.0
    return found


def _answers(column: Column, rows: slice, classes: Sequence[str | int | float] | None) -> Array:
    """Each row's place among the classes; for a regression the numbers."""
    if classes is None:
        return column.values[rows]
    distinct, codes = np.unique(column.values[rows], return_inverse=True)
    labels: Sequence[Any] = distinct.tolist() if column.categories is None else texts_at(column.categories, distinct)
    place = {label: number for number, label in enumerate(classes)}
    found = np.array([place.get(label, -1) for label in labels], dtype=np.intp)[codes]
    if (found < 0).any():
        label = labels[int(codes[np.flatnonzero(found < 0)[0]])]
        raise DataError(f"Class {label!r} is not one of the model's.", code="incomparable")
    return found


def _test_rows(column: Column, split: Split) -> Column:
    """The column of the test rows, in memory."""
    found = []
    for rows in spans(len(split.parts)):
        block, tests = column.block(rows), split.parts[rows] == TEST
        found.append((block.values[tests], None if block.missing is None else block.missing[tests]))
    values, missing = zip(*found, strict=True)
    mask = None if column.missing is None else np.concatenate(missing)
    return column._replace(values=np.concatenate(values), missing=mask)


def outputs(model: Model, rows: Rows) -> Array:
    """The model's outputs, (rows, n_outputs) in float64: through its own preprocessing, from the raw columns.

    DataError `incomparable` names a column that the model can't read, ModelInputError a row too large for it.
    """
    columns = {feature.name: _input(feature, rows.columns) for feature in model.preprocessing.features}
    return outputs_of(model, columns)


def constant_outputs(training: TrainingRows, n_rows: int) -> Array:
    """What a model answers that knows no feature: the shares of the classes, or the means, of the training rows."""
    sums, total = np.zeros(1), 0.0
    for rows in spans(training.n_rows, max(1, BLOCK_TARGETS // (training.n_classes or len(training.answers)))):
        weights = training.loss_weights(rows)
        sums, total = sums + np.einsum("i,ij->j", weights, training.targets(rows)), total + weights.sum()
    return np.tile(sums / total, (n_rows, 1))


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


def _input(feature: NumberFeature | CategoryFeature, columns: Mapping[str, Column]) -> Array:
    """A column as `workers.model` takes it."""
    column = columns.get(feature.name)
    is_number = isinstance(feature, NumberFeature)
    if column is None or (column.type == "number") != is_number:
        found = "is not there" if column is None else f"is {column.type}"
        raise DataError(f"Column '{feature.name}', which the champion reads, {found}.", code="incomparable")
    values, missing = column.block(slice(None))
    missing = missing if missing is not None and missing.any() else None
    if missing is not None and feature.fill is None:
        raise DataError(
            f"Column '{feature.name}' has missing values that the champion can't fill.", code="incomparable"
        )
    if isinstance(feature, CategoryFeature):
        texts = () if column.categories is None else column.categories[:]
        return known_codes(feature, values, [*texts, feature.fill or ""])
    return values if missing is None else np.where(missing, float(feature.fill or 0), values)
