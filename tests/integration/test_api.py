import contextlib
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import sqlalchemy

from service.paths import columns_directory, model_directory, upload_path
from service.settings import Settings
from service.store import components, datasets, jobs, metrics, models
from service.store.database import migrate
from service.store.engines import WRITERS_LOCK
from service.store.tables import metric_chunks
from tests.integration.conftest import Api
from workers import model as trained_models
from workers.initialization import drawn_parameters
from workers.network import Network
from workers.preprocessing import CategoryFeature, NumberFeature, Preprocessing

DATABASES = ["sqlite", "postgresql"]

FLOWERS = "width,height,kind\n" + "".join(f"{i % 7},{i % 5}.5,{'rose' if i % 2 else 'iris'}\n" for i in range(40))
HOUSES = "area,street,price\n" + "".join(f"{i},{'north' if i % 3 else 'south'},{1.5 * i}\n" for i in range(1, 41))


def submitted(api: Api, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = api.http.post("/v1/jobs", json=body, headers=headers)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    job: dict[str, Any] = answer.json()
    return job


def move(api: Api, job_id: str, *states: str, **changes: Any) -> None:
    for place, state in enumerate(states, 1):
        with api.database.write() as connection:
            job = jobs.required(connection, job_id)
            assert jobs.move(connection, job, state, **(changes if place == len(states) else {}))


@pytest.fixture(scope="module")
def flowers(api: Api) -> str:
    return api.ready_dataset("flowers", FLOWERS)


@pytest.fixture(scope="module")
def houses(api: Api) -> str:
    return api.ready_dataset("houses", HOUSES)


def trained(api: Api, name: str | None) -> dict[str, Any]:
    """A job that has succeeded, with a model of the flowers."""
    tracking = {"registered_model": name}
    body = {"dataset": "flowers", "target": "kind", "tracking": tracking, "network": {"hidden_layers": [3]}}
    job_id = submitted(api, body)["id"]
    move(api, job_id, "starting", "running", "succeeded", result={"loss": 0.25, "weights_sha256": "…"}, attempt=2)
    with api.database.write() as connection:
        job = jobs.required(connection, job_id)
        directory = model_directory(api.settings.storage, job)
        network = Network((5, 3, 2), "tanh", "softmax", "cross_entropy")
        features = (NumberFeature("width", 3.0, 2.0), CategoryFeature("colour", ("blue", "red", "white")))
        parameters = drawn_parameters(network, len(name or ""), ["glorot", "glorot"], "float32")
        trained_models.save(directory, network, parameters, Preprocessing(features), ["kind"], ["iris", "rose"])
        if name is not None:
            relative = str(directory.relative_to(api.settings.storage))
            owner = (job.project, job.actor)
            models.add(
                connection, project=owner[0], actor=owner[1], name=name, job_id=job_id, directory=relative, tags={}
            )
    answer: dict[str, Any] = api.http.get(f"/v1/jobs/{job_id}").json()
    return answer


def test_an_upload_is_on_disk_with_its_hash_before_it_is_answered(api: Api) -> None:
    dataset = api.upload("fresh", FLOWERS)
    stored = upload_path(api.settings.storage, dataset["id"]).read_bytes()
    assert stored == FLOWERS.encode()
    assert dataset["sha256"] == hashlib.sha256(stored).hexdigest()
    assert (dataset["status"], dataset["version"], dataset["bytes"]) == ("preparing", 1, len(stored))
    assert dataset["project"] == "default"
    assert dataset["actor"] == "anonymous"


def test_the_same_content_under_the_same_name_makes_no_new_version(api: Api) -> None:
    first = api.upload("twice", FLOWERS)
    before = api.left()
    assert api.upload("twice", FLOWERS) == first
    assert api.left() == before
    assert api.upload("twice", HOUSES)["version"] == 2


def test_an_upload_that_is_cut_off_half_way_leaves_nothing_and_can_be_sent_again(api: Api) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="halves.csv"\r\n\r\na,b\n' + b"1,2\n" * 20_000
    body += b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    before = api.left()
    for _ in range(2):
        head = f"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: {headers['Content-Type']}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((api.http.base_url.host, api.http.base_url.port or 80)) as connection:
            connection.sendall(head.encode() + body[: len(body) // 2])
        assert api.http.get("/healthz").status_code == 200
        assert api.left() == before
    assert api.http.post("/v1/datasets", content=body, headers=headers).json()["name"] == "halves"


def test_a_dataset_is_named_after_its_file_but_never_stored_under_that_name(api: Api) -> None:
    answer = api.http.post("/v1/datasets", files={"file": ("../../etc/passwd.csv", FLOWERS)})
    assert answer.json()["name"] == "passwd"
    assert not (api.settings.storage.parent / "etc").exists()


def test_unicode_names_come_back_in_nfc(api: Api) -> None:
    name = "日本語 🌷 cafe\u0301"
    dataset = api.http.post("/v1/datasets", files={"file": ("a.csv", FLOWERS)}, data={"name": name}).json()
    assert dataset["name"] == "日本語 🌷 caf\u00e9"
    found = api.http.get("/v1/datasets", params={"name": dataset["name"]}).json()
    assert [one["id"] for one in found["data"]] == [dataset["id"]]


def test_a_ready_dataset_shows_its_columns(api: Api, flowers: str) -> None:
    dataset = api.http.get(f"/v1/datasets/{flowers}").json()
    assert (dataset["status"], dataset["rows"]) == ("ready", 40)
    assert [column["name"] for column in dataset["columns"]] == ["width", "height", "kind"]


def test_a_list_goes_on_where_the_page_before_ended(api: Api) -> None:
    uploaded = [api.upload(f"page-{number}", FLOWERS)["id"] for number in range(5)]
    seen: list[str] = []
    after = None
    has_more = True
    while has_more:
        page = api.http.get("/v1/datasets", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [dataset["id"] for dataset in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        after, has_more = page["last_id"], page["has_more"]
    assert seen[:5] == uploaded[::-1]
    assert len(seen) == len(set(seen))


def test_a_dataset_goes_with_its_files_unless_another_has_the_same_content(api: Api) -> None:
    text = FLOWERS + "1,2.5,iris\n"
    first, second = api.ready_dataset("shared-a", text), api.ready_dataset("shared-b", text)
    with api.database.read() as connection:
        dataset = datasets.get(connection, first)
    assert dataset is not None
    columns = columns_directory(api.settings.storage, dataset.content_key)
    assert api.http.delete(f"/v1/datasets/{first}").json() == {"id": first, "object": "dataset", "deleted": True}
    assert columns.is_dir()
    assert api.http.delete(f"/v1/datasets/{second}").status_code == HTTPStatus.OK
    assert list(columns.parent.glob(f"*{dataset.content_key}*")) == []
    assert api.http.get(f"/v1/datasets/{first}").status_code == HTTPStatus.NOT_FOUND


def test_a_dataset_that_a_job_needs_stays(api: Api, flowers: str) -> None:
    submitted(api, {"dataset": "flowers", "target": "kind"})
    answer = api.http.delete(f"/v1/datasets/{flowers}")
    assert answer.status_code == HTTPStatus.CONFLICT
    assert "used by a job" in answer.json()["detail"]


@pytest.mark.usefixtures("flowers")
def test_a_job_of_a_ready_dataset_has_a_value_for_every_auto(api: Api) -> None:
    body = {"dataset": "flowers", "target": "kind", "tags": {"team": "garden"}}
    job = submitted(api, body)
    assert job["requested"] == body
    spec = job["spec"]
    assert (spec["task"], spec["features"]) == ("classification", ["width", "height"])
    training, network = spec["training"], spec["network"]
    chosen = [
        training[name] for name in ("epochs", "learning_rate", "optimizer", "loss", "batch_size", "early_stopping")
    ]
    assert "auto" not in [*chosen, network["hidden_layers"], network["activation"], network["output_activation"]]
    assert (spec["resources"]["shards"], spec["checkpoint"]["every_epochs"]) == (8, None)
    assert job["name"] == "flowers"
    assert (job["status"], job["status_reason"], job["attempt"]) == ("queued", None, 0)
    assert [transition["status"] for transition in job["transitions"]] == ["queued"]
    assert job["tags"] == {"team": "garden"}
    assert api.http.get(f"/v1/jobs/{job['id']}").json() == job


def test_a_job_of_a_dataset_that_is_being_read_waits_for_it(api: Api) -> None:
    dataset = api.upload("slow", FLOWERS)
    job = submitted(api, {"dataset": "slow@1", "target": "kind"})
    assert job["status_reason"]["code"] == "waiting_for_data"
    assert job["spec"]["dataset"] == dataset["id"]
    dry_run = api.http.post("/v1/jobs?dry_run=true", json={"dataset": "slow", "target": "kind"})
    assert dry_run.status_code == HTTPStatus.CONFLICT
    assert dry_run.headers["Retry-After"]


@pytest.mark.usefixtures("houses")
def test_a_dry_run_plans_and_leaves_nothing(api: Api) -> None:
    before = api.left()
    body = {"dataset": "houses", "target": "price", "split": {"validation": 0.25}}
    answer = api.http.post("/v1/jobs?dry_run=true", json=body)
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["spec"]["task"] == "regression"
    plan = answer.json()["plan"]
    assert answer.json()["spec"]["resources"] == {"workers": plan["workers"], "shards": plan["shards"]}
    assert plan["parameters"] == (4 + 1) * 1024 + 1025  # area, north, south, unknown
    assert "about 30 training rows of 40" in plan["reason"]
    assert api.left() == before


@pytest.mark.usefixtures("flowers", "houses")
def test_block_rows_are_fixed_at_once_where_they_do_not_depend_on_the_rows(api: Api) -> None:
    numbers = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    categories = submitted(api, {"dataset": "houses", "target": "price"})["id"]
    with api.database.read() as connection:
        assert jobs.required(connection, numbers).block_rows
        assert jobs.required(connection, categories).block_rows is None


@pytest.mark.usefixtures("flowers")
def test_one_key_makes_one_job_however_many_send_it_at_once(api: Api) -> None:
    answers: list[str] = []

    def submit() -> None:
        with httpx2.Client(base_url=api.http.base_url, trust_env=False, timeout=30) as http:
            body = json.dumps({"dataset": "flowers", "target": "kind"}, indent=len(answers))
            headers = {"Idempotency-Key": "once", "Content-Type": "application/json"}
            answers.append(http.post("/v1/jobs", content=body, headers=headers).json()["id"])

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert len(set(answers)) == 1


@pytest.mark.usefixtures("flowers")
def test_cancelling_twice_is_the_same_as_once(api: Api) -> None:
    job_id = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    first = api.http.post(f"/v1/jobs/{job_id}/cancel")
    again = api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert first.status_code == again.status_code == HTTPStatus.OK
    assert first.json() == again.json()
    assert [one["status"] for one in first.json()["transitions"]] == ["queued", "cancelling"]


@pytest.mark.usefixtures("flowers")
def test_a_final_job_can_be_deleted_with_its_files_and_not_before(api: Api) -> None:
    job = trained(api, None)
    directory = api.settings.storage / "jobs" / job["id"]
    assert directory.is_dir()
    refused = api.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "succeeded" in refused.json()["detail"]
    assert api.http.delete(f"/v1/jobs/{job['id']}").json()["deleted"] is True
    assert not directory.exists()
    assert api.http.get(f"/v1/jobs/{job['id']}").status_code == HTTPStatus.NOT_FOUND
    queued = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    assert "Allowed now: cancel" in api.http.delete(f"/v1/jobs/{queued}").json()["detail"]


@pytest.mark.usefixtures("flowers")
def test_a_job_that_waits_for_its_numerics_is_resumed_only_where_that_is_accepted(api: Api) -> None:
    job_id = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    refused = api.http.post(f"/v1/jobs/{job_id}/resume")
    assert refused.status_code == 409
    assert "resume" not in refused.json()["detail"].partition("Allowed")[2]
    move(api, job_id, "starting", status_reason={"code": "fingerprint_mismatch", "message": "…"}, attempt=1)
    waiting = api.http.post(f"/v1/jobs/{job_id}/resume", json={"accept_other_numerics": False})
    assert (waiting.status_code, waiting.json()["type"]) == (409, "/problems/fingerprint_mismatch")
    assert api.http.post(f"/v1/jobs/{job_id}/resume", json={"accept": True}).status_code == 422
    resumed = api.http.post(f"/v1/jobs/{job_id}/resume", json={"accept_other_numerics": True})
    assert resumed.status_code == 200
    assert "accept_other_numerics" in resumed.json()["warnings"][-1]
    with api.database.read() as connection:
        assert jobs.required(connection, job_id).accept_other_numerics
    assert api.http.post(f"/v1/jobs/{job_id}/resume").status_code == 409
    assert api.http.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelling"


@pytest.mark.usefixtures("flowers")
def test_a_job_that_another_starts_from_stays(api: Api) -> None:
    source = trained(api, None)
    api.ready_dataset("garden", "width,colour,kind\n" + "1,red,iris\n2,blue,rose\n" * 9)
    body = {"dataset": "garden", "target": "kind", "network": {"hidden_layers": [3], "activation": "tanh"}}
    waiting = submitted(api, {**body, "warm_start": source["id"]})
    kept = api.http.delete(f"/v1/jobs/{source['id']}")
    assert (kept.status_code, kept.json()["type"]) == (409, "/problems/job_in_use")
    move(api, waiting["id"], "cancelling", "cancelled")
    assert api.http.delete(f"/v1/jobs/{source['id']}").status_code == 200
    gone = api.http.post("/v1/jobs", json={**body, "warm_start": source["id"]})
    assert gone.status_code == 422
    assert gone.json()["errors"][0]["field"] == "warm_start"


@pytest.mark.usefixtures("flowers")
def test_a_running_job_tells_when_it_should_end(api: Api) -> None:
    job_id = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    progress = {"epoch": 10, "epochs": 200, "loss": 0.5, "seconds_per_epoch": 1.0}
    move(api, job_id, "starting", "running", progress=progress)
    job = api.http.get(f"/v1/jobs/{job_id}").json()
    assert job["progress"] == progress
    assert job["estimated_finish_at"] > job["created_at"]


@pytest.mark.usefixtures("flowers")
def test_metrics_come_in_pages_of_epochs(api: Api) -> None:
    job_id = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    with api.database.write() as connection:
        metrics.append(connection, job_id, {"epoch": [1, 2, 3], "loss": [0.3, 0.2, 0.1], "validation_loss": [None] * 3})
    page = api.http.get(f"/v1/jobs/{job_id}/metrics", params={"limit": 2}).json()
    assert page["data"][0] == {"epoch": 1, "loss": 0.3, "validation_loss": None}
    assert (page["last_id"], page["has_more"]) == (2, True)
    rest = api.http.get(f"/v1/jobs/{job_id}/metrics", params={"after_epoch": 2}).json()
    assert [row["epoch"] for row in rest["data"]] == [3]


@pytest.mark.usefixtures("flowers")
def test_weights_are_a_numpy_archive_with_the_hash_of_the_model(api: Api) -> None:
    job = trained(api, None)
    answer = api.http.get(f"/v1/jobs/{job['id']}/weights")
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["weights_0"].shape == (3, 5)
        assert arrays["biases_1"].dtype == np.float32
    assert f"{job['id']}.npz" in answer.headers["Content-Disposition"]


@pytest.mark.usefixtures("flowers")
def test_a_prediction_is_the_models_own_for_objects_and_lists(api: Api) -> None:
    job = trained(api, "garden")
    rows = [{"colour": "red", "width": 3, "more": None}, {"width": 1.5, "colour": "never seen"}]
    by_name = api.http.post("/v1/models/garden/predict", json={"rows": rows}).json()
    by_place = api.http.post("/v1/models/garden/predict", json={"version": 1, "rows": [[3, "red"], [1.5, "?"]]}).json()
    assert by_name == by_place
    assert (by_name["model"], by_name["version"]) == ("garden", 1)
    directory: Path = api.settings.storage / "jobs" / job["id"] / "attempts" / "2" / "model"
    model = trained_models.load(directory)
    expected = trained_models.predict(model, trained_models.columns_from_rows(model, rows))
    assert by_name["predictions"] == expected.prediction.tolist()
    assert expected.probabilities is not None
    assert [list(row.values()) for row in by_name["probabilities"]] == expected.probabilities.tolist()
    assert list(by_name["probabilities"][0]) == ["iris", "rose"]


@pytest.mark.usefixtures("flowers")
def test_the_champion_serves_until_another_version_is_promoted(api: Api) -> None:
    first, second = trained(api, "roses"), trained(api, "roses")
    model = api.http.get("/v1/models/roses").json()
    assert model["champion"] == 1
    assert [version["job_id"] for version in model["versions"]] == [second["id"], first["id"]]
    promoted = api.http.post("/v1/models/roses/promote", json={"version": 2, "reason": "newer rows"})
    assert promoted.json()["champion"] == 2
    assert promoted.json()["promotion"].items() >= {"actor": "anonymous", "reason": "newer rows"}.items()
    rows = {"rows": [[1, "red"]], "alias": "champion"}
    assert api.http.post("/v1/models/roses/predict", json=rows).json()["version"] == 2
    listed = api.http.get("/v1/models", params={"name": "roses"}).json()
    assert [one["id"] for one in listed["data"]] == ["roses"]
    in_use = api.http.delete(f"/v1/jobs/{first['id']}")
    assert in_use.status_code == HTTPStatus.CONFLICT


def test_readyz_names_what_is_degraded_and_stays_200(api: Api) -> None:
    with api.database.write() as connection:
        components.report(connection, "mlflow", "degraded", {"message": "MLflow does not answer."})
    answer = api.http.get("/readyz")
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["status"] == "degraded"
    assert answer.json()["components"]["mlflow"]["message"] == "MLflow does not answer."
    assert api.http.get("/healthz").json() == {"status": "ok"}


def test_the_documentation_names_every_field_of_a_job(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert {"dataset", "target", "training", "network"} <= set(body["schema"]["properties"])
    assert "smallest" in body["examples"]
    problem = document["paths"]["/v1/models"]["get"]["responses"]["4XX"]["content"]
    assert list(problem) == ["application/problem+json"]


def test_the_documentation_loads_nothing_from_other_hosts(api: Api) -> None:
    page = api.http.get("/docs").text
    assert "://" not in page
    loaded = re.findall(r"""(?:src|href)="(docs/[^"]+)\"""", page)
    assert len(loaded) == 3
    for path in loaded:
        assert len(api.http.get(f"/{path}").content) > 1000
    assert api.http.get("/docs/../app.py").status_code == HTTPStatus.NOT_FOUND
    assert api.http.get("/docs/redoc.standalone.js").status_code == HTTPStatus.NOT_FOUND


def test_every_operation_has_a_group_and_a_line(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    groups = {tag["name"] for tag in document["tags"]}
    for path in document["paths"].values():
        for operation in path.values():
            assert groups >= set(operation["tags"])
            assert operation["summary"]
    changes = document["paths"]["/v1/schedules/{schedule}"]["patch"]["requestBody"]["content"]["application/json"]
    assert {"cron", "overlap_policy", "job"} <= set(changes["schema"]["properties"])
    assert "required" not in changes["schema"]


def test_the_root_says_where_to_read_on(api: Api) -> None:
    about = api.http.get("/").json()
    assert about["service"] == "Gradsum"
    for path in (about["documentation"], about["openapi"], about["health"], about["readiness"]):
        assert api.http.get(path).status_code == HTTPStatus.OK


def test_every_answer_carries_its_request_id(api: Api) -> None:
    fine, wrong = api.http.get("/healthz"), api.http.get("/nothing")
    assert fine.headers["X-Request-ID"] != wrong.headers["X-Request-ID"]
    assert wrong.json()["request_id"] == wrong.headers["X-Request-ID"]


@pytest.mark.usefixtures("flowers")
def test_an_error_that_nobody_foresaw_is_logged_once_and_told_without_its_trace(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = submitted(api, {"dataset": "flowers", "target": "kind"})["id"]
    with record(api) as connection:
        chunk = {"job_id": job_id, "first_epoch": 1, "last_epoch": 2, "recorded_at": "", "columns": b"\0"}
        connection.execute(metric_chunks.insert().values(chunk))
    answer = api.http.get(f"/v1/jobs/{job_id}/metrics")
    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "zlib" not in answer.text
    logged = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert len(logged) == 1
    assert answer.json()["request_id"] in logged[0]


@pytest.mark.usefixtures("flowers")
def test_a_database_that_stays_locked_is_a_503_that_says_when_to_try_again(api: Api) -> None:
    with record(api) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({WRITERS_LOCK})")
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("LOCK TABLE components, jobs, datasets")
        answer = api.http.post("/v1/jobs", json={"dataset": "flowers", "target": "kind"}, timeout=30)
        ready = api.http.get("/readyz", timeout=30)
        alive = api.http.get("/healthz")
    assert (answer.status_code, answer.json()["type"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "/problems/database")
    assert answer.headers["Retry-After"]
    assert ready.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert alive.status_code == HTTPStatus.OK


@pytest.mark.usefixtures("flowers")
def test_a_model_whose_files_are_damaged_is_never_served(api: Api) -> None:
    job = trained(api, "damaged")
    weights = api.settings.storage / "jobs" / job["id"] / "attempts" / "2" / "model" / "weights.npz"
    damaged = bytearray(weights.read_bytes())
    damaged[-200] ^= 1
    weights.write_bytes(damaged)
    answer = api.http.post("/v1/models/damaged/predict", json={"rows": [[1, "red"]]})
    assert (answer.status_code, answer.json()["type"]) == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "/problems/model_unreadable",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_cleanly_when_it_is_told_to(
    tmp_path: Path, free_port: Callable[[], int], number: signal.Signals
) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port())
    migrate(settings.database_url)
    command = [sys.executable, "-c", "from service import api, settings; api.run(settings.load_settings())"]
    environment = {**os.environ, **settings.environment()}
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process,
        httpx2.Client(base_url=settings.api_url, trust_env=False) as http,
    ):
        until_it_answers(http)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "api_stopped" in errors
    assert "Traceback" not in errors


def until_it_answers(http: httpx2.Client) -> None:
    for _ in range(300):
        try:
            http.get("/healthz")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the API did not come up")


@contextlib.contextmanager
def record(api: Api) -> Iterator[sqlalchemy.Connection]:
    """The record, beside the API's own connections; each statement commits."""
    engine = sqlalchemy.create_engine(api.settings.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()
