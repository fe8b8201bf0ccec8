"""Which rows train, validate and test: by their own content, their time or their place, never by a seed."""

import hashlib
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workers.counting import counted

from .dataset import Column
from .errors import DataError

Array = npt.NDArray[Any]
MISSING = struct.pack("<I", 0xFFFFFFFF)
NUMBER = np.dtype([("length", "<u4"), ("value", "<f8")])
BLOCK_BYTES = 2**23


class Split(NamedTuple):
    """Row numbers from 0, ascending in each part."""

    training: Array
    validation: Array
    test: Array


def split_by_hash(columns: Iterable[Column], rows: int, validation: float, test: float, salt: str = "") -> Split:
    """The split that the rows' content decides (docs/MATH.md, Split), whatever the order of columns and the other rows.

    DataError `split_draws_no_row` where a fraction above 0, or training, is left without a row.
    """
    u = row_hashes(columns, rows, salt) / 2.0**64
    in_test = u < test
    in_validation = ~in_test & (u < test + validation)
    split = Split(*(np.flatnonzero(part) for part in (~in_test & ~in_validation, in_validation, in_test)))
    return _checked(split, rows, validation, test)


def split_by_row(rows: int, validation: float, test: float) -> Split:
    """Training, validation, test in the order of the file; the fractions are rounded to the nearest row, halves up."""
    first_test = rows - _share(rows, test)
    first_validation = max(0, first_test - _share(rows, validation))
    split = Split(
        *(np.arange(*ends) for ends in ((first_validation,), (first_validation, first_test), (first_test, rows)))
    )
    return _checked(split, rows, validation, test)


def split_by_time(column: Column, validation: float, test: float) -> Split:
    """The last rows by `column` are held out: numbers by value, texts by code point (ISO dates: by time).

    Rows of one time are never torn apart: all of those at a cut belong to the later part.
    """
    if column.missing is not None:
        without = counted(int(np.count_nonzero(column.missing)), "row")
        raise DataError(
            f"Column '{column.name}' has no value in {without}. A split by time needs one in each row: "
            f"fill the column, or take another.",
            code="missing_values",
            field="split.column",
        )
    values = column.values if column.type == "number" else ranks(column)
    order = np.argsort(values, kind="stable")
    times, rows = values[order], len(order)

    def first_from(place: int) -> int:
        return int(np.searchsorted(times, times[place])) if 0 <= place < rows else min(max(place, 0), rows)

    first_test = first_from(rows - _share(rows, test))
    first_validation = first_from(first_test - _share(rows, validation)) if validation > 0 else first_test
    parts = np.split(order, [first_validation, first_test])
    return _checked(Split(*(np.sort(part) for part in parts)), rows, validation, test)


def ranks(column: Column) -> Array:
    """The place of each row's text among the different texts by code point; those of free text may stand unsorted."""
    _, places = np.unique(np.array(column.categories, dtype=object), return_inverse=True)
    return np.asarray(places[column.values])


def split_by_strata(hashes: Array, classes: Array, validation: float, test: float) -> Split:
    """Of each class its share of the rows in each part: those with the lowest hashes test, the next ones validate.

    Shares are rounded to the nearest row, halves up; one row of each class is left for training.
    """
    parts: list[list[Array]] = [[], [], []]
    for value in np.unique(classes):
        rows = np.flatnonzero(classes == value)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        n_test = min(_share(len(rows), test), len(rows) - 1)
        n_validation = min(_share(len(rows), validation), len(rows) - 1 - n_test)
        held_out = n_test + n_validation
        for part, chosen in zip(parts, (rows[held_out:], rows[n_test:held_out], rows[:n_test]), strict=True):
            part.append(chosen)
    split = Split(*(np.sort(np.concatenate(part)) for part in parts))
    return _checked(split, len(classes), validation, test)


def _share(rows: int, fraction: float) -> int:
    """A fraction of the rows, rounded to the nearest one, halves up."""
    return int(rows * fraction + 0.5)


def row_hashes(columns: Iterable[Column], rows: int, salt: str = "") -> Array:
    """The first 8 bytes of SHA-256(salt ‖ canonical row) of each row, as uint64."""
    in_order = sorted(columns, key=lambda column: column.name)
    groups = [list(group) for _, group in groupby(in_order, key=_is_fixed_width)]
    texts = {column.name: _text_records(column.categories) for column in in_order if column.categories is not None}
    block_rows = max(1, BLOCK_BYTES // (64 * max(1, len(in_order))))
    digests: list[bytes] = []
    for first in range(0, rows, block_rows):
        rows_of_block = slice(first, min(rows, first + block_rows))
        records = [records for group in groups for records in _records(group, texts, rows_of_block)]
        digests += _digests(salt.encode(), records)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _digests(salt: bytes, records: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    sha256 = hashlib.sha256
    if len(records) == 1 and not salt:
        return (sha256(record).digest()[:8] for record in records[0])
    return (sha256(salt + b"".join(parts)).digest()[:8] for parts in zip(*records, strict=True))


def _is_fixed_width(column: Column) -> bool:
    return column.type == "number" and column.missing is None


def _records(group: list[Column], texts: dict[str, list[bytes]], rows: slice) -> Iterator[list[bytes]]:
    """Each row's length-prefixed bytes: of all columns at once where their width is fixed, else column by column."""
    if _is_fixed_width(group[0]):
        yield _number_records([column.values[rows] for column in group])
        return
    for column in group:
        if column.type == "number":
            records = _number_records([column.values[rows]])
        else:
            records = [texts[column.name][code] for code in column.values[rows].tolist()]
        if column.missing is not None:
            for row in np.flatnonzero(column.missing[rows]).tolist():
                records[row] = MISSING
        yield records


def _number_records(values: list[Array]) -> list[bytes]:
    records = np.empty((len(values[0]), len(values)), NUMBER)
    records["length"] = 8
    for place, column in enumerate(values):
        records["value"][:, place] = column + 0.0  # -0.0 becomes 0.0
    data, width = records.tobytes(), NUMBER.itemsize * len(values)
    return [data[start : start + width] for start in range(0, len(data), width)]


def _text_records(categories: Iterable[str]) -> list[bytes]:
    encoded = (unicodedata.normalize("NFC", text).encode() for text in categories)
    return [struct.pack("<I", len(text)) + text for text in encoded] + [MISSING]  # the last one is for code -1


def _checked(split: Split, rows: int, validation: float, test: float) -> Split:
    for name, fraction, drawn in (("validation", validation, split.validation), ("test", test, split.test)):
        if fraction > 0 and not len(drawn):
            raise DataError(
                f"split.{name} is {fraction:g}, but none of the {counted(rows, 'row')} is drawn for it. "
                f"Use more rows or a larger fraction, or set split.{name} to 0.",
                code="split_draws_no_row",
                field=f"split.{name}",
            )
    if not len(split.training):
        raise DataError(
            f"None of the {counted(rows, 'row')} is left for training. Use more rows, or smaller split.validation and "
            f"split.test.",
            code="split_leaves_no_training_row",
            field="split",
        )
    return split
