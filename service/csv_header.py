"""Whether the first row of a CSV file holds names: it does, unless it looks like one more row of the table.

Text says little, because names are text: a table of nothing but text has a header. What says that there is none are
numbers in the first row wherever the column goes on with numbers. A header of numbers (years, or 0, 1, 2, …) is told
from that by its text, which the columns of text do not hold again, or by its counting.
"""

import re
from collections.abc import Sequence

from service.file_options import FileOptions

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def has_header(rows: Sequence[Sequence[str]], decimal: str, options: FileOptions) -> bool:
    """What `options` say, or else the first rows of the file; a row alone is a header."""
    if isinstance(options.header, bool):
        return options.header
    first, *rest = [[value.strip() for value in row] for row in rows] or [[]]
    if "" in first or not options.types.keys().isdisjoint(first) or _counts(first):
        return True
    columns = zip(first, *(row for row in rest if len(row) == len(first)), strict=True)
    number_cells, text_cells = [], []
    for name, *values in columns:
        present = [value for value in values if value not in options.missing_markers]
        if present and all(_is_number(value, decimal) for value in present):
            number_cells.append(_is_number(name, decimal))
        elif present:
            text_cells.append(name in present)
    is_data = bool(number_cells) and all(number_cells) and (not text_cells or any(text_cells))
    return not is_data


def _counts(first: Sequence[str]) -> bool:
    """Whether it is 0, 1, 2, … or 1, 2, 3, …, as programs write that know no names."""
    return len(first) > 1 and any(
        list(first) == [str(start + place) for place in range(len(first))] for start in (0, 1)
    )


def _is_number(value: str, decimal: str) -> bool:
    return NUMBER.fullmatch(value if decimal == "." else value.replace(".", "?").replace(decimal, ".")) is not None
