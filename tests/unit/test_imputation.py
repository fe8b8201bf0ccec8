import numpy as np
import pytest

from tests.columns import numbers, texts
from workers.errors import DataError
from workers.imputation import fill_of, filled


def test_only_training_rows_say_what_fills_a_gap() -> None:
    column = numbers("a", 1.0, None, 4.0, 1000.0)
    assert fill_of(column, np.array([0, 1, 2]), "mean") == 2.5
    assert filled(column, 2.5).tolist() == [1.0, 2.5, 4.0, 1000.0]


@pytest.mark.parametrize("method", ["mean", "most_frequent"])
def test_the_most_frequent_category_fills_and_the_first_by_code_point_on_ties(method: str) -> None:
    column = texts("a", "red", "blue", None, "red", "blue", "green")
    assert fill_of(column, np.arange(6), method) == "blue"
    assert filled(column, "blue").tolist() == [2, 0, 0, 2, 0, 1]


def test_the_most_frequent_number_fills_and_the_lowest_on_ties() -> None:
    assert fill_of(numbers("a", 7.0, 3.0, 7.0, 3.0, None, 9.0), np.arange(6), "most_frequent") == 3.0
    assert str(fill_of(numbers("a", -0.0, 0.0, 5.0), np.arange(3), "most_frequent")) == "0.0"


@pytest.mark.parametrize("column", [numbers("a", None, None, 3.0), texts("a", None, None, "x")])
def test_a_column_without_a_value_in_training_rows_is_named(column: object) -> None:
    with pytest.raises(DataError, match="'a' has no value in any of the 2 training rows") as caught:
        fill_of(column, np.arange(2), "mean")  # type: ignore[arg-type]
    assert caught.value.code == "all_missing"


def test_numbers_without_a_finite_mean_are_refused() -> None:
    with pytest.raises(DataError, match="too large to have a mean"):
        fill_of(numbers("a", 1.7e308, 1.7e308, None), np.arange(3), "mean")
