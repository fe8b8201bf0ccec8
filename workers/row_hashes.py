"""The hash of each row's content, which decides where the row belongs (docs/MATH.md, Split)."""

import hashlib
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Block, Column
from .stored import StoredTexts
from .text_spans import text_spans

Array = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
MISSING = struct.pack("<I", 0xFFFFFFFF)
NUMBER = np.dtype([("length", "<u4"), ("value", "<f8")])
BLOCK_BYTES = 2**23
RECORD_BYTES = 64
"""About what a value takes in memory while it is hashed, if it is no long text."""
MOST_COLUMNS = 128
"""So many columns are read at once: a wider row is hashed piece by piece."""


def row_hashes(columns: Iterable[Column], rows: int, salt: str = "") -> Iterator[Words]:
    """The first 8 bytes of SHA-256(salt ‖ canonical row) of each row, as uint64, block by block."""
    in_order = sorted(columns, key=lambda column: column.name)
    batches = [in_order[first : first + MOST_COLUMNS] for first in range(0, len(in_order), MOST_COLUMNS)] or [[]]
    known = {
        column.name: [*_text_records(column.categories), MISSING]  # the last one is for code -1
        for column in in_order
        if isinstance(column.categories, tuple)
    }
    length = max(1, BLOCK_BYTES // (RECORD_BYTES * max(1, *map(len, batches))))
    for block in text_spans([(column.values.__getitem__, column.categories) for column in in_order], rows, length):
        parts = (_records(batch, known, block) for batch in batches)
        digests = _digests(salt.encode(), parts, block.stop - block.start, n_parts=len(batches))
        yield np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _digests(salt: bytes, parts: Iterable[Sequence[Sequence[bytes]]], rows: int, n_parts: int) -> Iterator[bytes]:
    """`parts` are the records of some columns after the other; each has lists of as many as there are rows."""
    sha256 = hashlib.sha256
    if n_parts == 1:
        (records,) = parts
        if len(records) == 1 and not salt:
            return (sha256(record).digest()[:8] for record in records[0])
        return (sha256(salt + b"".join(row)).digest()[:8] for row in zip(*records, strict=True))
    hashes = [sha256(salt) for _ in range(rows)]
    for records in parts:
        for one, row in zip(hashes, zip(*records, strict=True), strict=True):
            one.update(b"".join(row))
    return (one.digest()[:8] for one in hashes)


def _is_fixed_width(column: Column) -> bool:
    return column.type == "number" and column.missing is None


def _records(columns: Iterable[Column], known: dict[str, list[bytes]], rows: slice) -> list[list[bytes]]:
    """Each row's length-prefixed bytes: of all columns at once where their width is fixed, else column by column."""
    found = []
    for is_fixed_width, group in groupby(columns, key=_is_fixed_width):
        if is_fixed_width:
            found.append(_number_records([column.values[rows] for column in group]))
        else:
            found += [_records_of(column, column.block(rows), known) for column in group]
    return found


def _records_of(column: Column, block: Block, known: dict[str, list[bytes]]) -> list[bytes]:
    if column.name in known:
        texts = known[column.name]
        return [texts[code] for code in block.values.tolist()]
    if isinstance(column.categories, StoredTexts):
        records = _text_records(column.categories.take(block.present))
    else:
        records = _number_records([block.present])
    if block.missing is None:
        return records
    those = iter(records)
    return [MISSING if is_missing else next(those) for is_missing in block.missing.tolist()]


def _number_records(values: list[Array]) -> list[bytes]:
    records = np.empty((len(values[0]), len(values)), NUMBER)
    records["length"] = 8
    for place, column in enumerate(values):
        records["value"][:, place] = column + 0.0  # -0.0 becomes 0.0
    data, width = records.tobytes(), NUMBER.itemsize * len(values)
    return [data[start : start + width] for start in range(0, len(data), width)]


def _text_records(texts: Iterable[str]) -> list[bytes]:
    encoded = (unicodedata.normalize("NFC", text).encode() for text in texts)
    return [struct.pack("<I", len(text)) + text for text in encoded]
