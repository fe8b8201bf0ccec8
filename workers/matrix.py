"""The training matrix: what a job trains on, derived from a dataset and kept under the hash of the request."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from .dataset import Column, read_columns, read_metadata
from .duplicates import warnings_of_shared_rows
from .errors import DataError
from .files import publish_directory
from .imputation import fill_of, filled
from .integrity import check_all, fingerprint
from .preprocessing import CategoryFeature, Preprocessing, fit, known_codes, to_json, transform
from .split import Split, row_hashes, split_by_hash, split_by_row, split_by_strata, split_by_time
from .validation_rows import appended

Array = npt.NDArray[Any]
VERSION = 3
"""Raised when the same request would give another matrix, so that cached ones are not mistaken for it."""
BLOCK_VALUES = 2**19
MISSING_WAY_OUT = {
    "features": "Set preprocessing.missing_values to mean or most_frequent, clean the file, or leave the column out.",
    "target": "Fill the column, or remove these rows in the file.",
}


class MatrixRequest(NamedTuple):
    """What a matrix is made of, beside its datasets. `split` is that of the spec, as an object."""

    targets: tuple[str, ...]
    task: str  # classification | regression
    features: tuple[str, ...]
    split: Mapping[str, Any]
    standardize: bool
    dtype: str  # float32 | float64
    weight_column: str | None = None
    missing_values: str = "error"  # error | mean | most_frequent
    missing_markers: tuple[str, ...] = ()
    """What stands for missing in the dataset's file; predictions understand it where missing values are filled."""
    max_categories: int | None = None
    """How many categories of a column become inputs of their own at most."""


class Matrix(NamedTuple):
    """An open training matrix: training rows in file order, then validation rows, then test rows."""

    X: Array  # (rows, n_inputs) in dtype, read-only
    y: Array  # classification: (rows,) int32 places in `classes`; regression: (rows, n_targets) in dtype
    weights: Array | None  # (rows,) float64: the weight column; None where each row counts the same
    training_rows: int
    validation_rows: int
    test_rows: int
    targets: tuple[str, ...]
    features: tuple[str, ...]
    classes: tuple[str | int | float, ...] | None
    preprocessing: dict[str, Any]
    n_inputs: int
    dtype: str
    warnings: tuple[str, ...]
    arrays: dict[str, dict[str, Any]]


def request_from_json(saved: Mapping[str, Any]) -> MatrixRequest:
    """The request that travelled as a JSON object with the names of its fields."""
    lists = {name: tuple(saved[name]) for name in ("targets", "features", "missing_markers") if name in saved}
    return MatrixRequest(**{**saved, **lists})


def matrix_key(content_key: str, request: MatrixRequest, validation_content_key: str | None = None) -> str:
    """The hex SHA-256 that names the matrix of this request from the datasets with these content keys."""
    parts = [VERSION, content_key, validation_content_key, request._asdict()]
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def open_matrix(directory: Path) -> Matrix:
    """The matrix in `directory`, memory-mapped and read-only."""
    meta = json.loads((directory / "matrix.json").read_bytes())
    lists = {name: tuple(meta[name]) for name in ("targets", "features", "warnings")}
    classes = None if meta["classes"] is None else tuple(meta["classes"])
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in meta["arrays"]}
    weights = arrays.pop("weights", None)
    return Matrix(**arrays, weights=weights, **{**meta, **lists, "classes": classes})


def build(
    dataset_directory: Path, request: MatrixRequest, destination: Path, validation_directory: Path | None = None
) -> dict[str, Any]:
    """Makes the matrix in `destination`, whole or not at all, unless it is there, and returns its `matrix.json`.

    One that is there and was changed since is made anew. DataError names what stands in the way: a column that is not
    there, text or missing values where numbers are needed, a split without rows, fewer than two classes, values beyond
    the dtype. The rows of the dataset in `validation_directory` validate.
    """
    found = kept_matrix(destination)
    if found is None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as temporary:
            _write(dataset_directory, validation_directory, request, Path(temporary))
            publish_directory(Path(temporary), destination)
        found = json.loads((destination / "matrix.json").read_bytes())
    return found


def kept_matrix(directory: Path) -> dict[str, Any] | None:
    """The `matrix.json` of a matrix that is there as it was written; what is left of one that is not makes room."""
    if not directory.exists():
        return None
    try:
        check_all(directory)
    except DataError:
        shutil.rmtree(directory)
        return None
    os.utime(directory)  # it is wanted: whoever removes old ones leaves it
    meta: dict[str, Any] = json.loads((directory / "matrix.json").read_bytes())
    return meta


def read_split(dataset_directory: Path, request: MatrixRequest) -> tuple[dict[str, Column], Split]:
    """The columns that a matrix takes of its dataset, and which of the dataset's own rows train, validate and test."""
    columns, metadata = _read(dataset_directory, request)
    return columns, _split(columns, metadata["rows"], request)


def _write(dataset_directory: Path, validation_directory: Path | None, request: MatrixRequest, directory: Path) -> None:
    columns, metadata = _read(dataset_directory, request)
    split = _split(columns, metadata["rows"], request)
    if validation_directory is not None:
        columns, split = _with_validation_rows(columns, split, validation_directory, request)
    order = np.concatenate(split)
    targets, features = ([columns[name] for name in names] for names in (request.targets, request.features))
    classes, y = _targets(targets, request)
    preprocessing, raw, warnings = _fit(features, split.training, request)
    _write_inputs(directory / "X.npy", preprocessing, raw, order, request.dtype)
    np.save(directory / "y.npy", y[order], allow_pickle=False)
    if request.weight_column is not None:
        weights = _weights(columns[request.weight_column], split, request.dtype)
        np.save(directory / "weights.npy", weights, allow_pickle=False)
    meta = {
        "training_rows": len(split.training),
        "validation_rows": len(split.validation),
        "test_rows": len(split.test),
        "targets": request.targets,
        "features": request.features,
        "classes": classes,
        "preprocessing": to_json(preprocessing),
        "n_inputs": preprocessing.n_inputs,
        "dtype": request.dtype,
        "warnings": warnings + warnings_of_shared_rows([*features, *targets], split),
        "arrays": {file.stem: fingerprint(file) for file in sorted(directory.glob("*.npy"))},
    }
    (directory / "matrix.json").write_text(json.dumps(meta, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _read(directory: Path, request: MatrixRequest) -> tuple[dict[str, Column], dict[str, Any]]:
    """The columns that a matrix takes of its dataset, and the dataset's metadata."""
    metadata = read_metadata(directory)
    columns = read_columns(directory, _needed([column["name"] for column in metadata["columns"]], request))
    _check(columns, request, metadata["first_row"])
    return columns, metadata


def _with_validation_rows(
    columns: dict[str, Column], split: Split, directory: Path, request: MatrixRequest
) -> tuple[dict[str, Column], Split]:
    """The columns with the rows of the validation dataset behind theirs, and the split with these rows."""
    weights = [] if request.weight_column is None else [request.weight_column]
    used = [*request.targets, *request.features, *weights]
    try:
        theirs = read_columns(directory, used)
        _check(theirs, request, read_metadata(directory)["first_row"])
    except DataError as error:
        message = f"In the validation dataset: {error.message}"
        raise DataError(message, code=error.code, field="validation_dataset") from None
    classes = request.targets[0] if request.task == "classification" else None
    joined = {name: appended(columns[name], theirs[name], is_target=name == classes) for name in used}
    rows = len(columns[used[0]].values)
    return joined, split._replace(validation=np.arange(rows, rows + len(theirs[used[0]].values)))


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
        if columns[name].type == "text":
            raise DataError(
                f"Column '{name}' is text with too many different values to be a feature. "
                f'Put it in `ignore`, or declare it: options.types = {{"{name}": "category"}}.',
                code="text_feature",
                field="features",
            )


def _refuse_missing(column: Column, first_row: int | None, field: str) -> None:
    """DataError; rows count as in the file where it is known that they can be counted so, else among the data."""
    if column.missing is not None:
        rows = np.flatnonzero(column.missing)
        first = f"row {first_row + rows[0]}" if first_row is not None else f"row {rows[0] + 1} of the data"
        raise DataError(
            f"Column '{column.name}' has no value in {len(rows)} of {len(column.values)} rows, "
            f"first in {first}. {MISSING_WAY_OUT[field]}",
            code="missing_values",
            field=field,
        )


def _split(columns: Mapping[str, Column], rows: int, request: MatrixRequest) -> Split:
    """The split of the dataset's own rows; with a validation dataset, none of them validates."""
    by, column, salt = request.split["by"], request.split["column"], request.split["salt"]
    validation, test = request.split["validation"], request.split["test"]
    if by == "row":
        return split_by_row(rows, validation, test)
    if by == "time":
        return split_by_time(columns[column], validation, test)
    names = set(columns) - {*request.targets, request.weight_column} if column is None else {column}
    hashed = [columns[name] for name in names]
    if request.split.get("stratify"):
        return split_by_strata(row_hashes(hashed, rows, salt), columns[request.targets[0]].values, validation, test)
    return split_by_hash(hashed, rows, validation, test, salt)


def _weights(column: Column, split: Split, dtype: str) -> Array:
    """The weight column in the order of the matrix; DataError where it can't weigh the rows of one of its parts."""
    reason = None
    if column.type != "number" or column.missing is not None or (column.values < 0).any():
        reason = "must hold a number of at least 0 in each row"
    else:
        parts = split._asdict().items()
        idle = [name for name, rows in parts if len(rows) > 0 and not column.values[rows].any()]
        reason = f"is 0 in all {' and '.join(idle)} rows" if idle else None
    if reason is not None:
        raise DataError(f"Column '{column.name}' {reason}.", code="invalid_weights", field="weight_column")
    with np.errstate(over="ignore"):
        _refuse_nonfinite(column.values.astype(dtype), column.name, "weight_column")
        if not np.isfinite(column.values.sum()):
            raise DataError(
                f"The weights in column '{column.name}' are too large to be added (up to {column.values.max():g}). "
                f"Divide them all by the same number: only their proportions count.",
                code="invalid_weights",
                field="weight_column",
            )
    weights: Array = column.values[np.concatenate(split)]
    return weights


def _targets(columns: list[Column], request: MatrixRequest) -> tuple[list[str | int | float] | None, Array]:
    """The classes (None for a regression) and y in the order of the file."""
    if request.task == "classification":
        return _classes(columns)
    for column in columns:
        if column.type != "number":
            raise DataError(
                f"Column '{column.name}' is text: a regression needs numbers. Set task to classification.",
                code="target_not_numeric",
                field="target",
            )
    with np.errstate(over="ignore"):
        y = np.stack([column.values for column in columns], axis=1).astype(request.dtype)
    for place, column in enumerate(columns):
        _refuse_nonfinite(y[:, place], column.name, "target")
    return None, y


def _classes(columns: list[Column]) -> tuple[list[str | int | float], Array]:
    if len(columns) != 1:
        raise DataError("A classification has one target.", code="several_targets", field="target")
    column = columns[0]
    places, y = np.unique(column.values, return_inverse=True)
    classes: list[str | int | float] = places.tolist()
    if column.categories is not None:
        classes = [column.categories[code] for code in places.tolist()]
    elif (np.trunc(places) == places).all():
        classes = [int(value) for value in places.tolist()]
    if len(classes) < 2:  # noqa: PLR2004 - a choice takes two
        raise DataError(
            f"Column '{column.name}' has one value only ({classes[0]!r}): a classification needs two classes or more.",
            code="one_class",
            field="target",
        )
    return classes, y.astype(np.int32)


def _fit(
    columns: list[Column], training_rows: Array, request: MatrixRequest
) -> tuple[Preprocessing, dict[str, Array], list[str]]:
    """The preprocessing, and the columns as it takes them."""
    fills: dict[str, float | str] = {}
    if request.missing_values != "error":
        fills = {column.name: fill_of(column, training_rows, request.missing_values) for column in columns}
    raw = {column.name: filled(column, fills[column.name]) if fills else column.values for column in columns}
    categories = {column.name: column.categories for column in columns if column.categories is not None}
    preprocessing, warnings = fit(
        raw,
        categories,
        training_rows,
        standardize=request.standardize,
        fills=fills,
        missing_markers=request.missing_markers if fills else (),
        max_categories=request.max_categories,
    )
    for feature in preprocessing.features:
        if isinstance(feature, CategoryFeature):
            raw[feature.name] = known_codes(feature, raw[feature.name], categories[feature.name])
    return preprocessing, raw, warnings


def _write_inputs(path: Path, preprocessing: Preprocessing, raw: Mapping[str, Array], order: Array, dtype: str) -> None:
    X = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=(len(order), preprocessing.n_inputs))
    block_rows = max(1, BLOCK_VALUES // preprocessing.n_inputs)
    for first in range(0, len(order), block_rows):
        rows = order[first : first + block_rows]
        with np.errstate(over="ignore"):
            inputs = transform(preprocessing, {name: values[rows] for name, values in raw.items()}).astype(dtype)
        if not np.isfinite(inputs).all():
            _refuse_overflow(preprocessing, inputs)
        X[first : first + len(rows)] = inputs
    X.flush()


def _refuse_overflow(preprocessing: Preprocessing, inputs: Array) -> None:
    """Names the column whose number is beyond the dtype: only numbers can be."""
    first = 0
    for feature in preprocessing.features:
        _refuse_nonfinite(inputs[:, first], feature.name, "features")
        first += len(feature.categories) + 1 if isinstance(feature, CategoryFeature) else 1


def _refuse_nonfinite(values: Array, name: str, field: str) -> None:
    n_beyond = np.count_nonzero(~np.isfinite(values))
    if n_beyond:
        raise DataError(
            f"Column '{name}' has {n_beyond} values too large for {values.dtype}. "
            f"Scale the column, or set training.dtype to float64.",
            code="nonfinite_values",
            field=field,
        )
