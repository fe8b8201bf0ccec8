"""What the types of Arrow columns mean here: numbers, text, dates, and those that have no meaning for a table."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from service.table import check_names, shown
from workers.errors import DataError

SHOWN_TYPE_CHARACTERS = 60


def kind_of(arrow_type: Any) -> str | None:  # noqa: ANN401 - a pyarrow.DataType
    """`number`, `text` or `date`; None for what can't be a column. Truth is text, as it is in a CSV file."""
    if isinstance(arrow_type, pa.BaseExtensionType):
        return None
    if kinds.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    tests = {
        "number": (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_null),
        "text": (kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_boolean),
        "date": (kinds.is_date, kinds.is_timestamp),
    }
    return next((kind for kind, asked in tests.items() if any(test(arrow_type) for test in asked)), None)


def check_schema(schema: Any) -> None:  # noqa: ANN401 - a pyarrow.Schema
    """DataError where a column has a type that can't be read, no name, or another one's name."""
    check_names(list(schema.names), "Give each column a name of its own.")
    for field in schema:
        if kind_of(field.type) is None:
            found = str(field.type)
            words = found if len(found) <= SHOWN_TYPE_CHARACTERS else f"{found[:SHOWN_TYPE_CHARACTERS]}…"
            raise DataError(
                f"Column '{shown(field.name)}' has the type {words}. Columns hold numbers, truth values, text or "
                f"dates: leave it out, or spread it over columns of these.",
                code="unsupported_column",
            )


def least_bytes(schema: Any) -> int:  # noqa: ANN401 - a pyarrow.Schema
    """What a row takes at least once it is read: 8 bytes a number, 4 bytes a position among texts."""
    return sum(8 if kind_of(field.type) == "number" else 4 for field in schema)


def as_plain(values: Any) -> Any:  # noqa: ANN401 - a pyarrow.Array
    """The values themselves where a dictionary holds them."""
    return pc.cast(values, values.type.value_type) if kinds.is_dictionary(values.type) else values


def as_text(values: Any) -> Any:  # noqa: ANN401 - pyarrow.ChunkedArray
    """The values as the strings that a CSV file would hold."""
    values = as_plain(values)
    if kinds.is_floating(values.type):  # 1.0 is written as 1
        is_whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), 2.0**53))
        whole = pc.cast(pc.if_else(is_whole, values, pa.scalar(0, values.type)), pa.int64())
        return pc.if_else(is_whole, pc.cast(whole, pa.string()), pc.cast(values, pa.string()))
    return pc.cast(values, pa.string())


def as_numbers(values: Any, markers: list[str]) -> Any:  # noqa: ANN401 - pyarrow.ChunkedArray
    """The values as float64, null where missing; NaN is missing where `markers` name it."""
    values = as_plain(values)
    if values.type == pa.float16():
        values = pc.cast(values, pa.float32())
    numbers = pc.cast(values, pa.float64(), safe=False)
    if any(marker.lower() == "nan" for marker in markers):
        numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return numbers
