"""Which rows train, validate and test: by their own content, their time or their place, never by a seed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workers.counting import counted

from .dataset import Column
from .errors import DataError
from .order import Cut, order_of
from .row_hashes import row_hashes
from .selection import Found, select
from .stored import ScratchArray, Values, blocks, spans
from .text_spans import text_spans

Array = npt.NDArray[Any]
PARTS = ("training", "validation", "test")
TRAINING, VALIDATION, TEST = range(3)


class Split(NamedTuple):
    """The part that each row belongs to (uint8), and how many rows each part has."""

    parts: Values
    training_rows: int
    validation_rows: int
    test_rows: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Of the parts in the order of their numbers."""
        return self.training_rows, self.validation_rows, self.test_rows


def split_by_hash(
    columns: Iterable[Column], rows: int, validation: float, test: float, salt: str = "", *, scratch: Path
) -> Split:
    """The split that the rows' content decides (docs/MATH.md, Split), whatever the order of columns and the other rows.

    DataError `split_draws_no_row` where a fraction above 0, or training, is left without a row. As in all of these,
    the parts are kept in the directory `scratch`.
    """

    def parts() -> Iterator[Array]:
        for hashes in row_hashes(columns, rows, salt):
            u = hashes / 2.0**64
            yield np.where(u < test, TEST, np.where(u < test + validation, VALIDATION, TRAINING))

    return _checked(split_of(parts(), scratch), validation, test)


def split_by_row(rows: int, validation: float, test: float, *, scratch: Path) -> Split:
    """Training, validation, test in the order of the file; the fractions are rounded to the nearest row, halves up."""
    first_test = rows - _share(rows, test)
    first_validation = max(0, first_test - _share(rows, validation))

    def parts() -> Iterator[Array]:
        for block in spans(rows):
            row = np.arange(block.start, block.stop)
            yield np.where(row >= first_test, TEST, np.where(row >= first_validation, VALIDATION, TRAINING))

    return _checked(split_of(parts(), scratch), validation, test)


def split_by_time(column: Column, validation: float, test: float, *, scratch: Path) -> Split:
    """The last rows by `column` are held out: numbers by value, texts by code point (ISO dates: by time).

    Rows of one time are never torn apart: all of those at a cut belong to the later part.
    """
    if column.missing is not None:
        without = counted(column.count_missing(), "row")
        raise DataError(
            f"Column '{column.name}' has no value in {without}. A split by time needs one in each row: "
            f"fill the column, or take another.",
            code="missing_values",
            field="split.column",
        )
    order, rows = order_of(column, scratch), len(column.values)

    def reached(block: slice, cut: Cut) -> Array:
        return order.reached(block, cut.value) if cut.n_before < rows else np.zeros(block.stop - block.start, bool)

    def cut_at(place: int) -> Cut:
        return order.at(max(0, place)) if place < rows else Cut(None, rows)

    test_from = cut_at(rows - _share(rows, test))
    validation_from = cut_at(test_from.n_before - _share(rows, validation)) if validation > 0 else Cut(None, rows)
    parts = (
        np.where(reached(block, test_from), TEST, np.where(reached(block, validation_from), VALIDATION, TRAINING))
        for block in text_spans([(column.values.__getitem__, column.categories)], rows)
    )
    return _checked(split_of(parts, scratch), validation, test)


def split_by_strata(
    hashes: Values, classes: Values, labels: Array, validation: float, test: float, *, scratch: Path
) -> Split:
    """Of each class its share of the rows in each part: those with the lowest hashes test, the next ones validate.

    `labels` are the different values of `classes`, ascending. Shares are rounded to the nearest row, halves up; one row
    of each class is left for training.
    """

    def places() -> Iterator[Array]:
        return (np.searchsorted(labels, block) for block in blocks(classes))

    sizes = sum((np.bincount(block, minlength=len(labels)) for block in places()), np.zeros(len(labels), np.intp))
    n_test = np.minimum((sizes * test + 0.5).astype(np.intp), sizes - 1)
    n_validation = np.minimum((sizes * validation + 0.5).astype(np.intp), sizes - 1 - n_test)
    ends = np.stack([n_test, n_test + n_validation], axis=1)
    found = select(lambda: zip(places(), blocks(hashes), strict=True), ends)
    return _checked(split_of(_by_hash_in_class(places(), hashes, found), scratch), validation, test)


def split_of(parts: Iterable[Array], scratch: Path, name: str = "parts") -> Split:
    """The split whose rows belong to these parts, kept in a file of this name."""
    kept, sizes = ScratchArray(scratch / name, np.uint8), np.zeros(3, np.intp)
    for block in parts:
        kept.append(block.astype(np.uint8))
        sizes += np.bincount(block, minlength=3)
    return Split(kept, *sizes.tolist())


def _share(rows: int, fraction: float) -> int:
    """A fraction of the rows, rounded to the nearest one, halves up."""
    return int(rows * fraction + 0.5)


def _by_hash_in_class(places: Iterable[Array], hashes: Values, found: Found) -> Iterator[Array]:
    """The parts of rows: those before the first of the two cuts of their class test, those before the other validate.

    Rows with the hash at a cut stand before it in the order of their numbers, as many as `found` says.
    """
    seen = np.zeros_like(found.ties)
    for groups, block in zip(places, blocks(hashes), strict=True):
        is_before = []
        for cut in range(2):
            keys = found.keys[groups, cut]
            equal = np.flatnonzero(block == keys)
            number = seen[groups[equal], cut] + _occurrences(groups[equal])
            seen[:, cut] += np.bincount(groups[equal], minlength=len(seen))
            before = block < keys
            before[equal] = number < found.ties[groups[equal], cut]
            is_before.append(before)
        yield np.where(is_before[0], TEST, np.where(is_before[1], VALIDATION, TRAINING))


def _occurrences(groups: Array) -> Array:
    """How many of the values before each one are equal to it."""
    order = np.argsort(groups, kind="stable")
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
    return numbers


def _checked(split: Split, validation: float, test: float) -> Split:
    rows = len(split.parts)
    for name, fraction, drawn in (("validation", validation, split.validation_rows), ("test", test, split.test_rows)):
        if fraction > 0 and not drawn:
            raise DataError(
                f"split.{name} is {fraction:g}, but of {counted(rows, 'row')} none is drawn for it. "
                f"Use more rows or a larger fraction, or set split.{name} to 0.",
                code="split_draws_no_row",
                field=f"split.{name}",
            )
    if not split.training_rows:
        raise DataError(
            f"Of {counted(rows, 'row')} none is left for training. Use more rows, or smaller split.validation and "
            f"split.test.",
            code="split_leaves_no_training_row",
            field="split",
        )
    return split
