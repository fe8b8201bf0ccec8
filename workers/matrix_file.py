"""A file of the matrix while it is written: room for all of its rows, which come part by part."""

import math
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .files import write_all

Array = npt.NDArray[Any]


class PartsFile:
    """A `.npy` array whose rows are those of the parts, one part after the other, each in the order they come in."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, sizes: Sequence[int], row_shape: tuple[int, ...] = ()) -> None:
        """OSError ENOSPC where there is no room for the rows."""
        self._path, self._dtype = path, np.dtype(dtype)
        row_bytes, n_rows = self._dtype.itemsize * math.prod(row_shape), sum(sizes)
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": (n_rows, *row_shape)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, described)
            first = file.tell()
            if hasattr(os, "posix_fallocate") and n_rows:
                file.flush()
                os.posix_fallocate(file.fileno(), first, row_bytes * n_rows)
        self._places = [first + row_bytes * before for before in accumulate(sizes[:-1], initial=0)]

    def write(self, rows: Array, ends: Sequence[int]) -> None:
        """Add rows to the parts: those before the first end to the first one, those before the next end to the next."""
        data = np.ascontiguousarray(rows, self._dtype)
        with self._path.open("r+b", buffering=0) as file:
            for part, (first, last) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
                piece = data[first:last].reshape(-1).view(np.uint8).data
                file.seek(self._places[part])
                write_all(file, piece)
                self._places[part] += len(piece)
