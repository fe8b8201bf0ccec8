"""Accuracy and R² against figures that can be done by hand."""

import numpy as np
import pytest

from workers.metrics import accuracy, r2


def test_accuracy_counts_right_rows_by_their_weights() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    classes = np.array([1, 0, 0, 0])
    assert accuracy(outputs, classes, None) == 0.75
    assert accuracy(outputs, classes, np.array([1.0, 1.0, 5.0, 3.0])) == 0.5


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
