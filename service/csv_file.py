"""Reads a CSV file block by block, and says in which row a file is broken.

A row is counted as an editor shows it: its number is that of the line on which it starts, the header's being 1.
Blank lines are left out. The good path works on whole blocks; only a broken file is read row by row.
"""

import codecs
import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

import pyarrow as pa
import pyarrow.csv

from service.column_types import NUMBER
from service.csv_dialect import find_dialect
from service.file_options import FileOptions
from service.progress import SILENT, Progress
from service.table import Extent, Source, check_names, check_size
from workers.counting import counted
from workers.errors import DataError

LONGEST_ROW_BYTES = 2**22
SCAN_BYTES = 2**22


class _Record(NamedTuple):
    first_line: int
    last_line: int
    values: list[str]


class Csv(NamedTuple):
    """A CSV file and how it is written."""

    path: Path
    delimiter: str
    decimal: str
    has_header: bool
    skips_bad_rows: bool


def open_csv(path: Path, options: FileOptions) -> Csv:
    """The file with what its options leave open found in it; DataError `dataset_empty`, `not_utf8`."""
    _check_start(path)
    dialect = find_dialect(path, options)
    return Csv(path, *dialect, options.skips_bad_rows)


def csv_source(file: Csv, markers: Sequence[str], limits: Mapping[str, int], progress: Progress = SILENT) -> Source:
    """The file's rows, as text; DataError names what is wrong and where."""
    n_quotes, n_lines = _check_text(file.path, progress)
    header = next(_records(file))
    names = _names(file, header)
    check_size(0, len(names), limits)
    if n_quotes % 2:
        _refuse_broken(file, len(names))
    rows = _Rows(file, header, len(names), n_quotes, n_lines, markers)
    first = next((record.first_line for place, record in enumerate(_records(file)) if place == file.has_header), None)
    if first is None:
        rows.refuse_empty()
    types = [pa.string()] * len(names)
    return Source(
        names, types, has_types=False, decimal=file.decimal, first_row=first, row_number=partial(row_number, file),
        chunks=rows.chunks, rejected=lambda: rows.rejected, rows_are_lines=lambda: rows.are_lines_from(first),
        extent=Extent(file.path.stat().st_size, "bytes", rows.n_bytes),
    )  # fmt: skip


def row_number(file: Csv, row: int) -> int:
    """The number, in the file, of the row with place `row` (from 0) among the data."""
    place = row + file.has_header
    return next(record.first_line for number, record in enumerate(_records(file)) if number == place)


class _Rows:
    """The rows of a file that was looked through, read block by block."""

    def __init__(
        self, file: Csv, header: _Record, n_columns: int, n_quotes: int, n_lines: int, markers: Sequence[str]
    ) -> None:
        self._file, self._header, self._n_columns = file, header, n_columns
        self._n_quotes, self._n_lines, self._markers = n_quotes, n_lines, list(markers)
        self.rejected = self._n_rows = self._n_blocks = 0

    def chunks(self, numbers: frozenset[int]) -> Generator[list[Any]]:
        """Each block's columns; those at the places `numbers` as float64, pyarrow.ArrowInvalid where that can't be."""
        if any(re.fullmatch(NUMBER, marker, re.IGNORECASE) for marker in self._markers):
            numbers = frozenset()  # a number with a blank before it would not be known for a marker
        self.rejected = self._n_blocks = rows = 0
        try:
            with self._opened(numbers) as reader:
                for batch in reader:
                    rows += batch.num_rows
                    self._n_blocks += 1
                    if batch.num_rows:
                        yield list(batch.columns)
        except pa.ArrowInvalid as error:
            if numbers:
                raise
            _refuse_broken(self._file, self._n_columns)
            raise DataError(f"The file can't be read as CSV: {error}.", code="invalid_csv") from None
        self._n_rows = rows
        if not rows:
            self.refuse_empty()
        if self._n_quotes and self._n_lines != rows + self._file.has_header and not self._file.skips_bad_rows:
            _refuse_broken(self._file, self._n_columns)  # a value over several lines may be a forgotten quote

    def are_lines_from(self, first: int) -> bool:
        """Whether the rows read last are the lines from `first` on: none is blank, left out or longer than a line."""
        return self.rejected == 0 and self._n_lines == first - 1 + self._n_rows

    def n_bytes(self) -> int:
        """About how much of the file the last reading has read so far: each batch has the rows of one block."""
        return self._n_blocks * LONGEST_ROW_BYTES

    def refuse_empty(self) -> NoReturn:
        """DataError `dataset_empty`."""
        n = self.rejected
        left = f" that can be used: {n} have another number of values than the header" if n else ""
        raise DataError(f"The file has a header but no rows{left}.", code="dataset_empty")

    def _opened(self, numbers: frozenset[int]) -> Any:  # noqa: ANN401 - a pyarrow.csv.CSVStreamingReader
        places = [str(place) for place in range(self._n_columns)]
        blank_lines = self._header.first_line - 1
        types = {name: pa.float64() if place in numbers else pa.string() for place, name in enumerate(places)}
        return pyarrow.csv.open_csv(
            self._file.path,
            pyarrow.csv.ReadOptions(
                column_names=places,
                skip_rows_after_names=blank_lines + self._file.has_header,
                block_size=LONGEST_ROW_BYTES,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self._file.delimiter,
                newlines_in_values=self._n_quotes > 0,
                invalid_row_handler=self._skip if self._file.skips_bad_rows else None,
            ),
            pyarrow.csv.ConvertOptions(
                column_types=types, check_utf8=False, null_values=self._markers, decimal_point=self._file.decimal
            ),
        )

    def _skip(self, _row: object) -> str:
        self.rejected += 1
        return "skip"


def _check_start(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("The file is in UTF-16. Save it as CSV in UTF-8.", code="not_utf8")
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        with path.open("rb") as file:
            if not any(
                block.removeprefix(codecs.BOM_UTF8).strip() for block in iter(lambda: file.read(SCAN_BYTES), b"")
            ):
                raise DataError("The file is empty.", code="dataset_empty")


def _check_text(path: Path, progress: Progress) -> tuple[int, int]:
    """How many quotes and lines the file has; DataError where it is not text in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_quotes = n_lines = is_open = 0
    progress.begin("checking", path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(SCAN_BYTES):
            pending = len(decoder.getstate()[0])
            if (place := block.find(b"\0")) >= 0:
                row = n_lines + block.count(b"\n", 0, place) + 1
                raise DataError(f"Row {row} has a NUL byte: the file is not text, or damaged.", code="nul_byte")
            try:
                if pending or not block.isascii():
                    decoder.decode(block)
            except UnicodeDecodeError as error:
                _refuse_encoding(n_lines + block.count(b"\n", 0, max(0, error.start - pending)) + 1)
            n_quotes += block.count(b'"')
            n_lines += block.count(b"\n")
            is_open = not block.endswith(b"\n")
            progress.at(file.tell())
    if decoder.getstate()[0]:
        _refuse_encoding(n_lines + 1)
    return n_quotes, n_lines + is_open


def _refuse_encoding(row: int) -> NoReturn:
    raise DataError(f"Row {row} is not in UTF-8. Save the file as CSV in UTF-8.", code="not_utf8") from None


def _names(file: Csv, header: _Record) -> list[str]:
    if not file.has_header:
        return [f"column_{place}" for place in range(1, len(header.values) + 1)]
    values = [value.strip() for value in header.values]
    check_names(values, "Name the columns in the first row, or set options.header to false.")
    return values


def _records(csv_file: Csv) -> Iterator[_Record]:
    """The rows one by one, with the lines they stand on; DataError where quotes do not match or a line has no end."""
    csv.field_size_limit(LONGEST_ROW_BYTES)
    first_line = 1
    with csv_file.path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(_lines(file), delimiter=csv_file.delimiter, strict=True)
        try:
            for values in reader:
                if values:
                    yield _Record(first_line, reader.line_num, values)
                first_line = reader.line_num + 1
        except csv.Error as error:
            _refuse_record(first_line, reader.line_num, str(error))


def _lines(file: TextIO) -> Iterator[str]:
    """The lines, none of which is read further than it may be long."""
    number = 0
    while line := file.readline(LONGEST_ROW_BYTES + 1):
        number += 1
        if len(line) > LONGEST_ROW_BYTES:
            _refuse_length(number)
        yield line


def _refuse_length(row: int) -> NoReturn:
    message = f"Row {row} is longer than {LONGEST_ROW_BYTES} bytes, the limit. Is a line break missing?"
    raise DataError(message, code="row_too_long") from None


def _refuse_record(first_line: int, last_line: int, reason: str) -> NoReturn:
    if "expected after" in reason:
        message = f"Row {last_line} has text behind a closing quote. Write a quote inside a value twice."
        raise DataError(message, code="unclosed_quote") from None
    if "field larger" in reason and first_line == last_line:
        _refuse_length(first_line)
    message = f'Row {first_line} has a quote (") that is never closed. Close it, or write a quote inside a value twice.'
    raise DataError(message, code="unclosed_quote") from None


def _refuse_broken(file: Csv, n_columns: int) -> None:
    """Finds the first broken row, if there is one; DataError names it."""
    for place, record in enumerate(_records(file)):
        if len(record.values) != n_columns and not file.skips_bad_rows:
            _refuse_ragged(file, record, n_columns, is_first=place == file.has_header)
        if sum(map(len, record.values)) > LONGEST_ROW_BYTES:
            _refuse_length(record.first_line)


def _refuse_ragged(file: Csv, record: _Record, n_columns: int, *, is_first: bool) -> NoReturn:
    """A first row of data that does not fit its header may mean that nothing is cut where it should be."""
    over = f" (it reaches to row {record.last_line}: is a quote not closed?)"
    expected = f"the header has {n_columns}" if file.has_header else f"the first has {n_columns}"
    cut = f" Values are cut at {file.delimiter!r}: is options.delimiter another?" if is_first else ""
    raise DataError(
        f"Row {record.first_line} has {counted(len(record.values), 'value')}, {expected}"
        f"{over if record.last_line > record.first_line else ''}.{cut} "
        f"Mend the file, or set options.on_bad_rows to skip, which leaves such rows out.",
        code="ragged_row",
    )
