"""From a file to its rows: which reader opens it, and how its columns are to be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.arrow_file import open_arrow
from service.column_types import Reading, Survey
from service.compressed import expanded_head
from service.csv_file import csv_source, open_csv
from service.file_format import START_BYTES, FileFormat, file_format
from service.file_options import FileOptions
from service.growing import growing_column
from service.numpy_file import open_numpy
from service.parquet_file import open_parquet
from service.parquet_folder import folder_format, open_parquet_folder
from service.progress import SILENT, Progress
from service.table import Batches, Source, Table, batches_source
from service.text_memory import TextMemory
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


def open_source(
    path: Path, found: FileFormat, options: FileOptions, limits: Mapping[str, int], progress: Progress = SILENT
) -> Source:
    """The rows of a file of any format; of CSV in gzip, `path` is what it expands to."""
    if found.name == "csv":
        return csv_source(open_csv(path, options), options.missing_markers, limits, progress)
    return batches_source(lambda: open_batches(path, found, options, limits), limits)


def reading_of(source: Source, options: FileOptions) -> Reading:
    """How the columns are to be read."""
    return Reading(options, source.decimal, source.row_number, source.has_types)


def check_declared(names: list[str], options: FileOptions) -> None:
    """DataError where the options declare a column that is not there."""
    for name in options.types:
        if name not in names:
            raise DataError(
                f"options.types names column '{name}', which the file does not have.",
                code="column_not_found",
                field="options.types",
            )


def surveys(source: Source, reading: Reading, *, keeps_places: bool = False) -> list[Survey]:
    """One for each column, of nothing yet."""
    pairs = zip(source.names, source.types, strict=True)
    return [Survey(name, arrow_type, reading, keeps_places=keeps_places) for name, arrow_type in pairs]


def described_column(place: int, table: Table, options: FileOptions) -> dict[str, Any]:
    """The metadata of one column of a table; BadValuesError where it does not fit."""
    reading = reading_of(table.source, options)
    name, values = table.source.names[place], table.columns[place]
    survey = Survey(name, table.source.types[place], reading)
    survey.add(values, 0)
    column = growing_column(name, place, reading, None, survey.kind(), TextMemory())
    column.add(values)
    return column.finish()
