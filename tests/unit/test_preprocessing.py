import json
from typing import Any

import numpy as np
import pytest

from workers.errors import DataError
from workers.fitting import Blocks, fit
from workers.preprocessing import (
    CategoryFeature,
    NumberFeature,
    Preprocessing,
    from_json,
    known_codes,
    text_codes,
    to_json,
    transform,
)


def blocks(values: Any) -> Blocks:
    """Training rows that are read at once."""
    return lambda: iter([np.asarray(values)])


COLORS = ("blue", "green", "red")


def test_statistics_come_from_training_rows_only() -> None:
    column = np.array([1.0, 2.0, 4.0, 1000.0])
    fitted, warnings = fit({"a": blocks(column[:3])}, {}, standardize=True)
    assert fitted.features == (NumberFeature("a", column[:3].mean(), column[:3].std()),)
    inputs = transform(fitted, {"a": column})
    assert inputs[:3].mean() == pytest.approx(0, abs=1e-15)
    assert inputs[:3].std() == pytest.approx(1)
    assert warnings == []


def test_without_standardising_numbers_stay_as_they_are() -> None:
    fitted, _ = fit({"a": blocks([3.0, 0.1])}, {}, standardize=False)
    assert transform(fitted, {"a": np.array([0.1, 7.0])}).tolist() == [[0.1], [7.0]]


def test_a_constant_column_stays_and_is_named() -> None:
    fitted, warnings = fit({"a": blocks(np.full(9, 0.1)), "b": blocks(np.arange(9.0))}, {}, standardize=True)
    assert fitted.features[0] == NumberFeature("a", 0.1, 1.0)
    assert transform(fitted, {"a": np.array([0.1, 1.1]), "b": np.zeros(2)})[:, 0].tolist() == [0.0, 1.0]
    assert warnings == ["Column 'a' has the same value in all training rows: the model can't learn from it."]


def test_rare_categories_train_the_input_for_unknown() -> None:
    codes = np.array([2, 2, 0, 1, 1], np.int32)
    fitted, _ = fit({"color": blocks(codes)}, {"color": COLORS}, standardize=True)
    feature = fitted.features[0]
    assert feature == CategoryFeature("color", ("green", "red"))
    assert isinstance(feature, CategoryFeature)
    inputs = transform(fitted, {"color": known_codes(feature, codes, COLORS)})
    assert inputs.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert text_codes(feature, ["red", "blue", "violet"]).tolist() == [1, 2, 2]


def test_a_category_needs_a_thousandth_of_the_rows() -> None:
    codes = np.repeat(np.array([0, 1, 2], np.int32), [4996, 4, 5])
    fitted, _ = fit({"color": blocks(codes)}, {"color": COLORS}, standardize=True)
    assert fitted.features == (CategoryFeature("color", ("blue",)),)
    fitted, _ = fit({"color": blocks(codes[5:])}, {"color": COLORS}, standardize=True)
    assert fitted.features == (CategoryFeature("color", ("blue", "red")),)


def test_inputs_follow_the_order_of_the_columns() -> None:
    columns = {"color": np.array([0, 0, 1, 1]), "a": np.arange(4.0)}
    read = {name: blocks(column) for name, column in columns.items()}
    fitted, _ = fit(read, {"color": ("blue", "red")}, standardize=False)
    assert fitted.n_inputs == 4
    assert transform(fitted, columns)[3].tolist() == [0, 1, 0, 3]


def test_numbers_too_large_to_standardise_are_refused() -> None:
    with pytest.raises(DataError, match="'a' are too large to be standardised") as caught:
        fit({"a": blocks([1e308, -1e308, 1e308])}, {}, standardize=True)
    assert caught.value.code == "nonfinite_values"


def test_json_keeps_every_bit() -> None:
    fitted = Preprocessing((NumberFeature("a", 0.1 + 0.2, 1 / 3), CategoryFeature("b", ("x", "é"))))
    assert from_json(json.loads(json.dumps(to_json(fitted)))) == fitted


def test_of_too_many_categories_the_most_frequent_have_inputs_and_the_first_on_ties() -> None:
    counts = {"a": 2, "b": 3, "c": 5, "d": 3, "e": 1, "f": 3}
    texts = tuple(counts)
    codes = np.repeat(np.arange(len(texts)), list(counts.values()))
    fitted, warnings = fit({"t": blocks(codes[::-1])}, {"t": texts}, standardize=False, max_categories=3)
    feature = fitted.features[0]
    assert isinstance(feature, CategoryFeature)
    assert feature.categories == ("b", "c", "d")
    (warning,) = warnings
    assert warning.startswith("Column 't' has 5 categories that are not rare, and preprocessing.max_categories is 3: ")
    assert known_codes(feature, np.arange(len(texts)), texts).tolist() == [3, 0, 1, 2, 3, 3]
    assert text_codes(feature, ["f", "c", "new"]).tolist() == [3, 1, 3]
    assert from_json(to_json(fitted)) == fitted


def test_categories_that_are_not_too_many_are_left_alone() -> None:
    codes = np.array([2, 2, 0, 1, 1], np.int32)
    plain = fit({"color": blocks(codes)}, {"color": COLORS}, standardize=True)
    assert fit({"color": blocks(codes)}, {"color": COLORS}, standardize=True, max_categories=2) == plain
