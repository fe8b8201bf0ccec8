"""Arrays and texts that stay on disk: a block of them is read when it is asked for, and nothing else is kept.

By plain reads: the pages of a mapped file would count as this process's own memory for as long as they are mapped.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from workers.errors import DataError
from workers.files import write_all

Array = npt.NDArray[Any]
BLOCK_ROWS = 2**16
"""How many rows are read at once: nothing but time and memory follows from it."""
MOST_TEXT_BYTES = 2**23
"""About so much of texts is read at once, or one of them."""
MOST_GAP_BYTES = 2**14


class Values(Protocol):
    """What arrays in memory and on disk have in common, as far as blocks of rows want it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of each value."""

    def __len__(self) -> int:
        """How many values there are."""

    def __getitem__(self, rows: slice, /) -> Array:
        """The values of a range of rows, in memory."""


class StoredArray:
    """The one-dimensional array of a `.npy` file.

    DataError `data_changed` where the file can't be read, is shorter than it says, or was written to since this was
    made.
    """

    def __init__(self, path: Path, field: str = "dataset") -> None:
        """`field` is where errors say that the array comes from."""
        self._path, self._field = path, field
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                (self._length,), _, self.dtype = np.lib.format.read_array_header_1_0(file)
                self._data, self._state = file.tell(), _state(file.fileno())
        except (OSError, ValueError):
            raise changed(path.name, field) from None

    def __len__(self) -> int:
        """How many values there are."""
        return self._length

    def __getitem__(self, rows: slice) -> Array:
        """The values of a range of rows, in memory."""
        values = np.empty(len(range(len(self))[rows]), self.dtype)
        first = rows.indices(len(self))[0]
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except OSError:
            raise changed(self._path.name, self._field) from None
        try:
            is_same = self._state == _state(descriptor)
            read = os.preadv(descriptor, [values.view(np.uint8).data], self._data + first * self.dtype.itemsize)
        finally:
            os.close(descriptor)
        if not is_same or read != values.nbytes:
            raise changed(self._path.name, self._field)
        return values


class ScratchArray:
    """An array that grows at its end, in a file that goes with the directory it is in."""

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._path, self._length = path, 0
        path.write_bytes(b"")

    def append(self, values: Array) -> None:
        """Add values of the array's own type at its end; OSError where there is no room for them."""
        with self._path.open("ab", buffering=0) as file:
            write_all(file, np.ascontiguousarray(values, self.dtype).view(np.uint8).data)
        self._length += len(values)

    def __len__(self) -> int:
        """How many values there are."""
        return self._length

    def __getitem__(self, rows: slice) -> Array:
        """The values of a range of rows, in memory; OSError where the file is shorter than what was written to it."""
        first, last, _ = rows.indices(self._length)
        wanted = max(0, last - first)
        os.utime(self._path)  # it is in use: whoever removes what killed processes left behind leaves it
        values = np.fromfile(self._path, self.dtype, wanted, offset=first * self.dtype.itemsize)
        if len(values) < wanted:
            raise OSError(errno.EIO, "Something cut this file while it was in use. Try again.", self._path.name)
        return values


class StoredTexts:
    """A list of texts of which only those asked for are read: their UTF-8, and where each of them begins and ends."""

    def __init__(self, data: StoredArray, offsets: StoredArray) -> None:
        self._data, self._offsets = data, offsets

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._offsets) - 1

    @property
    def n_bytes(self) -> int:
        """The length of all texts together."""
        return len(self._data)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        """The text at a place, or those of a range of places."""
        if isinstance(place, slice):
            return tuple(self.take(np.arange(len(self))[place]))
        return self.take(np.array([place]))[0]

    def take(self, codes: Array) -> list[str]:
        """The texts at these places, none of which is negative."""
        return [data.decode() for data in self.take_bytes(codes)]

    def take_bytes(self, codes: Array) -> list[bytes]:
        """The same in UTF-8. What stands between two of them is read with them where it is little."""
        distinct, places = np.unique(codes, return_inverse=True)
        texts: list[bytes] = []
        for starts, stops in self._bounds(distinct):
            is_far = starts[1:] - stops[:-1] > MOST_GAP_BYTES
            is_much = np.diff(stops // MOST_TEXT_BYTES) > 0
            cuts = [0, *(np.flatnonzero(is_far | is_much) + 1).tolist(), len(starts)]
            for run in map(slice, cuts, cuts[1:]):
                texts += self._between(starts[run], stops[run])
        return [texts[place] for place in places.tolist()]

    def lengths(self, codes: Array) -> Array:
        """How many bytes each of these texts has in UTF-8."""
        distinct, places = np.unique(codes, return_inverse=True)
        lengths = [stops - starts for starts, stops in self._bounds(distinct)]
        return np.concatenate([np.empty(0, np.int64), *lengths])[places]

    def _bounds(self, distinct: Array) -> Iterator[tuple[Array, Array]]:
        """Where the texts begin and end, for some of them after the other; none of those is far from the next one."""
        is_far = np.diff(distinct) > MOST_GAP_BYTES // self._offsets.dtype.itemsize
        is_much = np.diff(distinct // BLOCK_ROWS) > 0
        for run in np.split(distinct, np.flatnonzero(is_far | is_much) + 1) if len(distinct) else []:
            ends = self._offsets[int(run[0]) : int(run[-1]) + 2]
            yield ends[run - run[0]], ends[run - run[0] + 1]

    def _between(self, starts: Array, stops: Array) -> list[bytes]:
        data = self._data[int(starts[0]) : int(stops[-1])].tobytes()
        bounds = zip((starts - starts[0]).tolist(), (stops - starts[0]).tolist(), strict=True)
        return [data[start:stop] for start, stop in bounds]


Texts = tuple[str, ...] | StoredTexts


def texts_at(texts: Texts, codes: Array) -> list[str]:
    """The texts at these places, none of which is negative."""
    return texts.take(codes) if isinstance(texts, StoredTexts) else [texts[code] for code in codes.tolist()]


def bytes_at(texts: Texts, codes: Array) -> list[bytes]:
    """The same in UTF-8."""
    return (
        texts.take_bytes(codes) if isinstance(texts, StoredTexts) else [texts[code].encode() for code in codes.tolist()]
    )


def spans(rows: int, length: int | None = None) -> Iterator[slice]:
    """The ranges of `length` rows, the last one perhaps shorter, that make up all rows."""
    length = length or BLOCK_ROWS
    return (slice(first, min(rows, first + length)) for first in range(0, rows, length))


def blocks(values: Values) -> Iterator[Array]:
    """All values, block by block."""
    return (values[rows] for rows in spans(len(values)))


def rechunked(arrays: Iterable[Array], length: int) -> Iterator[Array]:
    """The same values in blocks of `length`, the last one perhaps shorter, however they came."""
    pending: list[Array] = []
    missing = length
    for array in arrays:
        first = 0
        while len(array) - first >= missing:
            yield np.concatenate([*pending, array[first : first + missing]])
            first, missing, pending = first + missing, length, []
        if first < len(array):
            pending.append(array[first:])
            missing -= len(array) - first
    if pending:
        yield np.concatenate(pending)


def changed(name: str, field: str = "dataset") -> DataError:
    """The error that names a file of a dataset that is not as it was written."""
    return DataError(
        f"The file {name} of the dataset is not as it was written: something changed it since. Nothing was trained on "
        f"it. Add the same data again under another name: that makes the file anew.",
        code="data_changed",
        field=field,
    )


def _state(descriptor: int) -> Sequence[int]:
    found = os.fstat(descriptor)
    return found.st_ino, found.st_size, found.st_mtime_ns
