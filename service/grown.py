"""The columns of a whole file, in as few readings as it takes, whatever its size.

What a column is follows from all of its values. So the first chunk is believed, and the columns grow while the file is
read, once; where the rest of the file is otherwise, it is read through to find what each column is, or which values do
not fit, and then once more.
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.column_files import ColumnFiles
from service.column_types import BadValuesError, Kind, Reading, Survey
from service.file_options import FileOptions
from service.growing import growing_column
from service.table import Source, check_size
from service.table_columns import check_declared, reading_of, surveys
from service.text_memory import TextMemory
from workers.counting import counted
from workers.errors import DataError

MOST_TURNS = 10
Kinds = list[Kind | None]
Good = npt.NDArray[np.bool_]


class Grown(NamedTuple):
    """How many rows there are, how many were left out, and the columns' metadata."""

    rows: int
    rejected_rows: int
    columns: list[dict[str, Any]]


def grow(source: Source, options: FileOptions, files: ColumnFiles | None, limits: dict[str, int]) -> Grown:
    """The columns, written to `files`; DataError names the values that do not fit."""
    check_declared(source.names, options)
    reading = reading_of(source, options)
    if options.skips_bad_rows:
        kinds, is_good = without_bad_rows(source, reading)
        return _read(source, reading, files, limits, kinds, is_good, fast=False)[0]
    if (guessed := _guessed(source, reading)) is not None:
        with contextlib.suppress(pa.ArrowInvalid):
            grown, fits = _read(source, reading, files, limits, guessed)
            if fits:
                return grown
        if files is not None:
            files.clear()
    kinds, _ = _surveyed(surveys(source, reading), source, None)
    return _read(source, reading, files, limits, kinds, fast=False)[0]


def without_bad_rows(source: Source, reading: Reading) -> tuple[Kinds, Good]:
    """What the columns are without the rows that do not fit: one may hide another's fault, so it takes turns.

    Each turn reads the whole file: a file that is made to need more than `MOST_TURNS` is refused.
    """
    is_good = np.ones(sum(len(chunk[0]) for chunk in source.chunks(frozenset())), bool)
    for _ in range(MOST_TURNS):
        kinds, faults = _surveyed(surveys(source, reading, keeps_places=True), source, is_good)
        for fault in faults:
            is_good[fault.places] = False
        if not is_good.any():
            rows = counted(len(is_good), "row")
            message = f"Of {rows} none can be used: each has a value that does not fit its column."
            raise DataError(message, code="dataset_empty")
        if not faults:
            return kinds, is_good
    raise DataError(
        f"Each time that bad rows were left out, others showed, {MOST_TURNS} times: columns look like text until then. "
        f"Declare the columns of numbers in options.types, or clean the file. The last time: {faults[0].message}",
        code="too_many_bad_rows",
        field="options.on_bad_rows",
    )


def _guessed(source: Source, reading: Reading) -> Kinds | None:
    """What the first chunk shows; None where all values must be looked at before anything is written."""
    found = surveys(source, reading)
    if any(survey.checks_dates for survey in found):
        return None
    with contextlib.closing(source.chunks(frozenset())) as chunks:
        for survey, values in zip(found, next(chunks), strict=True):
            survey.add(values, 0)
    return [survey.guess() for survey in found]


def _read(
    source: Source, reading: Reading, files: ColumnFiles | None, limits: dict[str, int], kinds: Kinds,
    is_good: Good | None = None, *, fast: bool = True,
) -> tuple[Grown, bool]:  # fmt: skip
    """The columns of these kinds, and whether they still seem right when all rows are read."""
    named = enumerate(zip(source.names, kinds, strict=True))
    memory = TextMemory()
    columns = [growing_column(name, place, reading, files, kind, memory) for place, (name, kind) in named]
    numbers = frozenset(place for place, kind in enumerate(kinds) if kind == "number" and fast)
    read = rows = 0
    for chunk in source.chunks(numbers):
        chosen = None if is_good is None else pa.array(is_good[read : read + len(chunk[0])])
        read += len(chunk[0])
        check_size(read, len(columns), limits)
        for column, values in zip(columns, chunk, strict=True):
            column.add(values if chosen is None else values.filter(chosen))
        rows += len(chunk[0]) if chosen is None else chosen.true_count
    metadata = [column.finish() for column in columns]
    return Grown(rows, source.rejected() + read - rows, metadata), all(column.fits for column in columns)


def _surveyed(found: list[Survey], source: Source, is_good: Good | None) -> tuple[Kinds, list[BadValuesError]]:
    """What each column is, from all of its values; the faults of those that keep places, the first one else."""
    read = 0
    for chunk in source.chunks(frozenset()):
        rows = len(chunk[0])
        mask = None if is_good is None else is_good[read : read + rows]
        for survey, values in zip(found, chunk, strict=True):
            survey.add(values, read, mask)
        read += rows
    kinds: Kinds = []
    faults = []
    for survey in found:
        try:
            kinds.append(survey.kind())
        except BadValuesError as error:
            if not survey.keeps_places:
                raise
            kinds.append(None)
            faults.append(error)
    return kinds, faults
