"""Makes datasets of files: reads one once and keeps a typed file per column, as `workers.dataset` reads them."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from service.arrow_file import open_arrow
from service.column_types import BadValuesError, Reading, TypedColumn, typed_column
from service.compressed import expand, expanded_head
from service.csv_file import open_csv, read_csv
from service.file_format import START_BYTES, FileFormat, file_format
from service.file_options import FileOptions, parse_options
from service.look import look_at
from service.numpy_file import open_numpy
from service.parquet_file import open_parquet
from service.table import Batches, Table, read_batches
from workers.errors import DataError
from workers.files import publish_directory

VERSION = 1
"""Raised when the same file and options would give another dataset, so that prepared ones are not mistaken for it."""
HEAD_BYTES = 2**20
HEAD_ROWS = 10_000
SAMPLES = 5
SAMPLE_CHARACTERS = 40
EXPANDED = "expanded.csv"


class _Head(NamedTuple):
    """The beginning of a file: its rows, and whether they are all."""

    table: Table
    decimal: str
    delimiter: str | None
    is_whole: bool


def check_options(options: dict[str, Any]) -> None:
    """DataError `invalid_options` where an option is unknown, wrong or not supported; each is named `options.x`."""
    parse_options(options)


def content_key(sha256: str, options: dict[str, Any]) -> str:
    """The hex SHA-256 that names the dataset of a file with this SHA-256, read with these options."""
    canonical = json.dumps([VERSION, parse_options(options).model_dump()], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(sha256.encode() + canonical.encode()).hexdigest()


def check_head(path: Path, options: dict[str, Any], limits: Mapping[str, int], limit_bytes: int = HEAD_BYTES) -> None:
    """DataError where the beginning of a file shows already that it can't be a dataset.

    Of a larger file only what can't be otherwise in the whole is refused: the types of a CSV file's columns follow from
    all of their values, unless they are declared. Binary formats are opened by a process of their own.
    """
    parsed = parse_options(options)
    found = _format_of(path, parsed)
    if found.name != "csv":
        look_at(path, options, limits)
        return
    with _csv_head(path, found, parsed, limits, limit_bytes) as head:
        if head is not None:
            _check_head_columns(head, parsed)


def preview(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """What would be understood of the file, from its beginning; DataError as `check_head`."""
    found = _format_of(path, parse_options(options))
    return preview_of(path, options, limits) if found.name == "csv" else look_at(path, options, limits)


def preview_of(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """The same, in this process."""
    parsed = parse_options(options)
    found = _format_of(path, parsed)
    if found.name != "csv":
        source = _batches(path, found, parsed, limits)
        table = read_batches(source, limits, HEAD_ROWS)
        return _described(_Head(table, ".", None, is_whole=table.rows == source.rows), found, parsed)
    with _csv_head(path, found, parsed, limits, HEAD_BYTES) as head:
        if head is None:
            raise DataError("The first megabyte has no whole row to look at.", code="nothing_to_preview")
        return _described(head, found, parsed)


def ingest_file(path: Path, options: dict[str, Any], destination: Path, limits: Mapping[str, int]) -> dict[str, Any]:
    """Makes the dataset in `destination`, whole or not at all, unless it is there: {rows, rejected_rows, columns}.

    `limits` holds the largest numbers of `columns`, `rows`, `bytes` (once expanded) and `memory_bytes`. DataError names
    what is wrong with the file, with row and column.
    """
    parsed = parse_options(options)
    if not (destination / "columns.json").exists():
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _directory_beside(destination) as temporary:
            table, decimal = _read(path, parsed, limits, temporary)
            table, typed = _typed_columns(table, decimal, parsed)
            (temporary / EXPANDED).unlink(missing_ok=True)
            _write(temporary, table, typed)
            publish_directory(temporary, destination)
    saved = json.loads((destination / "columns.json").read_bytes())
    return {"rows": saved["rows"], "rejected_rows": saved.get("rejected_rows", 0), "columns": saved["columns"]}


@contextmanager
def _directory_beside(destination: Path) -> Iterator[Path]:
    temporary = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(path: Path, options: FileOptions, limits: Mapping[str, int], temporary: Path) -> tuple[Table, str]:
    """The whole file's values, and their decimal mark; what is expanded on the way lies in `temporary` meanwhile."""
    found = _format_of(path, options)
    if found.name != "csv":
        return read_batches(_batches(path, found, options, limits), limits), "."
    if not found.is_gzip:
        file = open_csv(path, options)
        return read_csv(file, limits), file.decimal
    expand(path, temporary / EXPANDED, limits)
    file = open_csv(temporary / EXPANDED, options)
    return read_csv(file, limits), file.decimal


def _format_of(path: Path, options: FileOptions) -> FileFormat:
    with path.open("rb") as file:
        found = file_format(file.read(START_BYTES), options)
    if found.is_gzip:
        return file_format(expanded_head(path, START_BYTES), options, inside_gzip=True)
    return found


def _batches(path: Path, found: FileFormat, options: FileOptions, limits: Mapping[str, int]) -> Batches:
    if found.name == "parquet":
        return open_parquet(path, limits)
    return open_arrow(path, limits) if found.name == "arrow" else open_numpy(path, options, limits)


@contextmanager
def _csv_head(
    path: Path, found: FileFormat, options: FileOptions, limits: Mapping[str, int], limit_bytes: int
) -> Iterator[_Head | None]:
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


def _head_of(path: Path, options: FileOptions, limits: Mapping[str, int], *, is_whole: bool) -> _Head:
    file = open_csv(path, options)
    return _Head(read_csv(file, limits), file.decimal, file.delimiter, is_whole)


def _first_bytes(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _described(head: _Head, found: FileFormat, options: FileOptions) -> dict[str, Any]:
    _check_head_columns(head, options)
    is_csv = found.name == "csv"
    return {
        "object": "dataset_preview",
        "format": found.name,
        "gzip": found.is_gzip,
        "delimiter": head.delimiter,
        "decimal": head.decimal if is_csv else None,
        "header": options.header if is_csv else None,
        "rows_looked_at": head.table.rows,
        "whole_file": head.is_whole,
        "columns": [_previewed(place, head, options) for place in range(len(head.table.names))],
    }


def _check_head_columns(head: _Head, options: FileOptions) -> None:
    """DataError where the columns can't be read, whatever comes behind the head."""
    if head.is_whole:
        _typed_columns(head.table._replace(columns=list(head.table.columns)), head.decimal, options)
        return
    _check_declared(head.table.names, options)
    if options.skips_bad_rows:
        return
    table, reading = head.table, _reading(head.table, head.decimal, options)
    for name, values in zip(table.names, table.columns, strict=True):
        if table.has_types or name in options.types:
            typed_column(name, values, reading)


def _previewed(place: int, head: _Head, options: FileOptions) -> dict[str, Any]:
    """A column as its head shows it; `problem` says what would stand in the way were it the whole column."""
    name, values = head.table.names[place], head.table.columns[place]
    samples = [None if value is None else str(value)[:SAMPLE_CHARACTERS] for value in values[:SAMPLES].to_pylist()]
    kind, nulls, problem = None, None, None
    try:
        column = typed_column(name, values, _reading(head.table, head.decimal, options)).metadata
        kind, nulls = column["type"], column["nulls"]
    except DataError as error:
        problem = error.message
    return {"name": name, "type": kind, "nulls": nulls, "samples": samples, "problem": problem}


def _reading(table: Table, decimal: str, options: FileOptions) -> Reading:
    return Reading(options, decimal, table.row_number, table.has_types)


def _check_declared(names: list[str], options: FileOptions) -> None:
    for name in options.types:
        if name not in names:
            raise DataError(
                f"options.types names column '{name}', which the file does not have.",
                code="column_not_found",
                field="options.types",
            )


def _typed_columns(table: Table, decimal: str, options: FileOptions) -> tuple[Table, list[TypedColumn]]:
    """The columns; and the table as it is without the rows that could not be used, where these are to be skipped."""
    _check_declared(table.names, options)
    if options.skips_bad_rows:
        table = _without_bad_rows(table, decimal, options)
    reading, typed = _reading(table, decimal, options), []
    for place, name in enumerate(table.names):
        typed.append(typed_column(name, table.columns[place], reading))
        table.columns[place] = None  # its text is not needed any more
    return table, typed


def _without_bad_rows(table: Table, decimal: str, options: FileOptions) -> Table:
    """What is left when no column finds fault with a row any more: one may hide another's fault, so it takes turns."""
    reading = _reading(table, decimal, options)
    is_good = np.ones(table.rows, bool)
    for name, values in zip(table.names, table.columns, strict=True):
        try:
            typed_column(name, values, reading)
        except BadValuesError as error:
            is_good[error.places] = False
    rows = int(np.count_nonzero(is_good))
    if not rows:
        message = f"None of the {table.rows} rows can be used: each has a value that does not fit its column."
        raise DataError(message, code="dataset_empty")
    if rows == table.rows:
        return table
    kept = pa.array(is_good)
    columns = [column.filter(kept) for column in table.columns]
    left = table._replace(columns=columns, rows=rows, rejected_rows=table.rejected_rows + table.rows - rows)
    return _without_bad_rows(left, decimal, options)


def _write(directory: Path, table: Table, typed: list[TypedColumn]) -> None:
    for place, column in enumerate(typed):
        for suffix, array in column.arrays.items():
            np.save(directory / f"{place:06d}{suffix}.npy", array, allow_pickle=False)
    described = {
        "rows": table.rows,
        "rejected_rows": table.rejected_rows,
        "first_row": table.first_row,
        "columns": [column.metadata for column in typed],
    }
    text = json.dumps(described, ensure_ascii=False, allow_nan=False)
    (directory / "columns.json").write_text(text, encoding="utf-8")
