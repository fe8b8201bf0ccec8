"""Requests that carry an Idempotency-Key: the second does nothing, and is answered as the first was."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.settings import Settings
from service.store import jobs, models, schedules
from service.store.database import as_text
from service.store.tables import firings
from tests.integration.conftest import Api, running_api

FLOWERS = "width,kind\n" + "".join(f"{i},{'rose' if i % 2 else 'iris'}\n" for i in range(40))
JOB = {"dataset": "flowers", "target": "kind"}
CHANGES_NOTHING = {"/v1/models/{name}/predict"}


class Asker:
    """An API, and the ways to ask it for something twice."""

    def __init__(self, api: Api, incoming: Path) -> None:
        self.api, self.incoming = api, incoming

    def post(self, path: str, key: str | None = None, status: int | None = None, **request: Any) -> Any:
        """The answer's JSON; its status is `status`, or any that means that it was done."""
        headers = {} if key is None else {"Idempotency-Key": key}
        answer: httpx2.Response = self.api.http.post(path, headers=headers, **request)
        assert answer.is_success if status is None else answer.status_code == status, answer.text
        return answer.json()

    def upload(self, name: str, text: str, key: str | None = None, status: int | None = None, **fields: str) -> Any:
        files = {"file": ("table.csv", text)}
        return self.post("/v1/datasets", key, status, files=files, data={"name": name, **fields})

    def versions(self, name: str) -> int:
        return len(self.api.http.get("/v1/datasets", params={"name": name}).json()["data"])

    def uploads(self) -> set[str]:
        return {path.name for path in (self.api.settings.storage / "uploads").iterdir()}


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    directory = tmp_path_factory.mktemp("repeated")
    incoming = directory / "incoming"
    incoming.mkdir()
    with running_api(Settings(data_dir=directory / "data", import_roots=(incoming,))) as api:
        api.ready_dataset("flowers", FLOWERS)
        yield Asker(api, incoming)


def test_every_request_that_changes_something_takes_a_key(asker: Asker) -> None:
    paths = asker.api.http.get("/openapi.json").json()["paths"]
    taken = {
        path: any(parameter["name"] == "Idempotency-Key" for parameter in methods["post"]["parameters"])
        for path, methods in paths.items()
        if "post" in methods
    }
    assert {path for path, takes in taken.items() if not takes} == CHANGES_NOTHING


def test_an_upload_that_is_repeated_adds_no_version_and_leaves_no_file(asker: Asker) -> None:
    first = asker.upload("table", FLOWERS, "upload")
    asker.upload("table", FLOWERS + "7,iris\n")
    before = asker.uploads()
    assert asker.upload("table", FLOWERS, "upload") == first
    assert asker.versions("table") == 2
    for changed in ({"text": "width,kind\n1,iris\n"}, {"tags": '{"a": "b"}'}, {"name": "other"}):
        refused = asker.upload(**{"name": "table", "text": FLOWERS, "key": "upload", "status": 422} | changed)
        assert refused["type"] == "/problems/idempotency_key_reused"
    assert asker.upload("table", FLOWERS, "", 400)["type"] == "/problems/invalid_idempotency_key"
    assert asker.uploads() == before
    asker.api.http.delete(f"/v1/datasets/{first['id']}")
    assert asker.upload("table", FLOWERS, "upload", 409)["type"] == "/problems/dataset_deleted"


def test_an_upload_whose_first_try_was_refused_can_be_sent_again_under_its_key(asker: Asker) -> None:
    asker.upload("mended", "", "mended", 422)
    assert asker.upload("mended", FLOWERS, "mended")["version"] == 1


def test_an_import_that_is_repeated_adds_no_version_though_its_file_is_gone(asker: Asker) -> None:
    file = asker.incoming / "table.csv"
    file.write_text(FLOWERS)
    body = {"uri": file.as_uri(), "name": "imported"}
    first = asker.post("/v1/datasets", "import", json=body)
    file.unlink()
    assert asker.post("/v1/datasets", "import", json=body) == first
    assert asker.versions("imported") == 1
    asker.post("/v1/datasets", "import", 422, json={**body, "name": "other"})
    asker.post("/v1/datasets", "", 400, json=body)


def test_a_promotion_that_is_repeated_takes_nothing_back(asker: Asker) -> None:
    for _ in range(2):
        job_id = asker.post("/v1/jobs", json=JOB)["id"]
        with asker.api.database.write() as connection:
            owner = {"project": "default", "actor": "anonymous"}
            models.add(connection, **owner, name="roses", job_id=job_id, directory=f"jobs/{job_id}", tags={})
    path = "/v1/models/roses/promote"
    assert asker.post(path, "promote", json={"version": 2})["champion"] == 2
    asker.post(path, json={"version": 1})
    assert asker.post(path, "promote", json={"version": 2})["champion"] == 1
    asker.post(path, "promote", 422, json={"version": 1})
    asker.post(path, "", 400, json={"version": 1})


def test_a_job_that_has_ended_by_its_cancelling_can_be_cancelled_again_under_the_key(asker: Asker) -> None:
    job_id = asker.post("/v1/jobs", json=JOB)["id"]
    path = f"/v1/jobs/{job_id}/cancel"
    asker.post(path, "cancel")
    with asker.api.database.write() as connection:
        jobs.move(connection, jobs.required(connection, job_id), "cancelled")
    assert asker.post(path, "cancel")["status"] == "cancelled"
    asker.post(path, None, 409)
    other = asker.post("/v1/jobs", json=JOB)["id"]
    asker.post(f"/v1/jobs/{other}/cancel", "cancel", 422)
    asker.post(path, "", 400)


def test_a_job_is_resumed_once_under_a_key(asker: Asker) -> None:
    job_id = asker.post("/v1/jobs", json=JOB)["id"]
    with asker.api.database.write() as connection:
        reason = {"code": "fingerprint_mismatch", "message": "…"}
        jobs.move(connection, jobs.required(connection, job_id), "starting", status_reason=reason, attempt=1)
    path, body = f"/v1/jobs/{job_id}/resume", {"accept_other_numerics": True}
    first = asker.post(path, "resume", json=body)
    assert asker.post(path, "resume", json=body)["warnings"] == first["warnings"]
    asker.post(path, "resume", 422)
    asker.post(path, "", 400, json=body)


@pytest.fixture
def nightly(asker: Asker) -> Iterator[str]:
    """The path of a schedule with three due times in the last hours."""
    body = {"name": "nightly", "cron": "0 * * * *", "job": JOB}
    path = f"/v1/schedules/{asker.post('/v1/schedules', json=body)['id']}"
    yield path
    asker.api.http.delete(path)


def test_a_schedule_that_was_resumed_is_not_paused_again_by_a_repeated_request(asker: Asker, nightly: str) -> None:
    assert asker.post(f"{nightly}/pause", "pause")["paused"]
    assert not asker.post(f"{nightly}/resume", "go on")["paused"]
    assert not asker.post(f"{nightly}/pause", "pause")["paused"]
    asker.post(f"{nightly}/pause", "go on", 422)
    for action in ("pause", "resume"):
        asker.post(f"{nightly}/{action}", "", 400)


@pytest.fixture
def backfill(asker: Asker, nightly: str) -> Callable[..., Any]:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    span = {"from": as_text(end - timedelta(hours=2)), "to": as_text(end)}
    return lambda key, status=None, **changes: asker.post(f"{nightly}/backfill", key, status, json=span | changes)


def test_a_backfill_that_is_repeated_answers_with_the_same_firings(
    asker: Asker, nightly: str, backfill: Callable[..., Any]
) -> None:
    first = backfill("backfill")
    assert [row["outcome"] for row in first["data"]] == ["fired"] * 3
    asker.api.http.patch(nightly, json={"cron": "30 * * * *"})  # it makes up for the due times of then
    assert backfill("backfill") == first
    assert backfill("backfill", 422, to="2026-01-01")["type"] == "/problems/idempotency_key_reused"
    backfill("", 400)
    asker.api.http.delete(nightly)
    assert backfill("backfill", 409)["type"] == "/problems/backfill_deleted"


def test_a_backfill_that_was_cut_off_is_taken_up_where_it_ended(
    asker: Asker, nightly: str, backfill: Callable[..., Any]
) -> None:
    first = backfill("cut-off")["data"]
    with asker.api.database.write() as connection:  # as if the process had died before the last two
        lost = [row["id"] for row in first[1:]]
        connection.execute(firings.delete().where(firings.c.id.in_(lost)))
    again = backfill("cut-off")["data"]
    assert again[0] == first[0]
    assert [row["due_at"] for row in again] == [row["due_at"] for row in first]
    assert asker.api.http.get(f"{nightly}/firings").json()["data"] == [again[2], again[1], again[0]]


def test_what_a_backfill_could_not_make_is_not_tried_again_under_its_key(
    asker: Asker, nightly: str, backfill: Callable[..., Any]
) -> None:
    def train_on(dataset: str) -> None:
        with asker.api.database.write() as connection:
            found = schedules.required(connection, nightly.rpartition("/")[2])
            schedules.edit(connection, found, job={**JOB, "dataset": dataset})

    train_on("gone")
    first = backfill("refused")
    assert [row["outcome"] for row in first["data"]] == ["failed_to_submit"] * 3
    train_on("flowers")
    assert backfill("refused") == first
    assert [row["outcome"] for row in backfill(None)["data"]] == ["fired"] * 3
