"""From a file to its typed columns: which reader opens it, and which of its rows can be used."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from service.arrow_file import open_arrow
from service.column_types import BadValuesError, Reading, TypedColumn, typed_column
from service.compressed import expanded_head
from service.file_format import START_BYTES, FileFormat, file_format
from service.file_options import FileOptions
from service.numpy_file import open_numpy
from service.parquet_file import open_parquet
from service.parquet_folder import folder_format, open_parquet_folder
from service.table import Batches, Table
from workers.errors import DataError


def format_of(path: Path, options: FileOptions) -> FileFormat:
    """What the file is; DataError where it can't be read or is not what the options declare."""
    if path.is_dir():
        return folder_format(path, options)
    with path.open("rb") as file:
        found = file_format(file.read(START_BYTES), options)
    if found.is_gzip:
        return file_format(expanded_head(path, START_BYTES), options, inside_gzip=True)
    return found


def open_batches(path: Path, found: FileFormat, options: FileOptions, limits: Mapping[str, int]) -> Batches:
    """A file that is no CSV, opened and not read yet."""
    if path.is_dir():
        return open_parquet_folder(path, limits)
    if found.name == "parquet":
        return open_parquet(path, limits)
    return open_arrow(path, limits) if found.name == "arrow" else open_numpy(path, options, limits)


def reading_of(table: Table, decimal: str, options: FileOptions) -> Reading:
    """How the columns of this table are to be read."""
    return Reading(options, decimal, table.row_number, table.has_types)


def check_declared(names: list[str], options: FileOptions) -> None:
    """DataError where the options declare a column that is not there."""
    for name in options.types:
        if name not in names:
            raise DataError(
                f"options.types names column '{name}', which the file does not have.",
                code="column_not_found",
                field="options.types",
            )


def typed_columns(table: Table, decimal: str, options: FileOptions) -> tuple[Table, list[TypedColumn]]:
    """The columns; and the table as it is without the rows that could not be used, where these are to be skipped."""
    check_declared(table.names, options)
    if options.skips_bad_rows:
        table = _without_bad_rows(table, decimal, options)
    reading, typed = reading_of(table, decimal, options), []
    for place, name in enumerate(table.names):
        typed.append(typed_column(name, table.columns[place], reading))
        table.columns[place] = None  # its text is not needed any more
    return table, typed


def _without_bad_rows(table: Table, decimal: str, options: FileOptions) -> Table:
    """What is left when no column finds fault with a row any more: one may hide another's fault, so it takes turns."""
    reading = reading_of(table, decimal, options)
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
