"""Confusion, precision, recall and R² against plain loops over the rows."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.metrics import accuracy, class_report, confusion_matrix, precision, r2, r2_by_output, recall

Floats = NDArray[np.float64]


class Answers(NamedTuple):
    """What a network said of rows, and what they are."""

    outputs: Floats  # (rows, n_classes)
    classes: NDArray[np.int32]
    weights: Floats | None


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    n_rows, n_classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    few_values = st.integers(0, 3)  # so that there are ties
    outputs = draw(st.lists(few_values, min_size=n_rows * n_classes, max_size=n_rows * n_classes))
    classes = draw(st.lists(st.integers(0, n_classes - 1), min_size=n_rows, max_size=n_rows))
    weights = draw(st.none() | st.lists(st.floats(0, 10), min_size=n_rows, max_size=n_rows))
    return Answers(
        np.reshape(np.array(outputs, np.float64), (n_rows, n_classes)),
        np.array(classes, np.int32),
        None if weights is None else np.array(weights),
    )


def rows_of(found: Answers) -> list[tuple[int, int, float]]:
    """Of each row: its class, the first class with the largest output, its weight."""
    weights = [1] * len(found.classes) if found.weights is None else found.weights.tolist()
    predicted = [row.index(max(row)) for row in found.outputs.tolist()]
    return list(zip(found.classes.tolist(), predicted, weights, strict=True))


def share(part: float, whole: float) -> object:
    return pytest.approx(part / whole) if whole > 0 else None


@given(found=answers())
def test_the_matrix_adds_the_weight_of_each_row_where_its_class_and_its_prediction_meet(found: Answers) -> None:
    n = found.outputs.shape[1]
    expected = [[0.0] * n for _ in range(n)]
    for true, predicted, weight in rows_of(found):
        expected[true][predicted] += weight
    matrix = confusion_matrix(*found)
    assert matrix.tolist() == expected
    assert matrix.dtype == (np.int64 if found.weights is None else np.float64)


@given(found=answers())
def test_precision_and_recall_are_shares_of_the_rows_and_none_where_there_are_none(found: Answers) -> None:
    rows, matrix = rows_of(found), confusion_matrix(*found)
    for place in range(found.outputs.shape[1]):
        right = sum(weight for true, predicted, weight in rows if true == predicted == place)
        as_it = sum(weight for _, predicted, weight in rows if predicted == place)
        of_it = sum(weight for true, _, weight in rows if true == place)
        assert precision(matrix)[place] == share(right, as_it)
        assert recall(matrix)[place] == share(right, of_it)


@given(found=answers())
def test_accuracy_is_the_share_of_the_diagonal(found: Answers) -> None:
    matrix = confusion_matrix(*found)
    assert accuracy(*found) == share(float(matrix.trace()), float(matrix.sum()))


@given(found=answers())
def test_a_report_counts_every_row_once_whatever_it_weighs(found: Answers) -> None:
    labels = [f"class {place}" for place in range(found.outputs.shape[1])]
    report = class_report(found.outputs, found.classes, labels, found.weights)
    assert [row["class"] for row in report["classes"]] == labels
    assert sum(row["rows"] for row in report["classes"]) == len(found.classes)


@given(seed=st.integers(0, 2**32), n_rows=st.integers(2, 30), n_outputs=st.integers(1, 4), weighted=st.booleans())
def test_r2_is_that_of_each_output_alone(seed: int, n_rows: int, n_outputs: int, *, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    targets, outputs = random.normal(size=(2, n_rows, n_outputs))
    weights = random.integers(1, 4, n_rows).astype(np.float64) if weighted else np.ones(n_rows)
    scores = r2_by_output(outputs, targets, weights if weighted else None)
    for place, score in enumerate(scores):
        t, o = targets[:, place].tolist(), outputs[:, place].tolist()
        mean = sum(w * x for w, x in zip(weights, t, strict=True)) / weights.sum()
        residual = sum(w * (x - y) ** 2 for w, x, y in zip(weights, t, o, strict=True))
        total = sum(w * (x - mean) ** 2 for w, x in zip(weights, t, strict=True))
        assert score == pytest.approx(1 - residual / total)
    assert r2(outputs, targets, weights if weighted else None) == pytest.approx(np.mean(np.array(scores, float)))
