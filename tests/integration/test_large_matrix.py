"""A training matrix of many rows takes no more memory than one of few, and one that takes too much is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.ingest import ingest_file
from service.resources import ENVIRONMENT
from tests.preparing import ANSWER

ROWS = 1_000_000
LIMIT = 56 * 2**20
"""Less than the columns take."""
NUMBERS = [f"x{place}" for place in range(8)]
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
SPLIT = {"validation": 0.1, "test": 0.1, "by": "hash", "column": None, "stratify": False, "salt": ""}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, random = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    columns: dict[str, Any] = {name: random.normal(size=ROWS) for name in NUMBERS}
    columns["gaps"] = pa.array(random.integers(0, 50, ROWS) / 7, mask=random.random(ROWS) < 0.1)
    columns["kind"] = pa.array(random.choice(["red", "green", "blue"], ROWS))
    columns["note"] = pa.array(random.permutation(ROWS)).cast(pa.string())
    columns["y"] = random.integers(0, 3, ROWS)
    pyarrow.parquet.write_table(pa.table(columns), directory / "rows.parquet")
    ingest_file(directory / "rows.parquet", {}, directory / "dataset", {})
    return directory / "dataset"


def built(dataset: Path, destination: Path, limit: int, **changes: Any) -> dict[str, Any]:
    """The answer of a process that may have so much more memory than it begins with."""
    request = {
        "targets": ["y"], "task": "classification", "features": [*NUMBERS, "gaps", "kind"], "split": SPLIT,
        "standardize": True, "dtype": "float32", "missing_values": "mean",
    } | changes  # fmt: skip
    message = {
        "id": 1, "do": "build", "dataset_directory": str(dataset), "destination": str(destination),
        "request": request, "memory_bytes": limit, "start": None,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, json.dumps(message)],
        env={**os.environ, **ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@LINUX_ONLY
@pytest.mark.parametrize(
    "changes",
    [
        {"split": SPLIT | {"stratify": True}, "missing_values": "most_frequent"},
        {"split": SPLIT | {"by": "time", "column": "note"}},
        {"split": SPLIT | {"by": "time", "column": "x0"}, "targets": ["y", "x7"], "task": "regression"},
    ],
    ids=["strata", "unsorted texts", "time"],
)
def test_many_rows_need_no_more_memory_than_a_few_blocks(
    dataset: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    if "targets" in changes:
        changes = changes | {"features": NUMBERS[:-1]}
    answer = built(dataset, tmp_path / "matrix", LIMIT, **changes)
    assert "ok" in answer, answer
    assert answer["ok"]["training_rows"] == pytest.approx(0.8 * ROWS, rel=0.01)


@LINUX_ONLY
def test_rows_that_become_very_many_inputs_need_no_more_memory_than_a_few_of_them(tmp_path: Path) -> None:
    """Of 60 columns with 1,000 categories each, 256 rows would take 120 MiB."""
    names = [f"k{place}" for place in range(60)]
    texts = np.array([f"v{number % 1000}" for number in range(2000)])
    table = {name: np.roll(texts, place) for place, name in enumerate(names)} | {"y": np.arange(2000) % 2}
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "rows.parquet")
    types = dict.fromkeys(names, "category")
    ingest_file(tmp_path / "rows.parquet", {"types": types}, tmp_path / "dataset", {})
    split = {"validation": 0.0, "test": 0.0, "by": "row", "column": None, "salt": ""}
    changes = {"features": names, "split": split, "missing_values": "error", "max_categories": 1000}
    answer = built(tmp_path / "dataset", tmp_path / "matrix", LIMIT, **changes)
    assert answer["ok"]["n_inputs"] == 60 * 1001, answer


@LINUX_ONLY
def test_a_matrix_that_takes_too_much_memory_is_refused_with_the_way_out(dataset: Path, tmp_path: Path) -> None:
    error = built(dataset, tmp_path / "matrix", 2**20)["error"]
    assert (error["code"], "GRADSUM_LIMIT_INGEST_MEMORY_BYTES" in error["message"]) == ("matrix_too_large", True)
    assert list(tmp_path.iterdir()) == []
