"""Opens an Arrow IPC file, which is what Feather is since version 2."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from service.native_types import check_schema, least_bytes
from service.table import Batches, check_expansion, check_memory, check_size
from workers.errors import DataError


def open_arrow(path: Path, limits: Mapping[str, int]) -> Batches:
    """The file's columns and rows; DataError `file_corrupt`, `unsupported_column`, or over a limit."""
    try:
        file = pyarrow.ipc.open_file(pa.OSFile(str(path)), options=pyarrow.ipc.IpcReadOptions(use_threads=False))
        schema = file.schema
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from None
    check_size(0, len(schema), limits)
    check_schema(schema)
    rows = sum(batch.num_rows for batch in _batches(file, limits))  # the file does not declare them
    check_size(rows, len(schema), limits)
    check_expansion(rows * least_bytes(schema), path.stat().st_size, limits)
    return Batches(schema, rows, _batches(file, limits))


def _batches(file: Any, limits: Mapping[str, int]) -> Iterator[Any]:  # noqa: ANN401 - a pyarrow.ipc.RecordBatchFileReader
    try:
        for place in range(file.num_record_batches):
            batch = file.get_batch(place)
            check_memory(batch.nbytes, limits)
            yield batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError, OSError) as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> DataError:
    reason = str(error).splitlines()[0].rstrip(".")[:300] if str(error) else type(error).__name__
    return DataError(f"The Arrow file can't be read, it is damaged: {reason}.", code="file_corrupt")
