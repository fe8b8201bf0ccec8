"""Whether files of columns and of matrices hold what was written: hashed before use, looked at after each epoch.

Files are hashed in blocks, so that a process reads no more than the rows that it uses.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from workers.errors import DataError

BLOCK_BYTES = 2**24
"""What is hashed at once; changing it changes what matrix.json holds."""

Seen = Mapping[str, tuple[int, int, int]]
"""Inode, size and time of change of each file."""


def fingerprint(path: Path) -> dict[str, Any]:
    """The length of a file, and the SHA-256 of all of it and of each of its blocks."""
    whole, blocks = hashlib.sha256(), []
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            whole.update(block)
            blocks.append(hashlib.sha256(block).hexdigest())
    return {"sha256": whole.hexdigest(), "bytes": path.stat().st_size, "blocks": blocks}


def block_hashes(path: Path) -> dict[str, Any]:
    """The length of a file, and the SHA-256 of each of its blocks."""
    with path.open("rb") as file:
        blocks = [hashlib.sha256(block).hexdigest() for block in iter(lambda: file.read(BLOCK_BYTES), b"")]
    return {"bytes": path.stat().st_size, "blocks": blocks}


def look(directory: Path) -> Seen:
    """How the files of a matrix stand now, before anything of them is read."""
    paths = [directory / "matrix.json", *(_path(directory, name) for name in _recorded(directory))]
    return {str(path): _state(path) for path in paths}


def check_unchanged(seen: Seen) -> None:
    """DataError `data_changed` where a file is another one than it was, or was written to."""
    for path, state in seen.items():
        if _state(path) != state:
            raise changed(path)


def check_heads(directory: Path) -> None:
    """DataError `data_changed` where a file is of another length, or does not begin as it was written."""
    for name, recorded in _recorded(directory).items():
        if _state(_path(directory, name))[1] != recorded["bytes"]:
            raise changed(_path(directory, name))
        _check_blocks(_path(directory, name), recorded["blocks"], range(1))


def check_all(directory: Path) -> None:
    """DataError `data_changed` where any byte of a matrix is not as it was written."""
    check_heads(directory)
    for name, recorded in _recorded(directory).items():
        _check_blocks(_path(directory, name), recorded["blocks"], range(1, len(recorded["blocks"])))


def check_rows(directory: Path, arrays: Mapping[str, npt.NDArray[Any]], ranges: Iterable[tuple[int, int]]) -> None:
    """DataError `data_changed` where the bytes of these rows are not those that were written.

    The first block of each file is `check_heads`' business: small files are hashed only once.
    """
    ranges = list(ranges)
    for name, recorded in _recorded(directory).items():
        row_bytes, data = arrays[name].strides[0], recorded["bytes"] - arrays[name].nbytes
        blocks = {
            block
            for first, last in ranges
            if first < last
            for block in _blocks_of(data + first * row_bytes, data + last * row_bytes)
        }
        _check_blocks(_path(directory, name), recorded["blocks"], sorted(blocks - {0}))


def changed(path: Path | str) -> DataError:
    """The error that names the file."""
    return DataError(
        f"The file {Path(path).name} of the training matrix is not as it was written: something changed it since. "
        f"Nothing was trained on it. Submit the job again: the matrix is then built anew from the dataset.",
        code="data_changed",
    )


def _blocks_of(first: int, last: int) -> range:
    return range(first // BLOCK_BYTES, (last - 1) // BLOCK_BYTES + 1)


def _check_blocks(path: Path, digests: list[str], blocks: Iterable[int]) -> None:
    try:
        with path.open("rb") as file:
            for block in blocks:
                file.seek(block * BLOCK_BYTES)
                if hashlib.sha256(file.read(BLOCK_BYTES)).hexdigest() != digests[block]:
                    raise changed(path)
    except OSError:
        raise changed(path) from None


def _recorded(directory: Path) -> dict[str, dict[str, Any]]:
    try:
        meta = json.loads((directory / "matrix.json").read_bytes())
        arrays: dict[str, dict[str, Any]] = meta["arrays"]
    except (OSError, ValueError, LookupError):
        raise changed(directory / "matrix.json") from None
    return arrays


def _path(directory: Path, name: str) -> Path:
    return directory / f"{name}.npy"


def _state(path: Path | str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as quick as Path.stat, and asked for in each epoch
    except OSError:
        raise changed(path) from None
    return found.st_ino, found.st_size, found.st_mtime_ns
