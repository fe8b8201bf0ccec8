"""The files of a dataset's columns while they grow: written in large pieces, whatever the number of columns."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PENDING_BYTES = 2**25
"""So much waits in memory for all columns together: a file for each may be more than a process can have open."""
REMAPPED_AT_ONCE = 2**22


class ColumnFiles:
    """Arrays of one dimension, each in a `.npy` file of `directory` that can be loaded once `close` was called."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[str, list[Array]] = {}
        self._pending_bytes = 0
        self._lengths: dict[str, int] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def append(self, name: str, array: Array) -> None:
        """Add values to the file `name`; the first ones say of which type they all are."""
        self._dtypes.setdefault(name, array.dtype)
        self._lengths[name] = self._lengths.get(name, 0) + len(array)
        self._pending.setdefault(name, []).append(array)
        self._pending_bytes += array.nbytes
        if self._pending_bytes > PENDING_BYTES:
            self._flush()

    def remap(self, name: str, to: Array) -> None:
        """Put `to[code]` for every code of the file; that of -1 is the last of `to`."""
        codes = self.mapped(name)
        for start in range(0, len(codes), REMAPPED_AT_ONCE):
            codes[start : start + REMAPPED_AT_ONCE] = to[codes[start : start + REMAPPED_AT_ONCE]]

    def mapped(self, name: str) -> Array:
        """What the file holds so far, to be read and changed in place."""
        self._flush()
        with self._path(name).open("r+b") as file:
            return np.memmap(file, self._dtypes[name], "r+", self._write_header(file, name), (self._lengths[name],))

    def clear(self) -> None:
        """Begin again."""
        self._pending.clear()
        for name in self._lengths:
            self._path(name).unlink(missing_ok=True)
        self._lengths.clear()
        self._dtypes.clear()
        self._pending_bytes = 0

    def close(self) -> None:
        """Write what waits, and into each file how long it is."""
        self._flush()
        for name in self._lengths:
            with self._path(name).open("r+b") as file:
                self._write_header(file, name)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.npy"

    def _flush(self) -> None:
        for name, arrays in self._pending.items():
            with self._path(name).open("ab") as file:
                if file.tell() == 0:
                    self._write_header(file, name)
                for array in arrays:
                    file.write(np.ascontiguousarray(array).data)
        self._pending.clear()
        self._pending_bytes = 0

    def _write_header(self, file: BinaryIO, name: str) -> int:
        """The bytes that it takes: as many for any length, because numpy leaves room for an array to grow."""
        described = {"descr": self._dtypes[name].str, "fortran_order": False, "shape": (self._lengths[name],)}
        np.lib.format.write_array_header_1_0(file, described)
        return file.tell()
