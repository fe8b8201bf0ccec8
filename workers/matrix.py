"""The training matrix: what a job trains on, named by the hash of its request; `workers.matrix_build` makes it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .target_scaling import TargetScaling, scaling_from_json

Array = npt.NDArray[Any]
VERSION = 4
"""Raised when the same request would give another matrix, so that cached ones are not mistaken for it."""


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
    standardize_target: bool = False


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
    target_scaling: TargetScaling | None = None  # what y was subtracted and divided by


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
    scaling = scaling_from_json(meta.get("target_scaling"))
    return Matrix(**arrays, weights=weights, **{**meta, **lists, "classes": classes, "target_scaling": scaling})
