"""Every row of bad input against the running service: each case ends as it must, and nothing is left of any."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.bad_input import bodies, files, training, uris
from tests.bad_input.case import Target
from tests.bad_input.rows import ROWS
from tests.running_service import running_service
from tests.web import listening

CASES = [*files.CASES, *bodies.CASES, *uris.CASES, *training.CASES]
AT_ONCE = 4
GONE_SECONDS = 60.0
LIMITS = {
    "GRADSUM_LIMIT_UPLOAD_BYTES": "40000000",
    "GRADSUM_LIMIT_COLUMNS": "100",
    "GRADSUM_LIMIT_ROWS": "100000000",
    "GRADSUM_LIMIT_INGEST_MEMORY_BYTES": "100000000",
    "GRADSUM_LIMIT_FETCH_SECONDS": "2",
}


@pytest.fixture(scope="module")
def target(short_path: Path, free_port: Callable[[], int]) -> Iterator[Target]:
    for name in ("tmp", "files", "root"):
        (short_path / name).mkdir()
    uris.prepare_root(short_path / "root")
    with listening() as web, listening() as private:
        fetching = {
            "GRADSUM_IMPORT_ROOTS": str(short_path / "root"),
            "GRADSUM_FETCH_HTTP": "true",
            "GRADSUM_FETCH_PORTS": f"{web.port},{private.port}",
            "GRADSUM_FETCH_PRIVATE_HOSTS": "127.0.0.1",
        }
        settings = {**LIMITS, **fetching, "GRADSUM_WORKER_SLOTS": "2", "TMPDIR": str(short_path / "tmp")}
        with (
            running_service(short_path / "data", free_port, **settings) as service,
            httpx2.Client(base_url=service.url, trust_env=False, timeout=120) as http,
        ):
            found = Target(service, http, short_path / "files", short_path / "root", web, private)
            start(found)
            yield found


def start(target: Target) -> None:
    """Make the model that rows are sent to; and fetch once, because what fetches is started when it is asked."""
    assert uris.imported("http://127.0.0.1:{web}/data.csv")(target).ended == "ready"
    upload = {"files": {"file": ("table.csv", training.ROWS)}, "data": {"name": training.MODEL}}
    target.http.post("/v1/datasets", **upload).raise_for_status()
    job = {"dataset": training.MODEL, "target": "kind", "tracking": {"registered_model": training.MODEL}}
    ended = target.job({**job, **training.QUICK})
    assert ended.ended == "succeeded", ended


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row: str, target: Target, record_property: Callable[[str, Any], None]) -> None:
    record_property("bad_input_row", row)
    cases = [case for case in CASES if case.row == row]
    assert cases, f"{row} has no case"
    before = state(target)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = [fault for found in pool.map(lambda case: case.faults(target), cases) for fault in found]
    forget(target, before["records"])
    assert not faults, "\n".join(faults)
    assert left(target, before) == {}
    assert target.http.get("/healthz").status_code == 200
    assert "Traceback" not in target.service.log()


def state(target: Target) -> dict[str, Counter[str]]:
    """What there is: records, files below the storage, temporary files, processes."""
    records = [found["id"] for kind in ("jobs", "datasets") for found in listed(target, kind)]
    return {
        "records": Counter(records),
        "files": Counter(paths(target.service.data_dir / "storage")),
        "temporary files": Counter(paths(target.files.parent / "tmp")),
        "processes": Counter(processes(target)),
    }


def left(target: Target, before: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    """What is there beyond `before`, once it had time to go."""
    end = time.monotonic() + GONE_SECONDS
    while time.monotonic() < end:
        more = {kind: found - before[kind] for kind, found in state(target).items() if found - before[kind]}
        if not more:
            break
        time.sleep(0.2)
    return more


def listed(target: Target, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = target.http.get(f"/v1/{kind}?limit=1000").json()["data"]
    return found


def forget(target: Target, known: Counter[str]) -> None:
    """Delete what the cases have made: jobs, then the datasets they needed."""
    for kind in ("jobs", "datasets"):
        for found in listed(target, kind):
            if found["id"] not in known:
                if kind == "jobs" and found["finished_at"] is None:
                    target.http.post(f"/v1/jobs/{found['id']}/cancel")
                    target.final(f"/v1/jobs/{found['id']}")
                target.http.delete(f"/v1/{kind}/{found['id']}").raise_for_status()


def paths(directory: Path) -> Iterator[str]:
    """The files below a directory; prepared matrices are a cache, and Ray and MLflow keep their own."""
    for path in directory.rglob("*"):
        place = str(path.relative_to(directory))
        if path.is_file() and not place.startswith(("matrices", "ray", "mlflow")):
            yield place


def processes(target: Target) -> Iterator[str]:
    """The service's processes below it, by name; not those that Ray keeps for what may come."""
    for process in psutil.Process(target.service.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            name = " ".join(words[:3]) if "-m" in words else " ".join(words)
            if "service." in name or "ShardWorker" in name:
                yield name
