"""What a matrix takes of its datasets: which columns, whether they can be used, and which rows train."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .counting import part_of
from .dataset import Column, read_columns, read_metadata
from .errors import DataError
from .matrix import MatrixRequest
from .row_hashes import row_hashes
from .split import VALIDATION, Split, split_by_hash, split_by_row, split_by_strata, split_by_time, split_of
from .stored import ScratchArray, spans
from .targets import distinct_values
from .validation_rows import recoded

MISSING_WAY_OUT = {
    "features": "Set preprocessing.missing_values to mean or most_frequent, clean the file, or leave the column out.",
    "target": "Fill the column, or remove these rows in the file.",
}


class Source(NamedTuple):
    """The columns that a matrix takes of a dataset, and which of its rows train, validate and test."""

    columns: dict[str, Column]
    split: Split


def read_split(dataset_directory: Path, request: MatrixRequest, scratch: Path) -> Source:
    """The rows of the dataset itself. The parts lie in the directory `scratch`.

    DataError names what stands in the way.
    """
    metadata = read_metadata(dataset_directory)
    needed = _needed([column["name"] for column in metadata["columns"]], request)
    columns = read_columns(dataset_directory, needed)
    _check(columns, request, metadata["first_row"])
    return Source(columns, _split(columns, metadata["rows"], request, scratch))


def read_validation_rows(own: Source, directory: Path, request: MatrixRequest, scratch: Path) -> Source:
    """The rows of the validation dataset in `directory`, in the codes of the dataset's `own`."""
    weights = [] if request.weight_column is None else [request.weight_column]
    used = [*request.targets, *request.features, *weights]
    try:
        theirs = read_columns(directory, used, "validation_dataset")
        _check(theirs, request, read_metadata(directory)["first_row"])
    except DataError as error:
        message = f"In the validation dataset: {error.message}"
        raise DataError(message, code=error.code, field="validation_dataset") from None
    classes = request.targets[0] if request.task == "classification" else None
    columns = {name: recoded(own.columns[name], theirs[name], is_target=name == classes) for name in used}
    rows = spans(len(theirs[used[0]].values))
    parts = (np.full(block.stop - block.start, VALIDATION) for block in rows)
    return Source(columns, split_of(parts, scratch, "validation-parts"))


def _needed(names: list[str], request: MatrixRequest) -> list[str]:
    """The names of the columns to read: all of them where the split hashes whole rows."""
    weights = [] if request.weight_column is None else [request.weight_column]
    for field, wanted in (("target", request.targets), ("features", request.features), ("weight_column", weights)):
        _refuse_unknown(wanted, names, field)
    column = request.split["column"]
    if request.split["by"] == "row":
        return [*request.targets, *request.features, *weights]
    if column is None:
        _refuse_no_column(request.split["by"])
        return names
    _refuse_unknown([column], names, "split.column")
    return [*request.targets, *request.features, *weights, column]


def _refuse_no_column(by: str) -> None:
    if by != "hash":
        raise DataError(f"split.by {by} needs split.column.", code="invalid_split", field="split.column")


def _refuse_unknown(wanted: Iterable[str], names: list[str], field: str) -> None:
    known = frozenset(names)
    for name in wanted:
        if name not in known:
            raise DataError(f"The dataset has no column '{name}'.", code="column_not_found", field=field)


def _check(columns: Mapping[str, Column], request: MatrixRequest, first_row: int | None) -> None:
    """DataError where targets and features are not columns that can be used as such."""
    complete = [("target", request.targets)]
    complete += [("features", request.features)] if request.missing_values == "error" else []
    for field, names in complete:
        for name in names:
            _refuse_missing(columns[name], first_row, field)
    if not request.features:
        raise DataError("No column is left to be a feature.", code="no_features", field="features")
    for name in request.features:
        if name in request.targets:
            raise DataError(f"Column '{name}' is target and feature.", code="target_is_feature", field="features")
        _refuse_text(columns[name])


def _refuse_text(column: Column) -> None:
    if column.type == "date":
        raise DataError(
            f"Column '{column.name}' holds dates, which can't be a feature. Put it in `ignore`.",
            code="text_feature",
            field="features",
        )
    if column.type == "text":
        raise DataError(
            f"Column '{column.name}' is text with too many different values to be a feature. "
            f'Put it in `ignore`, or declare it: options.types = {{"{column.name}": "category"}}.',
            code="text_feature",
            field="features",
        )


def _refuse_missing(column: Column, first_row: int | None, field: str) -> None:
    """DataError; rows count as in the file where it is known that they can be counted so, else among the data."""
    if column.missing is not None:
        masks = ((rows.start, column.missing[rows]) for rows in spans(len(column.missing)))
        first_missing = next(start + int(mask.argmax()) for start, mask in masks if mask.any())
        first = f"row {first_row + first_missing}" if first_row is not None else f"row {first_missing + 1} of the data"
        raise DataError(
            f"Column '{column.name}' has no value in {part_of(column.count_missing(), len(column.values), 'row')}, "
            f"first in {first}. {MISSING_WAY_OUT[field]}",
            code="missing_values",
            field=field,
        )


def _split(columns: Mapping[str, Column], rows: int, request: MatrixRequest, scratch: Path) -> Split:
    """The split of the dataset's own rows; with a validation dataset, none of them validates."""
    by, column, salt = request.split["by"], request.split["column"], request.split["salt"]
    validation, test = request.split["validation"], request.split["test"]
    if by == "row":
        return split_by_row(rows, validation, test, scratch=scratch)
    if by == "time":
        return split_by_time(columns[column], validation, test, scratch=scratch)
    names = set(columns) - {*request.targets, request.weight_column} if column is None else {column}
    hashed = [columns[name] for name in names]
    if not request.split.get("stratify"):
        return split_by_hash(hashed, rows, validation, test, salt, scratch=scratch)
    hashes = ScratchArray(scratch / "hashes", np.uint64)
    for block in row_hashes(hashed, rows, salt):
        hashes.append(block)
    target = columns[request.targets[0]]
    return split_by_strata(hashes, target.values, distinct_values(target), validation, test, scratch=scratch)
