"""Opens a Parquet file: what its footer declares is checked against limits before any value is decoded."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from service.native_types import check_schema, least_bytes
from service.parquet_pages import check_pages
from service.table import Batches, check_expansion, check_size
from workers.errors import DataError

BATCH_ROWS = 2**16
MAGIC, MAGIC_ENCRYPTED = b"PAR1", b"PARE"
LARGEST_FOOTER_BYTES = 2**26
MOST_ENTRIES = 10**6
"""In a list of the footer: columns, row groups, columns of a row group."""


def open_parquet(path: Path, limits: Mapping[str, int]) -> Batches:
    """The columns and rows; DataError `file_corrupt`, `file_encrypted`, `unsupported_column`, or over a limit."""
    _check_footer(path)
    try:
        file = pyarrow.parquet.ParquetFile(
            path,
            thrift_string_size_limit=LARGEST_FOOTER_BYTES,
            thrift_container_size_limit=MOST_ENTRIES,
            memory_map=False,
        )
        metadata, schema = file.metadata, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from None
    check_size(metadata.num_rows, metadata.num_columns, limits)
    check_schema(schema)
    groups = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    if min([metadata.num_rows, *groups]) < 0 or sum(groups) != metadata.num_rows:
        raise DataError(
            f"The file declares {metadata.num_rows} rows and row groups of {sum(groups)}: it is damaged.",
            code="file_corrupt",
        )
    check_expansion(metadata.num_rows * least_bytes(schema), path.stat().st_size, limits)
    return Batches(schema, metadata.num_rows, _batches(path, file))


def _batches(path: Path, file: Any) -> Iterator[Any]:  # noqa: ANN401 - a pyarrow.parquet.ParquetFile
    try:
        with file:
            yield from file.iter_batches(BATCH_ROWS, use_threads=False)
            with path.open("rb") as pages:
                check_pages(pages, file.metadata)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _damaged(error) from None


def _check_footer(path: Path) -> None:
    """The file ends with the length of its footer and the format's magic bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 8))
        end = file.read(8)
    if MAGIC_ENCRYPTED in {start, end[4:]}:
        raise _encrypted()
    if end[4:] != MAGIC or size < len(MAGIC) + 8:
        raise DataError("The Parquet file has no footer: it is cut off. Upload it again.", code="file_corrupt")
    footer = int.from_bytes(end[:4], "little")
    if footer > min(size - 12, LARGEST_FOOTER_BYTES):
        raise DataError(f"The Parquet file declares a footer of {footer} bytes: it is damaged.", code="file_corrupt")


def _damaged(error: Exception) -> DataError:
    reason = str(error).splitlines()[0].rstrip(".")[:300] if str(error) else type(error).__name__
    if "crypt" in reason:
        return _encrypted()
    return DataError(f"The Parquet file can't be read, it is damaged: {reason}.", code="file_corrupt")


def _encrypted() -> DataError:
    message = "The Parquet file is encrypted, and Gradsum takes no keys. Write it without encryption."
    return DataError(message, code="file_encrypted")
