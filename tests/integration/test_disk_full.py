"""Data for which there is no room on disk: a small file system of its own, seen by one process only."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.ingest import ingest_file
from tests.object_server import object_server
from tests.preparing import ANSWER

ROWS = "a,b\n" + "".join(f"{number},{number}\n" for number in range(40_000))
IN_A_SMALL_ONE = 'mount -t tmpfs -o size="$5"k none "$1" && exec "$2" -c "$3" "$4"'
REQUEST = {
    "targets": ["b"], "task": "regression", "features": ["a"], "standardize": True, "dtype": "float32",
    "split": {"validation": 0.1, "test": 0.0, "by": "row", "column": None, "salt": ""},
}  # fmt: skip
BRING = """
import json, sys
from workers.storage import StorageUnavailableError, storage_of
storage = storage_of(json.loads(sys.argv[1]))
try:
    storage.bring(storage.root / "uploads" / "ds_1")
except StorageUnavailableError as error:
    print(error)
"""


@pytest.mark.parametrize("work", ["fetch", "ingest", "build"])
def test_no_room_on_disk_is_said_as_what_it_is(tmp_path: Path, work: str) -> None:
    (small := tmp_path / "small").mkdir()
    (tmp_path / "rows.csv").write_text(ROWS)
    ingest_file(tmp_path / "rows.csv", {}, tmp_path / "dataset", {})
    messages: dict[str, dict[str, Any]] = {
        "fetch": {
            "uri": f"file://{tmp_path}/rows.csv", "rules": {"import_roots": [str(tmp_path)]},
            "s3": {"endpoint": "", "region": ""}, "limit_bytes": 10**9, "limit_seconds": 60,
        },
        "build": {
            "dataset_directory": str(tmp_path / "dataset"), "request": REQUEST, "start": None,
        },
        "ingest": {"path": str(tmp_path / "rows.csv"), "options": {}, "limits": {}},
    }  # fmt: skip
    message = json.dumps({"id": 1, "do": work, "destination": str(small / "made"), **messages[work]})
    check_storage_full(said_in(small, ANSWER, message))


@pytest.mark.parametrize("kibibytes", range(1000, 1700, 100))
def test_wherever_the_room_ends_a_matrix_is_not_built(tmp_path: Path, kibibytes: int) -> None:
    """Hashes, parts, numbers, words and rows lie on disk on the way; each of them may be what there is no room for."""
    (small := tmp_path / "small").mkdir()
    rows, random = 60_000, np.random.default_rng(0)
    columns = {
        "a": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1),
        "b": random.integers(0, 2, rows),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "rows.parquet")
    ingest_file(tmp_path / "rows.parquet", {}, tmp_path / "dataset", {})
    split = {"validation": 0.1, "test": 0.1, "by": "hash", "column": None, "salt": "", "stratify": True}
    request = REQUEST | {"task": "classification", "missing_values": "most_frequent", "split": split}
    message = {
        "id": 1, "do": "build", "destination": str(small / "made"), "dataset_directory": str(tmp_path / "dataset"),
        "request": request, "start": None,
    }  # fmt: skip
    check_storage_full(said_in(small, ANSWER, json.dumps(message), kibibytes))


def check_storage_full(answer: str) -> None:
    error = json.loads(answer)["error"]
    assert error["code"] == "storage_full"
    assert "no room left on disk" in error["message"]


def test_no_room_for_a_copy_of_what_a_bucket_has_is_waited_for(tmp_path: Path) -> None:
    (small := tmp_path / "small").mkdir()
    with object_server() as server:
        storage = server.storage(tmp_path / "node")
        (upload := storage.root / "uploads" / "ds_1").parent.mkdir(parents=True)
        upload.write_bytes(bytes(10**6))
        storage.keep(upload)
        environment = json.dumps({**server.settings(), "GRADSUM_DATA_DIR": str(small)})
        said = said_in(small, BRING, environment)
    assert "has no room left for a copy" in said
    assert "GRADSUM_STORAGE_CACHE_BYTES" in said


def said_in(small: Path, code: str, argument: str, kibibytes: int = 128) -> str:
    """What Python code prints that finds a small file system at `small`."""
    arguments = [str(small), sys.executable, code, argument, str(kibibytes)]
    command = ["unshare", "-rm", "sh", "-c", IN_A_SMALL_ONE, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small file system: {done.stderr.strip()}")
    return done.stdout
