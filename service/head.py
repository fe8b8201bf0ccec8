"""Looks at the beginning of a file: what shows that it can't be a dataset, and what would be understood of it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from service.column_types import numbers_of, text_of
from service.compressed import expanded_head
from service.csv_file import csv_source, open_csv
from service.file_format import FileFormat
from service.file_options import FileOptions, parse_options
from service.grown import grow, without_bad_rows
from service.look import look_at
from service.native_types import kind_of
from service.table import Table, first_rows, source_of
from service.table_columns import check_declared, described_column, format_of, open_source, reading_of, surveys
from workers.errors import DataError

HEAD_BYTES = 2**20
HEAD_ROWS = 10_000
SAMPLES = 5
SAMPLE_CHARACTERS = 40


class Head(NamedTuple):
    """The beginning of a file: its rows, how they are written if it is a CSV file, and whether they are all."""

    table: Table
    delimiter: str | None
    has_header: bool | None
    is_whole: bool


def check_head(path: Path, options: dict[str, Any], limits: Mapping[str, int], limit_bytes: int = HEAD_BYTES) -> None:
    """DataError where the beginning of a file shows already that it can't be a dataset.

    Of a larger file only what can't be otherwise in the whole is refused: the types of a CSV file's columns follow from
    all of their values, unless they are declared. Binary formats are opened by a process of their own.
    """
    parsed = parse_options(options)
    found = format_of(path, parsed)
    if found.name != "csv":
        look_at(path, options, limits)
        return
    with _csv_head(path, found, parsed, limits, limit_bytes) as head:
        if head is not None:
            _check_head_columns(head, parsed)


def preview(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """What would be understood of the file, from its beginning; DataError as `check_head`."""
    found = format_of(path, parse_options(options))
    return preview_of(path, options, limits) if found.name == "csv" else look_at(path, options, limits)


def preview_of(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """The same, in this process."""
    parsed = parse_options(options)
    found = format_of(path, parsed)
    if found.name != "csv":
        table = first_rows(open_source(path, found, parsed, limits), HEAD_ROWS + 1)
        is_whole = table.rows <= HEAD_ROWS
        table = table._replace(columns=[column.slice(0, HEAD_ROWS) for column in table.columns])
        return _described(Head(table._replace(rows=min(table.rows, HEAD_ROWS)), None, None, is_whole), found, parsed)
    with _csv_head(path, found, parsed, limits, HEAD_BYTES) as head:
        if head is None:
            raise DataError("The first megabyte has no whole row to look at.", code="nothing_to_preview")
        return _described(head, found, parsed)


@contextmanager
def _csv_head(
    path: Path, found: FileFormat, options: FileOptions, limits: Mapping[str, int], limit_bytes: int
) -> Iterator[Head | None]:
    """The whole rows of the first `limit_bytes` of a CSV file, from here to the end of the block; None without any."""
    if not found.is_gzip and path.stat().st_size <= limit_bytes:
        yield _head_of(path, options, limits, is_whole=True)
        return
    head = expanded_head(path, limit_bytes + 1) if found.is_gzip else _first_bytes(path, limit_bytes + 1)
    is_whole = len(head) <= limit_bytes
    if not is_whole:
        head = head[: head.rfind(b"\n", 0, limit_bytes) + 1]
        if head.count(b"\n") < 2 or head.count(b'"') % 2:  # noqa: PLR2004 - a header and a row; or cut inside a value
            yield None
            return
    with tempfile.NamedTemporaryFile(suffix=".csv") as copy:
        copy.write(head)
        copy.flush()
        yield _head_of(Path(copy.name), options, limits, is_whole=is_whole)


def _head_of(path: Path, options: FileOptions, limits: Mapping[str, int], *, is_whole: bool) -> Head:
    file = open_csv(path, options)
    table = first_rows(csv_source(file, options.missing_markers, limits))
    return Head(table, file.delimiter, file.has_header, is_whole)


def _first_bytes(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _described(head: Head, found: FileFormat, options: FileOptions) -> dict[str, Any]:
    _check_head_columns(head, options)
    is_csv = found.name == "csv"
    table, rejected = _usable(head.table, options)
    return {
        "object": "dataset_preview",
        "format": found.name,
        "gzip": found.is_gzip,
        "delimiter": head.delimiter,
        "decimal": head.table.source.decimal if is_csv else None,
        "header": head.has_header,
        "rows_looked_at": table.rows + rejected,
        "rejected_rows": rejected,
        "whole_file": head.is_whole,
        "columns": [_previewed(place, table, options) for place in range(len(table.columns))],
    }


def _usable(table: Table, options: FileOptions) -> tuple[Table, int]:
    """The rows that would be kept, and how many would be left out (on_bad_rows: skip)."""
    if not options.skips_bad_rows:
        return table, 0
    is_good = without_bad_rows(source_of(table), reading_of(table.source, options))[1]
    kept = int(is_good.sum())
    columns = [values.filter(pa.array(is_good)) for values in table.columns]
    return table._replace(columns=columns, rows=kept), table.source.rejected() + table.rows - kept


def _check_head_columns(head: Head, options: FileOptions) -> None:
    """DataError where the columns can't be read, whatever comes behind the head."""
    table = head.table
    if head.is_whole:
        grow(source_of(table), options, None, {})
        return
    check_declared(table.source.names, options)
    if options.skips_bad_rows:
        return
    found = surveys(table.source, reading_of(table.source, options))
    for survey, name, values in zip(found, table.source.names, table.columns, strict=True):
        if table.source.has_types or name in options.types:
            survey.add(values, 0)
            survey.kind()


def _previewed(place: int, table: Table, options: FileOptions) -> dict[str, Any]:
    """A column as its head shows it; `problem` says what would stand in the way were it the whole column."""
    name, first = table.source.names[place], table.columns[place][:SAMPLES]
    reading = reading_of(table.source, options)
    read = numbers_of(first, reading) if kind_of(first.type) == "number" else text_of(first, reading)
    pairs = zip(first.to_pylist(), read.is_null().to_pylist(), strict=True)
    samples = [None if missing else str(value)[:SAMPLE_CHARACTERS] for value, missing in pairs]
    kind, nulls, problem = None, None, None
    try:
        column = described_column(place, table, options)
        kind, nulls = column["type"], column["nulls"]
    except DataError as error:
        problem = error.message
    return {"name": name, "type": kind, "nulls": nulls, "samples": samples, "problem": problem}
