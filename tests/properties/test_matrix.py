"""A matrix is the same whatever blocks its rows are read in: that of plain arithmetic on whole columns."""

import hashlib
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ingest import ingest_file
from workers.counting import part_of
from workers.errors import DataError
from workers.files import scratch_directory
from workers.matrix import MatrixRequest, open_matrix
from workers.matrix_build import build

ADDED_AT_ONCE = 7
"""So many training rows are added up at once here, that a few make several blocks."""
NAMES = ("a", "d", "k", "t", "w", "x", "y")


class Row(NamedTuple):
    a: float | None
    d: str
    k: str | None
    t: str
    w: int
    x: float
    y: str


ROW = st.builds(
    Row,
    a=st.none() | st.integers(-3, 3).map(lambda n: n / 7),
    d=st.integers(10, 28).map(lambda day: f"2024-02-{day}"),
    k=st.none() | st.sampled_from(["red", "grün", "blue"]),
    t=st.integers(0, 40).map(lambda n: f"note{'s' * (n % 3)} {n}"),
    w=st.integers(1, 2),
    x=st.integers(0, 29).map(lambda n: n / 3),
    y=st.sampled_from(["no", "yes"]),
)
ROWS = st.lists(ROW, min_size=24, max_size=60)
SPLITS = st.sampled_from(
    [
        {"by": "hash", "column": None},
        {"by": "group", "column": "x"},
        {"by": "row", "column": None},
        {"by": "time", "column": "x"},
        {"by": "time", "column": "y"},
        {"by": "time", "column": "d"},
        {"by": "time", "column": "t"},
        {"by": "group", "column": "t"},
        {"by": "hash", "column": None, "stratify": True},
        {"by": "hash", "column": "x", "stratify": True},
    ]
).map(lambda split: {"validation": 0.25, "test": 0.25, "salt": "s", "stratify": False} | split)


@settings(max_examples=60)
@given(
    rows=ROWS,
    split=SPLITS,
    others=st.none() | st.lists(ROW, min_size=1, max_size=20),
    is_regression=st.booleans(),
    method=st.sampled_from(["mean", "most_frequent"]),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 20)),
)
def test_blocks_of_any_size_give_the_matrix_of_whole_columns(
    rows: list[Row],
    split: dict[str, Any],
    others: list[Row] | None,
    method: str,
    sizes: tuple[int, int, int],
    *,
    is_regression: bool,
) -> None:
    """`others` are the rows of a validation dataset."""
    split = split | ({} if others is None else {"validation": 0.0}) | ({"stratify": False} if is_regression else {})
    target, task = ("x", "regression") if is_regression else ("y", "classification")
    features = ("a", "k") if is_regression else ("a", "k", "x")
    request = MatrixRequest(
        (target,), task, features, split, standardize=True, dtype="float64", weight_column="w", missing_values=method
    )
    with scratch_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.training_rows.BLOCK_ROWS", ADDED_AT_ONCE)
        datasets = made(directory / "own", rows), None if others is None else made(directory / "others", others)
        whole = outcome(datasets, request, directory / "whole")
        read_at_once, written_at_once, words_at_once = sizes
        patch.setattr("workers.stored.BLOCK_ROWS", read_at_once)
        patch.setattr("workers.row_hashes.BLOCK_BYTES", 64 * len(NAMES) * read_at_once)
        patch.setattr("workers.text_spans.MOST_TEXT_BYTES", 100 * read_at_once)
        patch.setattr("workers.matrix_build.FEWEST_BLOCK_ROWS", written_at_once)
        patch.setattr("workers.matrix_build.BLOCK_VALUES", 1)
        patch.setattr("workers.distinct.WORDS_AT_ONCE", words_at_once)
        assert outcome(datasets, request, directory / "parts") == whole
    if not isinstance(whole, str):
        assert whole == expected(rows, others, request)


def made(directory: Path, rows: list[Row]) -> Path:
    lines = (",".join("" if value is None else str(value) for value in row) for row in rows)
    directory.mkdir()
    (directory / "rows.csv").write_text(",".join(NAMES) + "\n" + "\n".join(lines) + "\n")
    kinds = ("number", "date", "category", "text", "number", "number", "category")
    types = dict(zip(NAMES, kinds, strict=True))
    ingest_file(directory / "rows.csv", {"types": types, "header": True}, directory / "dataset", {})
    return directory / "dataset"


def outcome(datasets: tuple[Path, Path | None], request: MatrixRequest, destination: Path) -> dict[str, Any] | str:
    try:
        build(datasets[0], request, destination, datasets[1])
    except DataError as error:
        return error.message
    matrix = open_matrix(destination)
    assert matrix.weights is not None
    return {
        "rows": (matrix.training_rows, matrix.validation_rows, matrix.test_rows),
        "X": matrix.X.tolist(),
        "y": matrix.y.tolist(),
        "weights": matrix.weights.tolist(),
        "features": matrix.preprocessing["features"],
        "warnings": matrix.warnings,
    }


def expected(rows: list[Row], others: list[Row] | None, request: MatrixRequest) -> dict[str, Any]:
    method, is_regression = request.missing_values, request.task == "regression"
    parts = parts_of(rows, request.split, request.targets[0])
    training, validation, test = (
        [row for row, found in zip(rows, parts, strict=True) if found == part] for part in range(3)
    )
    validation = validation if others is None else others
    warnings: list[str] = []
    a = number("a", [row.a for row in training], method, warnings)
    k = category([row.k for row in training], warnings)
    x = number("x", [row.x for row in training], None, [] if is_regression else warnings) | {
        "fill": number("x", [row.x for row in training], method, [])["fill"]
    }
    known = {key(row, request) for row in training}
    counts = [sum(key(row, request) in known for row in held_out) for held_out in (validation, test)]
    shared = [
        part_of(count, len(held_out), f"{name} row")
        for count, name, held_out in zip(counts, ("validation", "test"), (validation, test), strict=True)
        if count
    ]
    stand = "stands" if sum(counts) == 1 else "stand"
    if shared:
        warnings.append(
            f"{' and '.join(shared)} {stand} in training too, same features and target: their figures look too good. "
            f"Remove repeated rows, or keep what belongs together on one side with split.by group."
        )
    in_order = [*training, *validation, *test]
    classes = sorted({row.y for row in rows})
    return {
        "rows": (len(training), len(validation), len(test)),
        "X": [
            [standard(row.a, a), *one_hot(row.k, k), *([] if is_regression else [standard(row.x, x)])]
            for row in in_order
        ],
        "y": [[row.x] if is_regression else classes.index(row.y) for row in in_order],
        "weights": [float(row.w) for row in in_order],
        "features": [a, k] if is_regression else [a, k, x],
        "warnings": tuple(warnings),
    }


def key(row: Row, request: MatrixRequest) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in (*request.features, *request.targets))


def parts_of(rows: list[Row], split: dict[str, Any], target: str) -> list[int]:
    n, test, validation = len(rows), split["test"], split["validation"]
    n_test, n_validation = int(n * test + 0.5), int(n * validation + 0.5)
    if split["by"] == "row":
        return [0] * (n - n_test - n_validation) + [1] * n_validation + [2] * n_test
    if split["by"] == "time":
        times = [getattr(row, split["column"]) for row in rows]
        in_order = sorted(times)
        first_test = in_order.index(in_order[n - n_test]) if n_test else n
        cut = in_order[max(0, first_test - n_validation)] if n_validation else None
        return [
            2 if first_test < n and time >= in_order[first_test] else int(cut is not None and time >= cut)
            for time in times
        ]
    hashes = [hash_of(row, split, target) for row in rows]
    if not split["stratify"]:
        return [2 if u / 2**64 < test else int(u / 2**64 < test + validation) for u in hashes]
    found = [0] * n
    for label in ("no", "yes"):
        places = sorted((place for place in range(n) if rows[place].y == label), key=lambda place: hashes[place])
        tests = min(int(len(places) * test + 0.5), len(places) - 1)
        validates = min(int(len(places) * validation + 0.5), len(places) - 1 - tests)
        for number_, place in enumerate(places):
            found[place] = 2 if number_ < tests else int(number_ < tests + validates)
    return found


def hash_of(row: Row, split: dict[str, Any], target: str) -> int:
    data = split["salt"].encode()
    hashed = [name for name in NAMES if name not in {target, "w"}]
    for name in hashed if split["column"] is None else (split["column"],):
        value = getattr(row, name)
        raw = struct.pack("<d", value) if isinstance(value, float) else (value or "").encode()
        data += b"\xff\xff\xff\xff" if value is None else struct.pack("<I", len(raw)) + raw
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def added(values: list[float]) -> float:
    starts = range(0, len(values), ADDED_AT_ONCE)
    return math.fsum(float(np.sum(np.array(values[start : start + ADDED_AT_ONCE]))) for start in starts)


def number(name: str, values: list[float | None], method: str | None, warnings: list[str]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    if method == "mean":
        fill = added(present) / len(present)
    else:
        fill = min(set(present), key=lambda value: (-present.count(value), value))
    filled = [fill if value is None else value for value in values]
    found = {"type": "number", "name": name, "mean": filled[0], "std": 1.0, "fill": fill}
    if len(set(filled)) == 1:
        warnings.append(f"Column '{name}' has the same value in all training rows: the model can't learn from it.")
        return found
    mean = added(filled) / len(filled)
    return found | {"mean": mean, "std": math.sqrt(added([(value - mean) ** 2 for value in filled]) / len(filled))}


def category(values: list[str | None], warnings: list[str]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    fill = min(set(present), key=lambda value: (-present.count(value), value))
    filled = [value or fill for value in values]
    if len(set(filled)) == 1:
        warnings.append("Column 'k' has the same value in all training rows: the model can't learn from it.")
    kept = sorted({value for value in filled if filled.count(value) >= 2})
    return {"type": "category", "name": "k", "categories": kept, "fill": fill}


def standard(value: float | None, feature: dict[str, Any]) -> float:
    filled: float = feature["fill"] if value is None else value
    return float((filled - feature["mean"]) / feature["std"])


def one_hot(value: str | None, feature: dict[str, Any]) -> list[float]:
    filled = value or feature["fill"]
    return [float(filled == text) for text in feature["categories"]] + [float(filled not in feature["categories"])]
