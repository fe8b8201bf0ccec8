"""Reads a prepared dataset: a file of values per column, described by `columns.json`. `service.ingest` writes them."""

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .integrity import block_hashes
from .stored import StoredArray, StoredTexts, Texts, Values, blocks, changed

Array = npt.NDArray[Any]


class Block(NamedTuple):
    """Some rows of a column, in memory."""

    values: Array
    missing: Array | None

    @property
    def present(self) -> Array:
        """The values that are not missing."""
        return self.values if self.missing is None else self.values[~self.missing]

    def filled(self, fill: Any) -> Array:  # noqa: ANN401 - a number or a code
        """The values, `fill` in the place of missing ones."""
        if self.missing is None:
            return self.values
        return np.where(self.missing, np.array(fill, self.values.dtype), self.values)


class Column(NamedTuple):
    """The values of one column, in the order of the file.

    `type` is "number" (values: float64, 0.0 where missing), "category", "text" or "date" (values: int32
    positions in `categories`, which are sorted by code point; -1 where missing; dates are texts in ISO 8601). A column
    of very many texts or dates has them in no order, and some of them several times.
    `missing` is None where no value is missing. Read from a dataset, values, and texts and dates, stay on disk.
    """

    name: str
    type: str
    values: Values  # (rows,)
    missing: Values | None  # (rows,) bool
    categories: Texts | None

    def block(self, rows: slice) -> Block:
        """These rows of the column."""
        return Block(self.values[rows], None if self.missing is None else self.missing[rows])

    def count_missing(self) -> int:
        """How many values are missing."""
        return 0 if self.missing is None else sum(int(np.count_nonzero(block)) for block in blocks(self.missing))


def read_metadata(directory: Path) -> dict[str, Any]:
    """The dataset's `columns.json`.

    {"rows", "columns": […], "first_row": the first data row's number in the file, null where rows are not its lines,
    "files": their hashes by name}.
    DataError `data_changed` where it can't be read.
    """
    try:
        metadata: dict[str, Any] = json.loads((directory / "columns.json").read_bytes())
    except (OSError, ValueError):
        raise changed("columns.json") from None
    return metadata


def read_columns(directory: Path, names: Iterable[str], field: str = "dataset") -> dict[str, Column]:
    """The named columns of the dataset that `field` of a job's spec names.

    DataError `column_not_found` names one that the dataset does not have, `data_changed` a file that does not hold what
    was written.
    """
    metadata = read_metadata(directory)
    described = {column["name"]: (place, column) for place, column in enumerate(metadata["columns"])}
    written: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, hashes in metadata.get("files", {}).items():  # datasets of earlier versions have none
        written[name[:6]][name] = hashes
    columns = {}
    for name in names:
        if name not in described:
            nearest = difflib.get_close_matches(name, described, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise DataError(f"The dataset has no column '{name}'.{hint}", code="column_not_found")
        columns[name] = _column(directory, *described[name], field)  # from here on a change is noticed when it is read
        _check_files(directory, written[f"{described[name][0]:06d}"])
    return columns


def check_files(directory: Path, metadata: dict[str, Any]) -> None:
    """DataError `data_changed` where a file does not hold what was written."""
    _check_files(directory, metadata.get("files", {}))


def _check_files(directory: Path, files: Mapping[str, Any]) -> None:
    for name, written in files.items():
        if _hashes(directory / name) != written:
            raise changed(name)


def _hashes(path: Path) -> dict[str, Any] | None:
    try:
        return block_hashes(path)
    except OSError:
        return None


def _column(directory: Path, place: int, description: dict[str, Any], field: str) -> Column:
    kind, categories = description["type"], description["categories"]

    def stored(suffix: str = "") -> StoredArray:
        return StoredArray(directory / f"{place:06d}{suffix}.npy", field)

    return Column(
        name=description["name"],
        type=kind,
        values=stored(),
        missing=stored(".missing") if description["nulls"] else None,
        categories=(
            StoredTexts(stored(".text"), stored(".offsets"))
            if kind in {"text", "date"}
            else None
            if categories is None
            else tuple(categories)
        ),
    )
