"""A copy of the bucket's files that was damaged on a node: never used, and fetched again."""

import time
from pathlib import Path
from typing import Any

from service.prepare import answer
from tests.object_server import object_server
from workers.bucket import Bucket
from workers.driver import Attempt
from workers.gradients import combine
from workers.matrix import MatrixRequest
from workers.problem import Order
from workers.resolve import DatasetFacts, Limits, resolve
from workers.spec import JobSpec, parse
from workers.storage import MATRIX_GONE

ROWS = "a,b\n" + "".join(f"{number},{number % 2}\n" for number in range(60))
LIMITS = Limits(10**9, 10**7, 4096, 1024)


def asked(storage: Bucket, **message: Any) -> dict[str, Any]:
    """What the preparing process answers, which has to be good."""
    found: dict[str, Any] = answer({"id": 1, **message}, storage)["ok"]
    return found


def resolved(read: dict[str, Any]) -> JobSpec:
    body = {"dataset": "little", "target": "b", "preset": "textbook", "training": {"epochs": 3}}
    return resolve(parse(body), DatasetFacts("ds_1", "little", read["rows"], read["columns"]), LIMITS).spec


def ended(order: Order, storage: Bucket) -> dict[str, Any]:
    """What an attempt reports at its end."""
    attempt = Attempt("job_1", 1, order, combine, storage)
    deadline = time.monotonic() + 60
    while (report := attempt.progress(0))["state"] in {"starting", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return report


def test_an_attempt_without_its_matrix_or_a_storage_it_may_use_says_so(tmp_path: Path) -> None:
    with object_server() as server:
        node = server.storage(tmp_path)
        order = Order({}, {}, str(tmp_path / "matrices" / "gone"), str(tmp_path / "jobs" / "job_1" / "1"))
        gone = ended(order._replace(storage=node.url), node)
        assert (gone["state"], gone["reason"]) == ("gone", MATRIX_GONE)
        elsewhere = ended(order._replace(storage="s3://elsewhere"), node)
        assert (elsewhere["state"], elsewhere["code"]) == ("refused", "waiting_for_storage")
        assert "both need the same GRADSUM_STORAGE_URL" in elsewhere["reason"]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_copies_of_columns_and_of_matrices_that_were_damaged_are_fetched_again(tmp_path: Path) -> None:
    with object_server() as server:
        node, other = server.storage(tmp_path / "node"), server.storage(tmp_path / "other")
        columns, matrix = node.root / "datasets" / "key", node.root / "matrices" / "key"
        (upload := node.root / "uploads" / "ds_1").parent.mkdir(parents=True)
        upload.write_text(ROWS)
        limits = {"columns": 10, "rows": 100, "bytes": 10**6}
        read = asked(node, do="ingest", path=str(upload), options={}, destination=str(columns), limits=limits)
        damage(columns / "000000.npy")
        spec = resolved(read)
        split = spec.split.model_dump()
        request = MatrixRequest(("b",), "classification", ("a",), split, standardize=True, dtype="float32")
        message = {
            "do": "build", "dataset_directory": str(columns), "validation_directory": None,
            "request": request._asdict(), "destination": str(matrix), "start": None,
        }  # fmt: skip
        built = asked(node, **message)
        damage(matrix / "X.npy")
        assert asked(node, **message) == built

        there = other.root / "matrices" / "key"
        order = Order(
            spec.model_dump(), {"shards": 2, "workers": 1}, str(there), str(other.root / "jobs" / "job_1" / "1")
        )
        first = ended(order._replace(storage=other.url), other)
        assert first["state"] == "succeeded", first
        damage(there / "X.npy")
        assert ended(order._replace(storage=other.url), other)["state"] == "gone"
        again = ended(order._replace(storage=other.url), other)
        assert again["result"]["weights_sha256"] == first["result"]["weights_sha256"]
