"""Reads a CSV file as columns of text, and says in which row a file is broken.

A row is counted as an editor shows it: its number is that of the line on which it starts, the header's being 1.
Blank lines are left out. The good path works on whole blocks; only a broken file is read row by row.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow as pa
import pyarrow.csv

from service.csv_options import CsvOptions
from workers.errors import DataError

LONGEST_ROW_BYTES = 2**22
SCAN_BYTES = 2**22
SHOWN_CHARACTERS = 40
FORMATS = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
    b"\x93NUMPY": "a NumPy file",
    b"SQLite format 3": "a SQLite database",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
}


class CsvTable(NamedTuple):
    """The values of a file as text, and the number of the first row that holds some."""

    names: list[str]
    columns: list[Any]  # pyarrow.ChunkedArray of strings
    rows: int
    first_row: int


class _Record(NamedTuple):
    first_line: int
    last_line: int
    values: list[str]


def read_table(path: Path, options: CsvOptions, limits: Mapping[str, int]) -> CsvTable:
    """The file's columns; DataError names what is wrong and where."""
    _check_format(path)
    n_quotes, n_lines = _check_text(path)
    header = _first_record(path, options)
    names = _names(header, options)
    if len(names) > limits.get("columns", len(names)):
        raise DataError(
            f"The file has {len(names)} columns, and {limits['columns']} are allowed. Keep those that matter.",
            code="too_many_columns",
        )
    if n_quotes % 2:
        _refuse_broken(path, options, len(names))
    columns = _columns(path, options, header, len(names), quoted=n_quotes > 0)
    if not columns or not len(columns[0]):
        raise DataError("The file has a header but no rows.", code="dataset_empty")
    if n_quotes and n_lines != len(columns[0]) + options.header:
        _refuse_broken(path, options, len(names))  # a value over several lines may be a quote that was forgotten
    first_row = next(
        record.first_line for place, record in enumerate(_records(path, options)) if place == options.header
    )
    return CsvTable(names, columns, len(columns[0]), first_row)


def row_number(path: Path, options: CsvOptions, row: int) -> int:
    """The number, in the file, of the row with place `row` (from 0) among the data."""
    place = row + options.header
    return next(record.first_line for number, record in enumerate(_records(path, options)) if number == place)


def _columns(path: Path, options: CsvOptions, header: _Record, n_columns: int, *, quoted: bool) -> list[Any]:
    places = [str(place) for place in range(n_columns)]
    blank_lines = header.first_line - 1
    try:
        table = pyarrow.csv.read_csv(
            path,
            pyarrow.csv.ReadOptions(
                column_names=places,
                skip_rows_after_names=blank_lines + options.header,
                block_size=LONGEST_ROW_BYTES,
            ),
            pyarrow.csv.ParseOptions(delimiter=options.separator, newlines_in_values=quoted),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(places, pa.string()), check_utf8=False),
        )
    except pa.ArrowInvalid as error:
        _refuse_broken(path, options, n_columns)
        raise DataError(f"The file can't be read as CSV: {error}.", code="invalid_csv") from None
    return list(table.columns)


def _check_format(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(512)
    found = next((name for magic, name in FORMATS.items() if start.startswith(magic)), None)
    if start.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype html", b"<html")):
        found = "an HTML page"
    if found:
        raise DataError(f"The file is {found}, not CSV. Upload the table itself as CSV.", code="format_mismatch")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("The file is in UTF-16. Save it as CSV in UTF-8.", code="not_utf8")
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        with path.open("rb") as file:
            if not any(
                block.removeprefix(codecs.BOM_UTF8).strip() for block in iter(lambda: file.read(SCAN_BYTES), b"")
            ):
                raise DataError("The file is empty.", code="dataset_empty")


def _check_text(path: Path) -> tuple[int, int]:
    """How many quotes and lines the file has; DataError where it is not text in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_quotes = n_lines = is_open = 0
    with path.open("rb") as file:
        while block := file.read(SCAN_BYTES):
            pending = len(decoder.getstate()[0])
            if (place := block.find(b"\0")) >= 0:
                row = n_lines + block.count(b"\n", 0, place) + 1
                raise DataError(f"Row {row} has a NUL byte: the file is not text, or damaged.", code="nul_byte")
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                _refuse_encoding(n_lines + block.count(b"\n", 0, max(0, error.start - pending)) + 1)
            n_quotes += block.count(b'"')
            n_lines += block.count(b"\n")
            is_open = not block.endswith(b"\n")
    if decoder.getstate()[0]:
        _refuse_encoding(n_lines + 1)
    return n_quotes, n_lines + is_open


def _refuse_encoding(row: int) -> NoReturn:
    raise DataError(f"Row {row} is not in UTF-8. Save the file as CSV in UTF-8.", code="not_utf8") from None


def _names(header: _Record, options: CsvOptions) -> list[str]:
    values = [value.strip() for value in header.values]
    if options.delimiter is None and len(values) == 1:
        other = next((character for character in ";\t|" if character in values[0]), None)
        if other:
            raise DataError(
                f"No value is separated by a comma, but by {other!r}. Set options.delimiter to it.",
                code="wrong_delimiter",
                field="options.delimiter",
            )
    if not options.header:
        return [f"column_{place}" for place in range(1, len(values) + 1)]
    advice = "Name the columns in the first row, or set options.header to false."
    if "" in values:
        raise DataError(f"Column {values.index('') + 1} has no name. {advice}", code="empty_column_name")
    name, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise DataError(f"{times} columns are named '{_shown(name)}'. {advice}", code="duplicate_column")
    return values


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _first_record(path: Path, options: CsvOptions) -> _Record:
    return next(_records(path, options))


def _records(path: Path, options: CsvOptions) -> Iterator[_Record]:
    """The rows one by one, with the lines they stand on; DataError where quotes do not match."""
    csv.field_size_limit(LONGEST_ROW_BYTES)
    first_line = 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=options.separator, strict=True)
        try:
            for values in reader:
                if values:
                    yield _Record(first_line, reader.line_num, values)
                first_line = reader.line_num + 1
        except csv.Error as error:
            _refuse_record(first_line, reader.line_num, str(error))


def _refuse_record(first_line: int, last_line: int, reason: str) -> NoReturn:
    if "expected after" in reason:
        message = f"Row {last_line} has text behind a closing quote. Write a quote inside a value twice."
        raise DataError(message, code="unclosed_quote") from None
    if "field larger" in reason and first_line == last_line:
        message = f"Row {first_line} has a value longer than {LONGEST_ROW_BYTES} bytes. Is a line break missing?"
        raise DataError(message, code="row_too_long") from None
    message = f'Row {first_line} has a quote (") that is never closed. Close it, or write a quote inside a value twice.'
    raise DataError(message, code="unclosed_quote") from None


def _refuse_broken(path: Path, options: CsvOptions, n_columns: int) -> None:
    """Finds the first broken row, if there is one; DataError names it."""
    for record in _records(path, options):
        if len(record.values) != n_columns:
            over = f" (it reaches to row {record.last_line}: is a quote not closed?)"
            raise DataError(
                f"Row {record.first_line} has {_counted(len(record.values))}, the header has {n_columns}"
                f"{over if record.last_line > record.first_line else ''}.",
                code="ragged_row",
            )
        if sum(map(len, record.values)) > LONGEST_ROW_BYTES:
            message = f"Row {record.first_line} is longer than {LONGEST_ROW_BYTES} bytes. Is a line break missing?"
            raise DataError(message, code="row_too_long")


def _counted(n_values: int) -> str:
    return "1 value" if n_values == 1 else f"{n_values} values"
