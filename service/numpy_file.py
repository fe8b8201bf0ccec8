"""Opens .npz files with arrays `X` and `y`, and .npy files with one.

No pickle is ever loaded, and headers are not believed. The columns of X are x0, x1, …; y is the column y, or y0, y1, …
where it has several.
"""

import contextlib
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.column_order import check_compressed, mapped_blocks, stored_at
from service.file_format import refuse_pickle
from service.file_options import FileOptions
from service.table import Batches, check_expansion, check_size
from service.zip_archive import open_archive
from workers.errors import DataError

BLOCK_BYTES = 2**22
READ_BYTES = 2**20
KINDS = {"b": pa.bool_(), "i": pa.float64(), "u": pa.float64(), "f": pa.float64(), "U": pa.string()}
"""The kinds of numpy's dtypes that can be read, and what their values become."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError)
UNREADABLE_HEADER = (
    *UNREADABLE,
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    RecursionError,
    MemoryError,  # Python's parser, where brackets are nested too deep
    tokenize.TokenError,
)


class _Array(NamedTuple):
    """An array that is not read yet."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    is_vector: bool
    in_fortran_order: bool
    header_bytes: int


def open_numpy(path: Path, options: FileOptions, limits: Mapping[str, int]) -> Batches:
    """The arrays' columns and rows; DataError names the array that can't be read, its dtype or its shape."""
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    if not is_archive:
        with path.open("rb") as file:
            arrays = [_header("X", file, path.stat().st_size)]
        return _source(path, arrays, None, limits)
    with open_archive(path, options, limits) as archive:
        arrays = []
        for member in archive.infolist():
            with _opened(archive, member.filename) as file:
                arrays.append(_header(member.filename.removesuffix(".npy"), file, member.file_size))
    names = {array.name for array in arrays}
    if "X" not in names or names - {"X", "y"}:
        found = ", ".join(sorted(name[:40] for name in names))
        raise DataError(
            f"The file has the arrays {found}; it must have X (rows × columns), may have y, and nothing else. "
            f"Write it with numpy.savez(file, X=…, y=…).",
            code="wrong_arrays",
        )
    arrays.sort(key=lambda array: array.name)
    return _source(path, arrays, options, limits)


def _source(path: Path, arrays: list[_Array], options: FileOptions | None, limits: Mapping[str, int]) -> Batches:
    rows = arrays[0].shape[0]
    if any(array.shape[0] != rows for array in arrays):
        shapes = " and ".join(f"{array.name} {array.shape}" for array in arrays)
        raise DataError(f"The arrays have different numbers of rows: {shapes}.", code="shape_mismatch")
    columns = sum(array.shape[1] for array in arrays)
    if not arrays[0].shape[1] or not columns:
        raise DataError(f"X has no columns: its shape is {arrays[0].shape}.", code="shape_mismatch")
    check_size(rows, columns, limits)
    check_expansion(8 * rows * columns, path.stat().st_size, limits)
    fields = [(name, KINDS[array.dtype.kind]) for array in arrays for name in _names(array)]
    return Batches(pa.schema(fields), rows, _batches(path, arrays, options, limits))


def _names(array: _Array) -> list[str]:
    if array.name == "y" and array.shape[1] == 1:
        return ["y"]
    return [f"{array.name.lower()}{place}" for place in range(array.shape[1])]


def _header(name: str, file: BinaryIO, n_bytes: int) -> _Array:
    """What an array declares, checked against the bytes that are there."""
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, in_fortran_order, dtype = read(file)
    except UNREADABLE_HEADER as error:
        raise DataError(
            f"The array {name} has a header that can't be read ({str(error)[:100]}): the file is damaged.",
            code="file_corrupt",
        ) from None
    if dtype.hasobject:
        refuse_pickle(f"The array {name} holds Python objects, which numpy stores as a pickle")
    if dtype.kind not in KINDS:
        raise DataError(
            f"The array {name} has the dtype {dtype}. Convert it to numbers, bool or text (astype).",
            code="unsupported_dtype",
        )
    if len(shape) not in {1, 2}:
        message = f"The array {name} has the shape {shape}; X must be rows × columns. Reshape it."
        raise DataError(message, code="shape_mismatch")
    count = 1
    for length in shape:
        count *= length
    header_bytes = file.tell()
    if min(shape) < 0 or header_bytes + count * dtype.itemsize != n_bytes:
        raise DataError(
            f"The array {name} declares the shape {shape} of {dtype}, {count * dtype.itemsize} bytes, and has "
            f"{n_bytes - header_bytes}: the file is damaged.",
            code="file_corrupt",
        )
    rows, columns = (*shape, 1)[:2]
    return _Array(name, dtype, (rows, columns), len(shape) == 1, in_fortran_order, header_bytes)


def _batches(path: Path, arrays: list[_Array], options: FileOptions | None, limits: Mapping[str, int]) -> Iterator[Any]:
    row_bytes = sum(array.dtype.itemsize * array.shape[1] for array in arrays)
    block_rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    fields = [(name, KINDS[array.dtype.kind]) for array in arrays for name in _names(array)]
    with contextlib.ExitStack() as stack:
        if options is None:
            files = [stack.enter_context(path.open("rb"))]
        else:
            archive = stack.enter_context(open_archive(path, options, limits))
            files = [stack.enter_context(_opened(archive, f"{array.name}.npy")) for array in arrays]
        places = [0 if options is None else stored_at(path, archive.getinfo(f"{array.name}.npy")) for array in arrays]
        blocks = [
            _column_blocks(array, path, place, file, block_rows)
            if array.in_fortran_order and array.shape[1] > 1
            else _blocks(array, file, block_rows)
            for array, place, file in zip(arrays, places, files, strict=True)
        ]
        for parts in zip(*blocks, strict=True):
            columns = [column for part in parts for column in _columns(part)]
            yield pa.record_batch(columns, pa.schema(fields))


def _columns(block: npt.NDArray[Any]) -> list[Any]:
    """The columns of a block of rows, as Arrow arrays: all numbers as float64."""
    if block.dtype.kind == "U":
        return [pa.array(column.tolist(), pa.string()) for column in block.T]
    plain = block if block.dtype.kind == "b" else block.astype(np.float64)
    return [pa.array(np.ascontiguousarray(column)) for column in plain.T]


def _blocks(array: _Array, file: BinaryIO, block_rows: int) -> Iterator[npt.NDArray[Any]]:
    """The rows of an array, `block_rows` at a time."""
    rows, columns = array.shape
    row_bytes = array.dtype.itemsize * columns
    _read(array.name, file, array.header_bytes)
    for start in range(0, rows, block_rows):
        length = min(block_rows, rows - start)
        yield np.frombuffer(_read(array.name, file, length * row_bytes), array.dtype).reshape(length, columns)
    _check_end(array.name, file)


def _column_blocks(
    array: _Array, path: Path, place: int | None, file: BinaryIO, block_rows: int
) -> Iterator[npt.NDArray[Any]]:
    """The same of an array in Fortran order, which lies at `place` of the file unless it is compressed."""
    rows, columns = array.shape
    n_bytes = rows * columns * array.dtype.itemsize
    if place is not None:
        try:
            yield from mapped_blocks(path, place + array.header_bytes, array.dtype, array.shape, block_rows)
        except ValueError as error:
            raise _damaged(array.name, error) from None
        _check_end(array.name, file)
        return
    check_compressed(array.name, n_bytes)
    _read(array.name, file, array.header_bytes)
    whole = np.frombuffer(_read(array.name, file, n_bytes), array.dtype).reshape((rows, columns), order="F")
    _check_end(array.name, file)
    yield from (whole[start : start + block_rows] for start in range(0, rows, block_rows))


def _opened(archive: zipfile.ZipFile, name: str) -> Any:  # noqa: ANN401 - a zipfile.ZipExtFile
    try:
        return archive.open(name)
    except (*UNREADABLE, NotImplementedError, RuntimeError) as error:
        raise _damaged(name.removesuffix(".npy"), error) from None


def _read(name: str, file: BinaryIO, n_bytes: int) -> bytearray:
    """The next `n_bytes`; in pieces, so that a file that ends early does not cost what it declares."""
    found = bytearray()
    try:
        while len(found) < n_bytes:
            piece = file.read(min(READ_BYTES, n_bytes - len(found)))
            if not piece:
                break
            found += piece
    except UNREADABLE as error:
        raise _damaged(name, error) from None
    if len(found) < n_bytes:
        raise _damaged(name, EOFError("it ends early"))
    return found


def _check_end(name: str, file: BinaryIO) -> None:
    """A zip's checksum is compared where the member ends, to which all of it is read."""
    try:
        while file.read(READ_BYTES):
            pass
    except UNREADABLE as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"The array {name} can't be read, the file is damaged: {error}.", code="file_corrupt")
