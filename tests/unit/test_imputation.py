from pathlib import Path

import pytest

from tests.columns import numbers, texts, training_on
from workers.dataset import Column
from workers.errors import DataError
from workers.imputation import fill_of


def test_only_training_rows_say_what_fills_a_gap(tmp_path: Path) -> None:
    column = numbers("a", 1.0, None, 4.0, 1000.0)
    assert fill_of(column, training_on(tmp_path, 4, 0, 1, 2), "mean", tmp_path) == 2.5
    assert column.block(slice(4)).filled(2.5).tolist() == [1.0, 2.5, 4.0, 1000.0]


@pytest.mark.parametrize("method", ["mean", "most_frequent"])
def test_the_most_frequent_category_fills_and_the_first_by_code_point_on_ties(tmp_path: Path, method: str) -> None:
    column = texts("a", "red", "blue", None, "red", "blue", "green")
    assert fill_of(column, training_on(tmp_path, 6, *range(6)), method, tmp_path) == "blue"


def test_the_most_frequent_number_fills_and_the_lowest_on_ties(tmp_path: Path) -> None:
    column, zeros = numbers("a", 7.0, 3.0, 7.0, 3.0, None, 9.0), numbers("a", -0.0, 0.0, 5.0)
    assert fill_of(column, training_on(tmp_path, 6, *range(6)), "most_frequent", tmp_path) == 3.0
    assert str(fill_of(zeros, training_on(tmp_path, 3, 0, 1, 2), "most_frequent", tmp_path)) == "0.0"


@pytest.mark.parametrize("column", [numbers("a", None, None, 3.0), texts("a", None, None, "x")])
def test_a_column_without_a_value_in_training_rows_is_named(column: Column, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a' has no value in any of the 2 training rows") as caught:
        fill_of(column, training_on(tmp_path, 3, 0, 1), "mean", tmp_path)
    assert caught.value.code == "all_missing"


def test_numbers_without_a_finite_mean_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too large to have a mean"):
        fill_of(numbers("a", 1.7e308, 1.7e308, None), training_on(tmp_path, 3, 0, 1, 2), "mean", tmp_path)
