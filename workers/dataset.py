"""Reads a prepared dataset: a file of values per column, described by `columns.json`. `service.ingest` writes them."""

import difflib
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import DataError

Array = npt.NDArray[Any]


class Column(NamedTuple):
    """The values of one column, in the order of the file.

    `type` is "number" (values: float64, 0.0 where missing), "category", "text" or "date" (values: int32
    positions in `categories`, which are sorted by code point; -1 where missing; dates are texts in ISO 8601). A "text"
    column of very many texts has them in no order, and some of them several times.
    `missing` is None where no value is missing.
    """

    name: str
    type: str
    values: Array  # (rows,)
    missing: Array | None  # (rows,) bool
    categories: tuple[str, ...] | None


def read_metadata(directory: Path) -> dict[str, Any]:
    """The dataset's `columns.json`: {"rows", "columns": […], "first_row": the first data row's number in the file}."""
    metadata: dict[str, Any] = json.loads((directory / "columns.json").read_bytes())
    return metadata


def read_columns(directory: Path, names: Iterable[str]) -> dict[str, Column]:
    """The named columns; DataError `column_not_found` names one that the dataset does not have."""
    described = {column["name"]: (place, column) for place, column in enumerate(read_metadata(directory)["columns"])}
    columns = {}
    for name in names:
        if name not in described:
            nearest = difflib.get_close_matches(name, described, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise DataError(f"The dataset has no column '{name}'.{hint}", code="column_not_found")
        columns[name] = _read_column(directory, *described[name])
    return columns


def _read_column(directory: Path, place: int, description: dict[str, Any]) -> Column:
    missing = _load(directory, place, ".missing") if description["nulls"] else None
    categories = description["categories"]
    if description["type"] in {"text", "date"}:
        categories = _texts(directory, place)
    return Column(
        name=description["name"],
        type=description["type"],
        values=_load(directory, place),
        missing=missing,
        categories=None if categories is None else tuple(categories),
    )


def _texts(directory: Path, place: int) -> list[str]:
    """The distinct texts of a column that has too many of them for `columns.json`."""
    data = _load(directory, place, ".text").tobytes()
    ends = _load(directory, place, ".offsets").tolist()
    return [data[start:end].decode() for start, end in pairwise(ends)]


def _load(directory: Path, place: int, suffix: str = "") -> Array:
    array: Array = np.load(directory / f"{place:06d}{suffix}.npy", allow_pickle=False)
    return array
