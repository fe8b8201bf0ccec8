"""How a CSV file is written, found in its first megabyte: what separates the values, the decimal mark, a header.

A delimiter is what cuts the most rows into as many values as the first one has; a decimal comma is what stands in
numbers of a file whose values are separated by something else.
"""

import csv
import io
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from service.csv_header import has_header
from service.file_options import FileOptions
from workers.errors import DataError

HEAD_BYTES = 2**20
LOOKED_AT_ROWS = 1000
CANDIDATES = (",", ";", "\t", "|")
WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
WITH_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
LIKE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


class Dialect(NamedTuple):
    """What separates two values, what stands before the decimals of a number, and whether the first row holds names."""

    delimiter: str
    decimal: str
    has_header: bool


def find_dialect(path: Path, options: FileOptions) -> Dialect:
    """The dialect that `options` give or else the file shows; DataError `ambiguous_decimal` where it can't be told."""
    text = _head(path)
    delimiter = options.delimiter or _delimiter(text, options)
    decimal = options.decimal or _decimal(text, delimiter)
    return Dialect(delimiter, decimal, has_header(_rows(text, delimiter), decimal, options))


def _head(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES + 1)
    if len(head) > HEAD_BYTES:  # without the row that may be cut
        head = head[:HEAD_BYTES]
        head = head[: head.rfind(b"\n") + 1]
    return head.decode("utf-8-sig", errors="replace")


def _delimiter(text: str, options: FileOptions) -> str:
    candidates = CANDIDATES[1:] if options.decimal == "," else CANDIDATES
    scores = {}
    for candidate in candidates:
        widths = [len(row) for row in _rows(text, candidate)]
        is_cut = len(widths) > 0 and widths[0] > 1
        scores[candidate] = (sum(width == widths[0] for width in widths) / len(widths), widths[0]) if is_cut else (0, 0)
    return max(candidates, key=lambda candidate: scores[candidate])


def _decimal(text: str, delimiter: str) -> str:
    if delimiter == ",":
        return "."
    values = [value.strip() for row in _rows(text, delimiter) for value in row]
    with_comma = [value for value in values if WITH_COMMA.fullmatch(value)]
    if any(WITH_POINT.fullmatch(value) for value in values):
        return "."
    like_thousands = [value for value in values if LIKE_THOUSANDS.fullmatch(value)]
    if like_thousands and len(like_thousands) >= len(with_comma):
        raise DataError(
            f"'{like_thousands[0]}' may have decimals or be thousands. Set options.decimal to ',' or '.'.",
            code="ambiguous_decimal",
            field="options.decimal",
        )
    return "," if with_comma else "."


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows that are not blank; none after one that can't be read."""
    rows: list[list[str]] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows.extend(row for row in islice(reader, LOOKED_AT_ROWS) if row)
    except csv.Error:  # whoever reads the file says what is wrong
        pass
    return rows
