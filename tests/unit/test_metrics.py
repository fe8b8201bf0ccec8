"""Accuracy and R² against figures that can be done by hand."""

import json

import numpy as np
import pytest

from workers.metrics import MOST_CLASSES_SHOWN, accuracy, class_report, r2, r2_by_output, target_report


def test_accuracy_counts_right_rows_by_their_weights() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    classes = np.array([1, 0, 0, 0])
    assert accuracy(outputs, classes, None) == 0.75
    assert accuracy(outputs, classes, np.array([1.0, 1.0, 5.0, 3.0])) == 0.5


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_accuracy_of_outputs_that_are_not_finite_is_undefined(odd: float) -> None:
    assert accuracy(np.array([[0.1, 0.9], [odd, 0.2]]), np.array([1, 0]), None) is None


def test_the_lowest_class_wins_a_tie() -> None:
    assert accuracy(np.full((2, 3), 0.5), np.array([0, 1]), None) == 0.5


def test_r2_is_one_for_the_targets_and_zero_for_their_mean() -> None:
    targets = np.array([[1.0], [2.0], [6.0]])
    assert r2(targets, targets, None) == 1
    assert r2(np.full((3, 1), 3.0), targets, None) == pytest.approx(0)


def test_r2_is_the_mean_over_outputs_and_counts_a_weight_of_two_twice() -> None:
    targets, outputs = np.array([[1.0, 0.0], [2.0, 1.0], [6.0, 0.0]]), np.array([[1.5, 0.0], [2.5, 1.0], [5.0, 0.0]])
    twice = [0, 1, 1, 2]
    expected = r2(outputs[twice], targets[twice], None)
    assert r2(outputs, targets, np.array([1.0, 2.0, 1.0])) == pytest.approx(expected)
    assert r2(outputs, targets, None) == pytest.approx((1 - 1.5 / 14 + 1) / 2)


def test_r2_of_a_constant_target_is_undefined() -> None:
    assert r2(np.array([[1.0], [2.0]]), np.array([[3.0], [3.0]]), None) is None


def test_r2_of_a_target_that_is_constant_but_for_rounding_is_undefined() -> None:
    targets = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    assert r2_by_output(targets, targets, None) == [None, 1.0]
    assert r2(targets, targets, None) is None


def test_rows_without_weight_do_not_make_a_target_vary() -> None:
    targets = np.array([[1.0], [1.0], [9.0]])
    assert r2_by_output(targets, targets, np.array([1.0, 2.0, 0.0])) == [None]


def test_where_all_weights_are_zero_nothing_is_defined() -> None:
    outputs, classes, weights = np.eye(2), np.array([0, 1]), np.zeros(2)
    assert accuracy(outputs, classes, weights) is None
    assert r2(outputs, outputs, weights) is None
    rows = class_report(outputs, classes, ["no", "yes"], weights)["classes"]
    assert rows[0] == {"class": "no", "precision": None, "recall": None, "rows": 1}


def test_outputs_that_are_not_finite_have_no_r2() -> None:
    targets = np.array([[1.0], [2.0]])
    assert r2_by_output(np.array([[np.inf], [0.0]]), targets, None) == [None]
    assert r2_by_output(np.array([[1e300], [0.0]]), targets, None) == [None]


def test_a_report_of_classes_is_what_it_says_in_json() -> None:
    outputs = np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1]], np.float32)
    report = class_report(outputs, np.array([0, 1, 1], np.int32), [3, 5, 8], None)
    assert json.loads(json.dumps(report)) == {
        "confusion_matrix": [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
        "classes": [
            {"class": 3, "precision": 0.5, "recall": 1.0, "rows": 1},
            {"class": 5, "precision": 1.0, "recall": 0.5, "rows": 2},
            {"class": 8, "precision": None, "recall": None, "rows": 0},
        ],
    }


@pytest.mark.parametrize(("n_classes", "is_shown"), [(MOST_CLASSES_SHOWN, True), (MOST_CLASSES_SHOWN + 1, False)])
def test_a_matrix_of_very_many_classes_is_left_out_but_not_the_classes(n_classes: int, *, is_shown: bool) -> None:
    report = class_report(np.eye(n_classes), np.arange(n_classes), range(n_classes), None)
    assert (report["confusion_matrix"] is not None) == is_shown
    assert len(report["classes"]) == n_classes


def test_a_report_of_targets_has_the_r2_of_each() -> None:
    targets = np.array([[1.0, 4.0], [2.0, 4.0], [3.0, 4.0]])
    assert target_report(targets, targets, ["height", "width"], None) == {"r2_by_target": {"height": 1, "width": None}}
