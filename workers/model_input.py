"""Turns rows of JSON, or a frame's columns, into the columns that a model predicts from, or says what is wrong."""

import json
import math
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .counting import counted
from .errors import ModelInputError
from .preprocessing import CategoryFeature, NumberFeature, Preprocessing, text_codes

Array = npt.NDArray[Any]
LONGEST_VALUE = 40


def columns_of_rows(
    preprocessing: Preprocessing, rows: Sequence[Mapping[str, object]] | Sequence[Sequence[object]]
) -> dict[str, Array]:
    """The columns of rows that are objects (any order, more is ignored) or lists (in the order of the features).

    ModelInputError names row (counted from 0, as in `rows[0]`) and column.
    """
    names = [feature.name for feature in preprocessing.features]
    by_row = [_values_of_row(number, row, names) for number, row in enumerate(rows)]
    by_column = zip(*by_row, strict=True) if by_row else [()] * len(names)
    markers = frozenset(preprocessing.missing_markers)
    return {
        feature.name: _column(feature, list(values), markers)
        for feature, values in zip(preprocessing.features, by_column, strict=True)
    }


def columns_of_arrays(preprocessing: Preprocessing, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The same columns from arrays of any integer, float or object type, one for each name; more are ignored."""
    columns, markers = {}, frozenset(preprocessing.missing_markers)
    for feature in preprocessing.features:
        if feature.name not in arrays:
            raise ModelInputError(f"Column '{feature.name}' is missing.", code="missing_column", field=feature.name)
        array = np.asarray(arrays[feature.name])
        if isinstance(feature, NumberFeature) and array.dtype.kind in "iuf":
            column = array.astype(np.float64)
            if feature.fill is not None:
                column[np.isnan(column)] = feature.fill
            columns[feature.name] = _finite(feature.name, column, array)
        else:
            columns[feature.name] = _column(feature, array.tolist(), markers)
    return columns


def _values_of_row(number: int, row: object, names: list[str]) -> Sequence[object]:
    if isinstance(row, Mapping):
        try:
            return [row[name] for name in names]
        except KeyError:
            name = next(name for name in names if name not in row)
            raise ModelInputError(
                f"rows[{number}] has no column '{name}'.", code="missing_column", field=f"rows[{number}].{name}"
            ) from None
    if not isinstance(row, list | tuple):
        raise ModelInputError(
            f"rows[{number}] must be an object with named columns, or a list of {counted(len(names), 'value')}.",
            field=f"rows[{number}]",
        )
    if len(row) != len(names):
        raise ModelInputError(
            f"rows[{number}] has {counted(len(row), 'value')}, the model takes {len(names)}: {_first_of(names)}.",
            code="wrong_width",
            field=f"rows[{number}]",
        )
    return row


def _first_of(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, …, {names[-1]}"  # noqa: PLR2004 - readable


def _column(feature: NumberFeature | CategoryFeature, values: list[object], markers: frozenset[str]) -> Array:
    if feature.fill is not None:
        values = [feature.fill if _is_missing(value, markers) else value for value in values]
    if isinstance(feature, CategoryFeature):
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) < len(values):
            wrong = next(number for number, value in enumerate(values) if not isinstance(value, str))
            _refuse(feature.name, wrong, "text", values[wrong])
        return text_codes(feature, [unicodedata.normalize("NFC", text.strip()) for text in texts])
    if not {type(value) for value in values} <= {int, float}:
        for number, value in enumerate(values):
            if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
                _refuse(feature.name, number, "a number", value)
    return _finite(feature.name, _numbers(values), values)


def _is_missing(value: object, markers: frozenset[str]) -> bool:
    """Null, NaN, pandas' NA, or one of the dataset's own markers."""
    if isinstance(value, str):
        return value.strip() in markers
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return value is None or type(value).__name__ == "NAType"  # pandas may not be there to ask


def _numbers(values: list[Any]) -> Array:
    """The numbers as float64; an integer beyond float64 is infinite."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array([value if abs(value) <= sys.float_info.max else math.inf for value in values], dtype=np.float64)


def _finite(name: str, column: Array, values: Sequence[object] | Array) -> Array:
    if not np.isfinite(column).all():
        number = int(np.flatnonzero(~np.isfinite(column))[0])
        _refuse(name, number, "a finite number", values[number])
    return column


def _refuse(name: str, number: int, expected: str, value: object) -> NoReturn:
    value = value.item() if isinstance(value, np.generic) else value
    shown = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    if len(shown) > LONGEST_VALUE:
        shown = f"{shown[:LONGEST_VALUE]}…"
    raise ModelInputError(
        f"rows[{number}]: column '{name}' needs {expected}, not {shown}.", field=f"rows[{number}].{name}"
    )
