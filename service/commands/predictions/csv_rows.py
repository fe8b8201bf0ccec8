"""Reads a CSV file in parts, and says in which row it is broken. A row's number is that of its first line."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow as pa
import pyarrow.csv

from service.csv_dialect import Dialect, find_dialect
from service.file_options import FileOptions
from workers.counting import counted
from workers.errors import DataError

BLOCK_BYTES = 2**22
"""Read at a time, and the longest row."""


class CsvRows(NamedTuple):
    """A CSV file, how it is written, and the names of its columns."""

    path: Path
    dialect: Dialect
    names: list[str]
    has_header: bool


def open_csv_rows(path: Path, options: FileOptions) -> CsvRows:
    """The file with its header read; DataError `dataset_empty`, `not_utf8`, `ambiguous_decimal`."""
    dialect = find_dialect(path, options)
    has_header = dialect.has_header
    first = list(islice(_records(path, dialect), 1 + has_header))
    if not first:
        raise DataError("The file is empty.", code="dataset_empty")
    if len(first) == has_header:
        raise DataError("The file has a header but no rows.", code="dataset_empty")
    names = [value.strip() for value in first[0][1]]
    if not has_header:
        names = [f"column_{place}" for place in range(1, len(names) + 1)]
    return CsvRows(path, dialect, names, has_header)


def read_csv_rows(rows: CsvRows, file: Any, places: list[int]) -> Iterator[Any]:  # noqa: ANN401 - a pyarrow.NativeFile
    """Batches of rows with the columns at `places`, all text; DataError names the row that is broken."""
    wanted = [str(place) for place in places]
    blank_lines = next(line for line, _ in _records(rows.path, rows.dialect)) - 1
    try:
        yield from pyarrow.csv.open_csv(
            file,
            pyarrow.csv.ReadOptions(
                column_names=[str(place) for place in range(len(rows.names))],
                skip_rows_after_names=blank_lines + rows.has_header,
                block_size=BLOCK_BYTES,
            ),
            pyarrow.csv.ParseOptions(delimiter=rows.dialect.delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())),
        )
    except pa.ArrowInvalid as error:
        _refuse_broken(rows)
        raise DataError(f"The file can't be read as CSV: {error}.", code="invalid_csv") from None


def csv_row_number(rows: CsvRows, place: int) -> int:
    """The number, in the file, of the row at `place` (from 0) among the data."""
    wanted = place + rows.has_header
    return next(line for number, (line, _) in enumerate(_records(rows.path, rows.dialect)) if number == wanted)


def _records(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it starts on; DataError where one can't be read."""
    csv.field_size_limit(BLOCK_BYTES)
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=dialect.delimiter, strict=True)
        try:
            for values in reader:
                if values:
                    yield line, values
                line = reader.line_num + 1
        except csv.Error as error:
            _refuse_record(line, str(error))
        except UnicodeDecodeError:
            message = f"The file is not in UTF-8 (near row {line}). Save it as CSV in UTF-8."
            raise DataError(message, code="not_utf8") from None


def _refuse_record(line: int, reason: str) -> NoReturn:
    code = "row_too_long" if "field larger" in reason else "unclosed_quote"
    raise DataError(f"Row {line} can't be read: {reason}. Is a quote not closed there?", code=code) from None


def _refuse_broken(rows: CsvRows) -> None:
    """Finds the first broken row, if there is one; DataError names it."""
    for line, values in _records(rows.path, rows.dialect):
        if len(values) != len(rows.names):
            expected = f"the header has {len(rows.names)}" if rows.has_header else f"the first has {len(rows.names)}"
            raise DataError(f"Row {line} has {counted(len(values), 'value')}, {expected}.", code="ragged_row")
