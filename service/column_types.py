"""What a column of text is: numbers, categories or free text; its values as arrays, and its statistics.

A column is a number if every value that is not missing is a finite number; a category if it is text with at most
1 000 different values; else text, which can't be a feature. Where nine in ten values are numbers and some are not, it
is refused, unless its type is declared. A declared category may have up to 100 000 different values. Where the file
says itself what is a number (Parquet, Arrow, NumPy), text is never taken for one. Dates are kept as text in ISO 8601.
"""

import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.file_options import FileOptions
from service.native_types import as_numbers, as_text, kind_of
from service.table import SHOWN_CHARACTERS
from workers.errors import DataError

Array = npt.NDArray[Any]
Text = Any  # a pyarrow array of strings, in one piece or in chunks
Values = Any  # one of any type that `kind_of` knows
Mask = Any  # one of booleans
MOST_CATEGORIES = 1000
MOST_DECLARED_CATEGORIES = 100_000
MOST_DISTINCT_NUMBERS = 1000
SHARE_OF_NUMBERS = 0.9
SHOWN_OFFENDERS = 3
NUMBER = r"^[+-]?(nan|inf|infinity|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)$"


class TypedColumn(NamedTuple):
    """The metadata of a column (as in `columns.json`) and its arrays by suffix of file name."""

    metadata: dict[str, Any]
    arrays: dict[str, Array]


RowNumber = Callable[[int], int]
"""The number in the file of the row at a place among the data."""


class BadValuesError(DataError):
    """Some values can't be used; `places` are their rows among the data, from 0."""

    def __init__(self, message: str, *, code: str, places: Array) -> None:
        super().__init__(message, code=code)
        self.places = places


class Reading(NamedTuple):
    """How the columns of a file are to be read."""

    options: FileOptions
    decimal: str
    row_number: RowNumber
    has_types: bool


def typed_column(name: str, values: Values, reading: Reading) -> TypedColumn:
    """The column of these values; DataError `too_many_categories` or `type_mismatch`, or BadValuesError."""
    declared = reading.options.types.get(name)
    kind = kind_of(values.type)
    if kind == "number" and declared in {None, "number"}:
        numbers = as_numbers(values, reading.options.missing_markers)
        return _number_column(name, _filled(numbers), _mask(pc.is_null(numbers)), reading.row_number)
    if (kind, declared) in {("number", "date"), ("date", "number")}:
        message = f"Column '{name}' holds {kind}s in the file, and options.types declares it a {declared}."
        raise DataError(f"{message} Leave it out of options.types.", code="type_mismatch", field="options.types")
    text = pc.utf8_trim_whitespace(as_text(values))
    markers = pa.array(reading.options.missing_markers, pa.string())
    is_missing = pc.or_(pc.is_null(text), pc.fill_null(pc.is_in(text, markers), fill_value=False))
    missing = _mask(is_missing)
    if missing is not None:
        text = pc.if_else(is_missing, pa.scalar(None, pa.string()), text)
    is_date = declared == "date" or (declared is None and kind == "date")
    if is_date and kind != "date":
        _check_dates(name, text, reading.row_number)
    may_be_number = declared == "number" or (declared is None and not reading.has_types)
    numbers = _numbers(name, text, reading) if may_be_number else None
    if numbers is not None:
        return _number_column(name, numbers, missing, reading.row_number)
    return _text_column(name, text, missing, "date" if is_date else declared)


def _mask(is_missing: Mask) -> Array | None:
    return is_missing.to_numpy() if pc.any(is_missing).as_py() else None


def _filled(numbers: Values) -> Array:
    values: Array = pc.fill_null(numbers, 0.0).to_numpy()
    return values


def _check_dates(name: str, text: Text, row_number: RowNumber) -> None:
    places = [place for place, value in enumerate(text.to_pylist()) if value is not None and not _is_date(value)]
    if places:
        first = f"first in row {row_number(places[0])} ({_shown(text[places[0]].as_py())})"
        raise BadValuesError(
            f"Column '{name}' is declared a date and has {len(places)} values that are none, {first}. "
            f"Write them as 2026-01-31 or 2026-01-31T12:00:00.",
            code="column_has_text",
            places=np.array(places),
        )


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _numbers(name: str, text: Text, reading: Reading) -> Array | None:
    """The values as float64 (0.0 where missing), or None if the column is text."""
    plain = text
    if reading.decimal == ",":  # a point is no part of a number then
        plain = pc.replace_substring(pc.replace_substring(text, ".", "?"), ",", ".")
    try:
        return _filled(pc.cast(plain, pa.float64()))
    except pa.ArrowInvalid:
        is_number = pc.match_substring_regex(plain, NUMBER, ignore_case=True)
        n_values = len(text) - text.null_count
        is_declared = reading.options.types.get(name) == "number"
        if is_declared or pc.sum(is_number).as_py() >= SHARE_OF_NUMBERS * n_values:
            _refuse_text(name, text, is_number, reading.row_number)
        return None


def _refuse_text(name: str, text: Text, is_number: Mask, row_number: RowNumber) -> NoReturn:
    places = np.flatnonzero(~pc.fill_null(is_number, fill_value=True).to_numpy())
    shown = [f"row {row_number(int(place))} ({_shown(text[int(place)].as_py())})" for place in places[:SHOWN_OFFENDERS]]
    more = f" and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
    raise BadValuesError(
        f"Column '{name}' has text among its numbers in {', '.join(shown)}{more}. Clean it, add what stands for "
        f'missing to options.missing_markers, or declare the column in options.types ("category" or "text").',
        code="column_has_text",
        places=places,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


def _number_column(name: str, values: Array, missing: Array | None, row_number: RowNumber) -> TypedColumn:
    finite = np.isfinite(values)
    if not finite.all():
        places = np.flatnonzero(~finite)
        raise BadValuesError(
            f"Column '{name}' has {_counted(len(places))} not finite, first in row {row_number(int(places[0]))}. "
            f"Clean it, or add what stands for missing to options.missing_markers.",
            code="nonfinite_values",
            places=places,
        )
    present = values if missing is None else values[~missing]
    return TypedColumn(_metadata(name, "number", missing) | _statistics(present), _arrays(values, missing))


def _counted(n_numbers: int) -> str:
    return "1 number that is" if n_numbers == 1 else f"{n_numbers} numbers that are"


def _statistics(values: Array) -> dict[str, Any]:
    """min, max, mean, std (ddof 0), distinct_values, whole; what can't be said is null."""
    if not len(values):
        return {"distinct_values": [], "whole": True}
    with np.errstate(over="ignore", invalid="ignore"):
        figures = {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}
    return {
        **{name: float(value) if np.isfinite(value) else None for name, value in figures.items()},
        "distinct_values": _distinct(values),
        "whole": bool((np.trunc(values) == values).all()),
    }


def _distinct(values: Array) -> list[float] | None:
    for sample in (values[: 10 * MOST_DISTINCT_NUMBERS], values):  # most columns are settled by their beginning
        distinct = np.unique(sample)
        if len(distinct) > MOST_DISTINCT_NUMBERS:
            return None
    return [float(value) for value in distinct]


def _text_column(name: str, text: Text, missing: Array | None, declared: str | None) -> TypedColumn:
    encoded = pc.dictionary_encode(text).combine_chunks()
    normal = _composed(encoded.dictionary)
    distinct = pc.unique(normal)
    categories = distinct.take(pc.sort_indices(distinct))
    place = pc.index_in(normal, categories).to_numpy().astype(np.int32)
    codes = np.append(place, np.int32(-1))[pc.fill_null(encoded.indices, -1).to_numpy()]
    if declared == "category" and len(categories) > MOST_DECLARED_CATEGORIES:
        raise DataError(
            f"Column '{name}' has {len(categories)} different values, and a category may have "
            f"{MOST_DECLARED_CATEGORIES}. Declare it as text, or leave it out of the file.",
            code="too_many_categories",
            field="options.types",
        )
    if declared == "category" or (declared is None and len(categories) <= MOST_CATEGORIES):
        metadata = _metadata(name, "category", missing) | {"categories": categories.to_pylist()}
        return TypedColumn(metadata, _arrays(codes, missing))
    kind = "date" if declared == "date" else "text"
    return TypedColumn(_metadata(name, kind, missing), _arrays(codes, missing) | _text_arrays(categories))


def _composed(texts: Text) -> Text:
    """The texts in NFC. Not by pyarrow's utf8_normalize, which decomposes whatever it is asked for (seen in 25.0.1)."""
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return texts
    return pa.array((unicodedata.normalize("NFC", text) for text in texts.to_pylist()), pa.string())


def _text_arrays(texts: Text) -> dict[str, Array]:
    """The texts as one array of bytes, and where each begins and ends in it."""
    _, offsets, data = pa.concat_arrays([texts.cast(pa.large_string())]).buffers()
    starts = np.frombuffer(offsets, np.int64, len(texts) + 1)
    return {".text": np.frombuffer(data, np.uint8, int(starts[-1])), ".offsets": starts}


def _arrays(values: Array, missing: Array | None) -> dict[str, Array]:
    return {"": values} if missing is None else {"": values, ".missing": missing}


def _metadata(name: str, kind: str, missing: Array | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("min", "max", "mean", "std", "categories", "distinct_values"))
    nulls = 0 if missing is None else int(np.count_nonzero(missing))
    return {"name": name, "type": kind, "nulls": nulls, **nothing, "whole": False}
