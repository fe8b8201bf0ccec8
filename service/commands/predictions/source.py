"""Opens a file of rows to predict: CSV (also in gzip), Parquet, Arrow and NumPy in parts, JSON as a whole."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from service.commands.job_files import cannot_read, read_json_rows
from service.commands.predictions.csv_rows import BLOCK_BYTES, csv_row_number, open_csv_rows, read_csv_rows
from service.commands.predictions.learned import Feature
from service.commands.predictions.values import values_of_text, values_of_types
from service.commands.session import CommandError
from service.compressed import expand
from service.file_options import FileOptions
from service.table_columns import format_of, open_batches
from workers.counting import counted
from workers.errors import DataError

SHOWN_NAMES = 6
JSON_STARTS = (b"{", b"[")
START_BYTES = 2**16


class Part(NamedTuple):
    """Some rows, and how much of the file has been read with them."""

    rows: Sequence[Any]
    done: int


class Source(NamedTuple):
    """The rows of a file in parts, their values in the order of the features (JSON: as they are)."""

    parts: Iterator[Part]
    size: int
    row_number: Callable[[int], int]
    """The number in the file of the row at a place among the data."""


def open_source(path: Path, scratch: Path, features: Sequence[Feature], options: FileOptions) -> Source:
    """The rows of the file; one in gzip is expanded in `scratch`. DataError or CommandError says what is wrong."""
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        raise cannot_read(str(path), error) from None
    if start.lstrip().startswith(JSON_STARTS):
        rows = read_json_rows(str(path))
        return Source(iter([Part(rows, len(rows))]), len(rows), _counted_from_one)
    found = format_of(path, FileOptions())
    if found.name != "csv":
        return _open_typed(path, features)
    if found.is_gzip:
        expand(path, scratch / "expanded.csv", {})
        path = scratch / "expanded.csv"
    return _open_csv(path, features, options)


def _open_csv(path: Path, features: Sequence[Feature], options: FileOptions) -> Source:
    rows = open_csv_rows(path, options)
    places = _places(rows.names, features)
    decimal, size = rows.dialect.decimal, path.stat().st_size

    def parts() -> Iterator[Part]:
        with pa.OSFile(str(path)) as file:
            for number, batch in enumerate(read_csv_rows(rows, file, places), 1):
                columns = zip(features, batch.columns, strict=True)
                done = min(number * BLOCK_BYTES, size)  # where the file is read is some blocks ahead
                yield Part(_rows([values_of_text(feature, column, decimal) for feature, column in columns]), done)

    return Source(parts(), size, lambda place: csv_row_number(rows, place))


def _open_typed(path: Path, features: Sequence[Feature]) -> Source:
    opened = open_batches(path, format_of(path, FileOptions()), FileOptions(), {})
    places = _places(opened.schema.names, features)

    def parts() -> Iterator[Part]:
        done = 0
        for batch in opened.batches:
            done += batch.num_rows
            columns = zip(features, (batch.columns[place] for place in places), strict=True)
            yield Part(
                _rows([values_of_types(feature, _checked(feature, column)) for feature, column in columns]), done
            )

    return Source(parts(), opened.rows, _counted_from_one)


def _counted_from_one(place: int) -> int:
    return place + 1


def _rows(columns: list[list[Any]]) -> Sequence[Any]:
    return list(zip(*columns, strict=True))


def _checked(feature: Feature, column: Any) -> Any:  # noqa: ANN401 - pyarrow arrays
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(f"Column '{feature.name}' is damaged: {error}.", code="file_corrupt") from None
    return column


def _places(names: Sequence[str], features: Sequence[Feature]) -> list[int]:
    """Where the features stand among the file's columns; CommandError names the one that is not there, or twice."""
    wanted = [feature.name for feature in features]
    found, times = {name: place for place, name in enumerate(names)}, Counter(names)
    for name in wanted:
        if name not in found:
            listed = ", ".join(wanted if len(wanted) <= SHOWN_NAMES else [*wanted[:3], "…", wanted[-1]])
            takes = f"The model takes {counted(len(wanted), 'column')}: {listed}."
            raise CommandError(f"The file has no column '{name}'. {takes}")
        if times[name] > 1:
            raise CommandError(f"The file has more than one column '{name}'. Name each only once.")
    return [found[name] for name in wanted]
