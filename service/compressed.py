"""Files in gzip, expanded within limits: a small file that expands to a huge one is refused, not written."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from service.progress import SILENT, Progress
from service.table import MOST_EXPANSION
from workers.errors import DataError

BLOCK_BYTES = 2**20
FREE_EXPANSION_BYTES = 2**26
"""A file may expand to this size whatever its own; above, to MOST_EXPANSION times its own."""


def expansion_limit(compressed_bytes: int, limits: Mapping[str, int]) -> int:
    """The bytes that a file of this size may expand to."""
    limit = max(FREE_EXPANSION_BYTES, MOST_EXPANSION * compressed_bytes)
    return min(limit, limits.get("bytes", limit))


def expanded_head(path: Path, n_bytes: int) -> bytes:
    """The first `n_bytes` of what a gzip file holds, or as many as there are; DataError `file_corrupt`."""
    with path.open("rb") as file:
        return b"".join(_expanded(file, n_bytes))[:n_bytes]


def expand(path: Path, destination: Path, limits: Mapping[str, int], progress: Progress = SILENT) -> None:
    """Write what a gzip file holds; DataError `archive_too_large` or `file_corrupt`."""
    size = path.stat().st_size
    limit = expansion_limit(size, limits)
    n_bytes = 0
    progress.begin("expanding", size)
    with path.open("rb") as file, destination.open("xb") as expanded:
        for block in _expanded(file, limit + 1):
            n_bytes += len(block)
            if n_bytes > limit:
                raise DataError(
                    f"The gzip file of {size:,} bytes expands to more than {limit:,} bytes, which is the limit for it. "
                    f"Upload it expanded, or as Parquet.",
                    code="archive_too_large",
                )
            expanded.write(block)
            progress.at(file.tell())


def _expanded(file: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    n_bytes = 0
    try:
        with gzip.GzipFile(fileobj=file) as expanding:
            while n_bytes < most_bytes and (block := expanding.read1(BLOCK_BYTES)):
                n_bytes += len(block)
                yield block
    except EOFError:
        raise DataError("The gzip file is cut off. Upload it again.", code="file_corrupt") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"The gzip file is damaged ({error}). Upload it again.", code="file_corrupt") from None
