import hashlib
import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.columns import drawn, numbers, texts
from workers.dataset import Column
from workers.duplicates import words_of_rows
from workers.errors import DataError
from workers.row_hashes import row_hashes
from workers.split import split_by_hash, split_by_row, split_by_strata, split_by_time


def expected(salt: str, *values: float | str | None) -> int:
    """The hash of MATH, value by value."""
    row = salt.encode()
    for value in values:
        data = struct.pack("<d", value) if isinstance(value, float) else (value or "").encode()
        row += b"\xff\xff\xff\xff" if value is None else struct.pack("<I", len(data)) + data
    return int.from_bytes(hashlib.sha256(row).digest()[:8], "big")


def hashes(columns: list[Column], rows: int, salt: str = "") -> NDArray[np.uint64]:
    return np.concatenate(list(row_hashes(columns, rows, salt)))


@pytest.mark.parametrize("salt", ["", "drawn again"])
def test_hashes_are_those_of_the_specification(salt: str) -> None:
    columns = [
        texts("d", "red", "", None),
        numbers("a", 1.5, -2.0, 1e300),
        numbers("c", 7.0, None, 9.0),
        numbers("b", 0.0, 4.0, 5.0),
    ]
    rows = [(1.5, 0.0, 7.0, "red"), (-2.0, 4.0, None, ""), (1e300, 5.0, 9.0, None)]
    assert hashes(columns, 3, salt).tolist() == [expected(salt, *row) for row in rows]


def test_test_rows_come_before_validation_rows_in_the_hash() -> None:
    column = numbers("a", *map(float, range(2000)))
    u = hashes([column], 2000) / 2.0**64
    split = drawn(split_by_hash, [column], 2000, validation=0.2, test=0.1)
    assert split.test == np.flatnonzero(u < 0.1).tolist()
    assert split.validation == np.flatnonzero((u >= 0.1) & (u < 0.1 + 0.2)).tolist()


def test_minus_zero_is_zero_and_accents_are_composed() -> None:
    assert hashes([numbers("a", -0.0)], 1) == hashes([numbers("a", 0.0)], 1)
    assert hashes([texts("a", "cafe\u0301")], 1) == hashes([texts("a", "caf\u00e9")], 1)


def test_the_last_rows_of_the_file_are_held_out() -> None:
    assert drawn(split_by_row, 10, validation=0.2, test=0.3) == ([0, 1, 2, 3, 4], [5, 6], [7, 8, 9])
    assert drawn(split_by_row, 10, validation=0.0, test=0.0) == (list(range(10)), [], [])


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_fraction_that_draws_no_row_is_refused(part: str) -> None:
    fractions = {"validation": 0.0, "test": 0.0, part: 1e-9}
    for split_by, arguments in ((split_by_row, (10,)), (split_by_hash, ([numbers("a", 1.0)], 1))):
        with pytest.raises(DataError) as caught:
            drawn(split_by, *arguments, **fractions)
        assert (caught.value.code, caught.value.errors[0].field) == ("split_draws_no_row", f"split.{part}")


def test_a_split_leaves_a_row_to_train() -> None:
    with pytest.raises(DataError) as caught:
        drawn(split_by_row, 1, validation=0.9, test=0.0)
    assert caught.value.code == "split_leaves_no_training_row"


def test_rows_of_one_time_stay_together_on_the_later_side() -> None:
    times = numbers("t", 5.0, 1.0, 4.0, 4.0, 2.0, 5.0, 3.0, 4.0)
    assert drawn(split_by_time, times, validation=0.25, test=0.125) == ([1, 4, 6], [2, 3, 7], [0, 5])
    dates = texts("t", "2026-02-01", "2025-12-31", "2026-01-15", "2026-01-31")
    assert drawn(split_by_time, dates, validation=0.25, test=0.25) == ([1, 2], [3], [0])


def test_a_row_without_a_time_is_refused() -> None:
    with pytest.raises(DataError, match=r"'t' has no value in 1 row\.") as caught:
        drawn(split_by_time, numbers("t", 1.0, None, 3.0), validation=0.3, test=0.0)
    assert caught.value.errors[0].field == "split.column"


def test_one_time_for_all_rows_leaves_none_for_training() -> None:
    with pytest.raises(DataError) as caught:
        drawn(split_by_time, numbers("t", 1.0, 1.0, 1.0), validation=0.3, test=0.0)
    assert caught.value.code == "split_leaves_no_training_row"


def test_the_lowest_hashes_of_a_class_are_held_out_and_a_lone_row_trains() -> None:
    hashes = np.array([5, 1, 4, 2, 3, 9, 8, 7], np.uint64)
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    split = drawn(split_by_strata, hashes, classes, np.arange(3), validation=0.25, test=0.5)
    assert split == ([0, 5, 7], [2], [1, 3, 4, 6])


def test_free_text_that_stands_unsorted_and_repeated_is_split_by_its_order_all_the_same() -> None:
    kept = ("2026-03", "2026-01", "2026-04", "2026-01", "2026-02")  # as a column of very many texts keeps them
    column = Column("day", "text", np.array([0, 1, 2, 3, 4], np.int32), None, kept)
    assert drawn(split_by_time, column, validation=0.2, test=0.2) == ([1, 3, 4], [0], [2])


def test_equal_texts_make_equal_rows_wherever_they_are_kept() -> None:
    column = Column("note", "text", np.array([0, 1, 2], np.int32), None, ("a", "b", "a"))
    (words,) = words_of_rows([column])
    assert words[0] == words[2] != words[1]
