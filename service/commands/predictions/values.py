"""A column of a file as the values that go to the API in JSON.

Numbers become numbers and nothing else is changed or judged here: what is no number stays the text that it is, for the
API to take it for missing or to refuse it, by row and column.
"""

import math
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from service.commands.predictions.learned import Feature
from service.native_types import as_numbers, as_text, kind_of

Column = Any  # a pyarrow array
Values = list[Any]
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
EXACT_WHOLE = 2.0**53


def values_of_text(feature: Feature, column: Column, decimal: str) -> Values:
    """The values of a column of a CSV file, which is all text; None where there is nothing but blanks."""
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return _numbers(text, decimal) if feature.is_number else _listed(text)


def values_of_types(feature: Feature, column: Column) -> Values:
    """The values of a column with a type of its own; None where there is none, or NaN for a number."""
    kind = kind_of(column.type)
    if feature.is_number and kind == "number":
        found = _listed(as_numbers(column, ["nan"]))
        return [value if value is None or math.isfinite(value) else str(value) for value in found]
    if kind == "number" and not feature.is_number:
        return _listed(_numbers_as_text(column, without_decimals=feature.has_whole_texts))
    return _listed(pc.utf8_trim_whitespace(as_text(column)))


def _numbers(text: Column, decimal: str) -> Values:
    plain = text
    if decimal == ",":  # a point is no part of a number then
        plain = pc.replace_substring(pc.replace_substring(text, ".", "?"), ",", ".")
    try:
        found = _listed(pc.cast(plain, pa.float64()))
    except pa.ArrowInvalid:
        found = [float(value) if value and NUMBER.fullmatch(value) else None for value in plain.to_pylist()]
    for place, value in enumerate(found):
        if value is None or not math.isfinite(value):
            found[place] = text[place].as_py()
    return found


def _numbers_as_text(column: Column, *, without_decimals: bool) -> Column:
    """Value by value, so that a part of a file is written as all of it is."""
    if kinds.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not kinds.is_floating(column.type) or not without_decimals:
        return pc.cast(column, pa.string())
    is_whole = pc.and_(pc.equal(column, pc.trunc(column)), pc.less(pc.abs(column), EXACT_WHOLE))
    whole = pc.cast(pc.if_else(is_whole, column, pa.scalar(None, column.type)), pa.int64())
    return pc.coalesce(pc.cast(whole, pa.string()), pc.cast(column, pa.string()))


def _listed(column: Column) -> Values:
    found: Values = column.to_pylist()
    return found
