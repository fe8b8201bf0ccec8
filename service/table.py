"""A file's values as Arrow columns, whatever format they come from, and what every format must keep to."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from workers.errors import DataError

SHOWN_CHARACTERS = 40


class Table(NamedTuple):
    """The values of a file, and the number of the first row that holds some."""

    names: list[str]
    columns: list[Any]  # pyarrow.ChunkedArray; None once it is not needed any more
    rows: int
    first_row: int
    rejected_rows: int
    has_types: bool
    """The file itself says what is a number and what is text; a CSV file does not."""
    row_number: Callable[[int], int]
    """The number in the file of the row at a place among the data."""


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


def read_batches(source: Batches, limits: Mapping[str, int], most_rows: int | None = None) -> Table:
    """The rows of all batches, or the first `most_rows`. Rows and bytes are counted, whatever the file declares."""
    names = list(source.schema.names)
    chunks: list[list[Any]] = [[] for _ in names]
    rows = n_bytes = 0
    for batch in source.batches:
        _check_batch(batch)
        rows, n_bytes = rows + batch.num_rows, n_bytes + batch.nbytes
        check_memory(n_bytes, limits)
        if rows > source.rows:
            break
        for place, column in enumerate(batch.columns):
            chunks[place].append(column)
        if most_rows is not None and rows >= most_rows:
            break
    if rows > source.rows or (most_rows is None and rows < source.rows):
        message = (
            f"The file declares {source.rows} rows and holds {'more' if rows > source.rows else rows}: it is damaged."
        )
        raise DataError(message, code="file_corrupt")
    if not rows:
        raise DataError("The file has no rows.", code="dataset_empty")
    columns = [pa.chunked_array(found, kind) for found, kind in zip(chunks, source.schema.types, strict=True)]
    if most_rows is not None and rows > most_rows:
        columns, rows = [column.slice(0, most_rows) for column in columns], most_rows
    return Table(names, columns, rows, 1, 0, has_types=True, row_number=lambda place: place + 1)


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
