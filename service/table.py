"""A file's values as Arrow columns, whatever format they come from, and what every format must keep to."""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from service.progress import Progress, Unit
from workers.errors import DataError

SHOWN_CHARACTERS = 40
MOST_EXPANSION = 200
"""Values may take so many times the bytes of their file, however many these are."""


class Extent(NamedTuple):
    """How much there is to read, and about how much of it the last reading has read so far."""

    of: int
    unit: Unit
    done: Callable[[], int]


class Source(NamedTuple):
    """The rows of a file, to be read from the beginning as often as asked; nothing of them is kept."""

    names: list[str]
    types: list[Any]  # pyarrow.DataType
    has_types: bool
    """The file itself says what is a number and what is text; a CSV file does not."""
    decimal: str
    first_row: int
    row_number: Callable[[int], int]
    """The number in the file of the row at a place among the data."""
    chunks: Callable[[frozenset[int]], Generator[list[Any]]]
    """The columns' next values, again and again. Of a CSV file those at the given places come as numbers, and
    pyarrow.ArrowInvalid where they are none."""
    rejected: Callable[[], int]
    """How many rows the last reading left out, for having another number of values."""
    extent: Extent
    rows_are_lines: Callable[[], bool] = lambda: True
    """Whether in the last reading each row was one after the other in the file, so that places tell numbers."""


class Table(NamedTuple):
    """The first rows of a file, or all of them."""

    source: Source
    columns: list[Any]  # pyarrow.Array
    rows: int


class Batches(NamedTuple):
    """A file with types, not read yet: its columns, its rows as it declares them, and the rows themselves."""

    schema: Any  # pyarrow.Schema
    rows: int
    batches: Iterator[Any]  # pyarrow.RecordBatch


def check_names(names: Sequence[str], advice: str) -> None:
    """DataError where a column has no name, or another one's."""
    if "" in names:
        raise DataError(f"Column {names.index('') + 1} has no name. {advice}", code="empty_column_name")
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise DataError(f"{times} columns are named '{shown(name)}'. {advice}", code="duplicate_column")


def check_size(rows: int, columns: int, limits: Mapping[str, int]) -> None:
    """DataError where there are more columns or rows than allowed."""
    if columns > limits.get("columns", columns):
        raise DataError(
            f"The file has {columns} columns, and {limits['columns']} are allowed. Keep those that matter.",
            code="too_many_columns",
        )
    if rows > limits.get("rows", rows):
        raise DataError(
            f"The file has {rows} rows, and {limits['rows']} are allowed. Keep a sample of them.", code="too_many_rows"
        )


def check_memory(n_bytes: int, limits: Mapping[str, int]) -> None:
    """DataError where reading takes more memory than allowed."""
    limit = limits.get("memory_bytes", n_bytes)
    if n_bytes > limit:
        raise DataError(
            f"Reading the file takes {n_bytes:,} bytes of memory or more, and {limit:,} are allowed "
            f"(GRADSUM_LIMIT_INGEST_MEMORY_BYTES). Keep the rows and columns that matter.",
            code="file_too_large",
        )


def check_expansion(n_bytes: int, file_bytes: int, limits: Mapping[str, int]) -> None:
    """DataError where a file's values are far more than the file, and more than memory may hold: it may be a bomb."""
    if n_bytes > MOST_EXPANSION * file_bytes:
        check_memory(n_bytes, limits)


def batches_source(open_again: Callable[[], Batches], limits: Mapping[str, int]) -> Source:
    """The rows of a file with types. Rows and bytes are counted, whatever the file declares."""
    opened = open_again()
    read = 0

    def chunks(_numbers: frozenset[int]) -> Generator[list[Any]]:
        nonlocal read
        read = 0
        for chunk in _checked(open_again(), limits):
            read += len(chunk[0])
            yield chunk

    schema = opened.schema
    return Source(
        list(schema.names), list(schema.types), has_types=True, decimal=".", first_row=1,
        row_number=lambda place: place + 1, chunks=chunks, rejected=lambda: 0,
        extent=Extent(opened.rows, "rows", lambda: read),
    )  # fmt: skip


def watched(source: Source, progress: Progress) -> Source:
    """The same rows; `progress` is told how far each reading of them is, when a chunk was worked on."""

    def chunks(numbers: frozenset[int]) -> Generator[list[Any]]:
        of, unit, done = source.extent
        progress.begin("reading", of, unit)
        with contextlib.closing(source.chunks(numbers)) as inner:
            for chunk in inner:
                yield chunk
                progress.at(min(done(), of))

    return source._replace(chunks=chunks)


def first_rows(source: Source, most_rows: int | None = None) -> Table:
    """The rows, or the first `most_rows` of them."""
    parts: list[list[Any]] = []
    rows = 0
    with contextlib.closing(source.chunks(frozenset())) as chunks:
        for chunk in chunks:
            parts.append(chunk)
            rows += len(chunk[0])
            if most_rows is not None and rows >= most_rows:
                break
    columns = [pa.concat_arrays(column) for column in zip(*parts, strict=True)]
    if most_rows is not None and rows > most_rows:
        columns, rows = [column.slice(0, most_rows) for column in columns], most_rows
    return Table(source, columns, rows)


def source_of(table: Table) -> Source:
    """The rows of a table that is read already."""
    rejected = table.source.rejected()
    return table.source._replace(chunks=lambda _numbers: (each for each in [table.columns]), rejected=lambda: rejected)


def _checked(batches: Batches, limits: Mapping[str, int]) -> Generator[list[Any]]:
    rows = 0
    for batch in batches.batches:
        _check_batch(batch)
        check_memory(batch.nbytes, limits)
        rows += batch.num_rows
        if rows > batches.rows:
            break
        if batch.num_rows:
            yield list(batch.columns)
    if rows != batches.rows:
        found = "more" if rows > batches.rows else rows
        raise DataError(f"The file declares {batches.rows} rows and holds {found}: it is damaged.", code="file_corrupt")
    if not rows:
        raise DataError("The file has no rows.", code="dataset_empty")


def shown(text: str) -> str:
    """The text, cut for a message."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _check_batch(batch: Any) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch
    """DataError where values point outside of their buffers, or text is not UTF-8: reading them would not be safe."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"Column '{shown(name)}' is damaged: {error}.", code="file_corrupt") from None
