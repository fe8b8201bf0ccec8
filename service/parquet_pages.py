"""Counts the values that the pages of a Parquet file hold by their headers, whatever the footer declares.

Readers take as many rows as the footer declares, and leave the rest of a damaged file out without a word. A page's
header is a Thrift structure in the compact protocol (parquet.thrift: PageHeader); nothing else is read of a page.
"""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from workers.errors import DataError

HEADER_BYTES = 256
LONGEST_HEADER_BYTES = 2**22
"""It may hold the least and the largest text of its page."""
DEEPEST = 8
COMPRESSED_SIZE, DATA_PAGES = 3, (5, 8)
"""Fields of a page's header: its bytes without the header, and what a data page (of version 1, 2) is."""
N_VALUES = 1
"""A field of both kinds of data pages."""

STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, STRUCT = 0, 1, 2, 3, 7, 8, 12
INTEGERS = {4, 5, 6}
GOES_ON, LONGEST_INTEGER_BITS = 0x80, 63

Fields = dict[int, Any]


def check_pages(file: BinaryIO, metadata: Any) -> None:  # noqa: ANN401 - a pyarrow.parquet.FileMetaData
    """DataError `file_corrupt` where a column of a row group holds more values than it declares.

    Or where all columns together are declared to have more bytes than the file: they would be gone through many times.
    """
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    n_bytes = sum(group.column(place).total_compressed_size for group in groups for place in range(group.num_columns))
    if n_bytes > file.seek(0, io.SEEK_END):
        raise DataError(
            f"The file declares columns of {n_bytes} bytes, more than it has: it is damaged.", code="file_corrupt"
        )
    for number, described in enumerate(groups, 1):
        for place in range(described.num_columns):
            column = described.column(place)
            held = max(column.num_values, sum(_values_of_pages(file, column)))
            if held > described.num_rows:  # no column is nested
                raise DataError(
                    f"The file declares {described.num_rows} rows in row group {number} and holds {held} in column "
                    f"'{column.path_in_schema}': it is damaged.",
                    code="file_corrupt",
                )


def _values_of_pages(file: BinaryIO, column: Any) -> Iterator[int]:  # noqa: ANN401 - a ColumnChunkMetaData
    """What each data page of the column holds, as far as its pages can be told apart."""
    starts = (column.data_page_offset, column.dictionary_page_offset or 0)  # 0 is what some write for none
    start = min((found for found in starts if found > 0), default=0)
    end = start + column.total_compressed_size
    while 0 < start < end:
        try:
            header, length = _header_at(file, start)
        except ValueError:
            return
        pages = [header[kind] for kind in DATA_PAGES if isinstance(header.get(kind), dict)]
        yield from (page[N_VALUES] for page in pages if isinstance(page.get(N_VALUES), int) and page[N_VALUES] > 0)
        n_bytes = header.get(COMPRESSED_SIZE)
        if not isinstance(n_bytes, int) or n_bytes < 0:
            return
        start += length + n_bytes


def _header_at(file: BinaryIO, start: int) -> tuple[Fields, int]:
    """The fields of a page's header and how many bytes it takes; ValueError where there is none."""
    n_bytes = HEADER_BYTES
    while True:
        file.seek(start)
        data = file.read(n_bytes)
        try:
            return _structure(data, 0)
        except IndexError:
            if len(data) < n_bytes or n_bytes >= LONGEST_HEADER_BYTES:
                raise ValueError("no header") from None
            n_bytes *= 16


def _structure(data: bytes, place: int, depth: int = 0) -> tuple[Fields, int]:
    """The fields by number and where the structure ends; IndexError where it goes on behind `data`."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    fields: Fields = {}
    number = 0
    while (head := data[place]) != STOP:
        place += 1
        if head >> 4:
            number += head >> 4
        else:
            number, place = _integer(data, place)
        fields[number], place = _value(data, place, head & 0xF, depth)
    return fields, place + 1


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in {TRUE, FALSE}:
        return kind == TRUE, place
    if kind in INTEGERS:
        return _integer(data, place)
    if kind == STRUCT:
        return _structure(data, place, depth + 1)
    if kind == BINARY:
        length, place = _unsigned(data, place)
    else:
        length = {BYTE: 1, DOUBLE: 8}.get(kind, -1)
    if length < 0:
        raise ValueError("no field of a page's header")
    if place + length > len(data):
        raise IndexError
    return data[place : place + length], place + length


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """A number in zigzag order."""
    value, place = _unsigned(data, place)
    return (value >> 1) ^ -(value & 1), place


def _unsigned(data: bytes, place: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        value |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
        if not data[place - 1] & GOES_ON:
            return value, place
        if shift > LONGEST_INTEGER_BITS:
            raise ValueError("no number")
