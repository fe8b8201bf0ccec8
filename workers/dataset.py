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
from .integrity import block_hashes

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
    """The dataset's `columns.json`.

    {"rows", "columns": […], "first_row": the first data row's number in the file, null where rows are not its lines,
    "files": their hashes by name}.
    DataError `data_changed` where it can't be read.
    """
    try:
        metadata: dict[str, Any] = json.loads((directory / "columns.json").read_bytes())
    except (OSError, ValueError):
        raise _changed("columns.json") from None
    return metadata


def read_columns(directory: Path, names: Iterable[str]) -> dict[str, Column]:
    """The named columns.

    DataError `column_not_found` names one that the dataset does not have, `data_changed` a file that does not hold what
    was written.
    """
    metadata = read_metadata(directory)
    described = {column["name"]: (place, column) for place, column in enumerate(metadata["columns"])}
    columns = {}
    for name in names:
        if name not in described:
            nearest = difflib.get_close_matches(name, described, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise DataError(f"The dataset has no column '{name}'.{hint}", code="column_not_found")
        check_files(directory, metadata, f"{described[name][0]:06d}")
        columns[name] = _read_column(directory, *described[name])
    return columns


def check_files(directory: Path, metadata: dict[str, Any], beginning: str = "") -> None:
    """DataError `data_changed` where a file whose name begins so does not hold what was written.

    Datasets of earlier versions have no hashes.
    """
    for name, written in metadata.get("files", {}).items():
        if name.startswith(beginning) and _hashes(directory / name) != written:
            raise _changed(name)


def _changed(name: str) -> DataError:
    return DataError(
        f"The file {name} of the dataset is not as it was written: something changed it since. Nothing was trained on "
        f"it. Add the same data again under another name: that makes the file anew.",
        code="data_changed",
        field="dataset",
    )


def _hashes(path: Path) -> dict[str, Any] | None:
    try:
        return block_hashes(path)
    except OSError:
        return None


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
