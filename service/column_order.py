"""Rows of an array that lies in Fortran order, column after column: mapped from its file, never read as a whole."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.errors import DataError

MOST_COMPRESSED_BYTES = 2**28
LOCAL_HEADER_BYTES = 30


def mapped_blocks(
    path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, int], block_rows: int
) -> Iterator[npt.NDArray[Any]]:
    """The rows of the array that begins at `offset`, `block_rows` at a time; ValueError where the file ends before it.

    What is mapped counts as the system's memory, which takes it back when it needs it.
    """
    if not shape[0]:
        return
    whole = np.memmap(path, dtype, "r", offset, shape, order="F")
    for start in range(0, shape[0], block_rows):
        yield whole[start : start + block_rows]


def stored_at(path: Path, member: zipfile.ZipInfo) -> int | None:
    """Where in the archive a member lies; None where it is compressed."""
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(LOCAL_HEADER_BYTES)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return member.header_offset + LOCAL_HEADER_BYTES + lengths


def check_compressed(name: str, n_bytes: int) -> None:
    """DataError where a compressed array, which can only be read as a whole, is too large for that."""
    if n_bytes > MOST_COMPRESSED_BYTES:
        raise DataError(
            f"The array {name} of {n_bytes:,} bytes is compressed and in Fortran order (column after column): so it "
            f"has to be read as a whole, and {MOST_COMPRESSED_BYTES:,} bytes are the limit for that. Write it with "
            f"numpy.savez, which does not compress, or write numpy.ascontiguousarray({name}).",
            code="file_too_large",
        )
