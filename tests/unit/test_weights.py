"""How much each class counts in the loss."""

from typing import Any

import numpy as np
import pytest

from workers.weights import class_weights

Y = np.array([0, 0, 0, 1, 2, 2], np.int32)


def weights(asked: Any, classes: Any = ("a", "b", "c"), y: Any = Y) -> list[float]:
    found = class_weights(asked, classes, y)
    assert found is not None
    return found.tolist()


def test_balanced_is_n_over_k_times_n_c_so_that_all_classes_weigh_the_same_together() -> None:
    found = weights("balanced")
    assert found == [6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2)]
    assert np.bincount(Y, np.array(found)[Y]).tolist() == pytest.approx([2.0, 2.0, 2.0])


def test_a_class_without_training_rows_has_a_finite_weight() -> None:
    assert np.isfinite(weights("balanced", ("a", "b", "c", "d"))).all()


def test_a_mapping_is_by_class_as_text_and_1_where_it_names_none() -> None:
    assert weights({"c": 5.0, "a": 0.0}) == [0.0, 1.0, 5.0]
    assert weights({"7": 2.0}, (3, 7), Y[:4]) == [1.0, 2.0]
    assert weights({"1.5": 2.0}, (0.5, 1.5), Y[:4]) == [1.0, 2.0]


def test_without_class_weights_and_for_a_regression_there_are_none() -> None:
    assert class_weights(None, ("a", "b", "c"), Y) is None
    assert class_weights("balanced", None, Y) is None
