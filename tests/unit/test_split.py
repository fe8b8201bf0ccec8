import hashlib
import struct

import numpy as np
import pytest

from tests.columns import numbers, texts
from workers.errors import DataError
from workers.split import row_hashes, split_by_hash, split_by_row


def expected(salt: str, *values: float | str | None) -> int:
    """The hash of MATH, value by value."""
    row = salt.encode()
    for value in values:
        data = struct.pack("<d", value) if isinstance(value, float) else (value or "").encode()
        row += b"\xff\xff\xff\xff" if value is None else struct.pack("<I", len(data)) + data
    return int.from_bytes(hashlib.sha256(row).digest()[:8], "big")


@pytest.mark.parametrize("salt", ["", "drawn again"])
def test_hashes_are_those_of_the_specification(salt: str) -> None:
    columns = [
        texts("d", "red", "", None),
        numbers("a", 1.5, -2.0, 1e300),
        numbers("c", 7.0, None, 9.0),
        numbers("b", 0.0, 4.0, 5.0),
    ]
    rows = [(1.5, 0.0, 7.0, "red"), (-2.0, 4.0, None, ""), (1e300, 5.0, 9.0, None)]
    assert row_hashes(columns, 3, salt).tolist() == [expected(salt, *row) for row in rows]


def test_test_rows_come_before_validation_rows_in_the_hash() -> None:
    column = numbers("a", *map(float, range(2000)))
    u = row_hashes([column], 2000) / 2.0**64
    split = split_by_hash([column], 2000, validation=0.2, test=0.1)
    assert split.test.tolist() == np.flatnonzero(u < 0.1).tolist()
    assert split.validation.tolist() == np.flatnonzero((u >= 0.1) & (u < 0.1 + 0.2)).tolist()
    assert sorted(np.concatenate(split).tolist()) == list(range(2000))


def test_minus_zero_is_zero_and_accents_are_composed() -> None:
    assert row_hashes([numbers("a", -0.0)], 1) == row_hashes([numbers("a", 0.0)], 1)
    assert row_hashes([texts("a", "cafe\u0301")], 1) == row_hashes([texts("a", "caf\u00e9")], 1)


def test_the_last_rows_of_the_file_are_held_out() -> None:
    split = split_by_row(10, validation=0.2, test=0.3)
    assert [part.tolist() for part in split] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    assert [len(part) for part in split_by_row(10, validation=0.0, test=0.0)] == [10, 0, 0]


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_fraction_that_draws_no_row_is_refused(part: str) -> None:
    fractions = {"validation": 0.0, "test": 0.0, part: 1e-9}
    for draw in (lambda: split_by_row(10, **fractions), lambda: split_by_hash([numbers("a", 1.0)], 1, **fractions)):
        with pytest.raises(DataError) as caught:
            draw()
        assert (caught.value.code, caught.value.errors[0].field) == ("split_draws_no_row", f"split.{part}")


def test_a_split_leaves_a_row_to_train() -> None:
    with pytest.raises(DataError) as caught:
        split_by_row(1, validation=0.9, test=0.0)
    assert caught.value.code == "split_leaves_no_training_row"
