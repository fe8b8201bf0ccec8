"""A job whose dataset is a URI: registered with the job, fetched, read and trained on."""

import json
from typing import Any

import pytest

from service.store import datasets, jobs
from service.submission import accept, read_submission
from tests.integration.conftest import Api
from tests.running_service import DIGITS, RunningService

URI = "https://example.org/people.csv"


def job_of(dataset: Any, **fields: Any) -> dict[str, Any]:
    return {"dataset": dataset, "target": "income", **fields}


def test_a_job_registers_what_its_uri_names_and_waits_for_it(api: Api) -> None:
    asked = {"uri": f"{URI}?token=s3cret", "options": {"types": {"zip": "category"}}}
    answer = api.http.post("/v1/jobs", json=job_of(asked))
    job = answer.json()
    assert answer.status_code == 201, job
    assert (job["status"], job["status_reason"]["code"]) == ("queued", "waiting_for_data")
    assert job["requested"]["dataset"] == {**asked, "uri": f"{URI}?token=…"}
    dataset = api.http.get(f"/v1/datasets/{job['spec']['dataset']}").json()
    assert (dataset["name"], dataset["status"], dataset["options"]) == ("people", "preparing", asked["options"])
    with api.database.read() as connection:
        registered = datasets.get(connection, dataset["id"])
    assert registered is not None
    assert registered.uri == asked["uri"]
    assert "s3cret" not in answer.text
    assert api.http.delete(f"/v1/datasets/{dataset['id']}").json()["type"] == "/problems/dataset_in_use"


def test_a_job_and_its_import_are_one_transaction(api: Api) -> None:
    """What submits jobs without HTTP reads and accepts in a transaction of its own: it is both or none."""
    before, body = api.left(), job_of({"uri": URI, "name": "both"})
    with pytest.raises(KeyboardInterrupt), api.database.write() as connection:  # noqa: PT012 - it ends the transaction
        accept(connection, read_submission(connection, api.settings, "default", body), "default", "schedule")
        raise KeyboardInterrupt
    assert api.left() == before
    with api.database.write() as connection:
        submission = read_submission(connection, api.settings, "default", body)
        job = accept(connection, submission, "default", "schedule")
    with api.database.read() as connection:
        dataset, found = datasets.get(connection, job.dataset_id), jobs.get(connection, job.id)
    assert dataset is not None
    assert found is not None
    assert (dataset.name, dataset.actor, found.spec["dataset"]) == ("both", "schedule", dataset.id)


def test_the_same_request_again_registers_nothing_more(api: Api) -> None:
    key, body = {"Idempotency-Key": "by-uri"}, job_of({"uri": URI, "name": "once"})
    first = api.http.post("/v1/jobs", json=body, headers=key).json()
    assert api.http.post("/v1/jobs", json=body, headers=key).json()["id"] == first["id"]
    assert len(api.http.get("/v1/datasets?name=once").json()["data"]) == 1


@pytest.mark.parametrize(
    ("dataset", "code", "field"),
    [
        ({"uri": "file:///etc/passwd"}, "uri_not_allowed", "dataset.uri"),
        ({"uri": "file:///no/such/file"}, "uri_not_allowed", "dataset.uri"),
        ({"uri": "https://169.254.169.254/latest"}, "uri_not_allowed", "dataset.uri"),
        ({"uri": "s3://other/a.csv"}, "uri_not_allowed", "dataset.uri"),
        ({"uri": 3}, "invalid_spec", "dataset.uri"),
        ({"urii": URI}, "invalid_spec", "dataset.urii"),
        ({"name": "a"}, "invalid_spec", "dataset.uri"),
        ({"uri": URI, "name": "a@1"}, "invalid_name", "dataset.name"),
        ({"uri": "https://example.org/"}, "invalid_name", "dataset.name"),
        ({"uri": URI, "options": {"x": 1}}, "invalid_options", "dataset.options.x"),
        ({"uri": URI, "options": []}, "invalid_spec", "dataset.options"),
        (3, "invalid_spec", "dataset"),
    ],
)
def test_what_may_not_be_fetched_is_no_job(api: Api, dataset: Any, code: str, field: str) -> None:
    before = api.left()
    answer = api.http.post("/v1/jobs", json=job_of(dataset))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"/problems/{code}"), problem
    assert field in [error["field"] for error in problem["errors"]]
    assert api.left() == before


def test_a_dry_run_fetches_nothing_and_says_so(api: Api) -> None:
    before = api.left()
    answer = api.http.post("/v1/jobs?dry_run=true", json=job_of({"uri": f"{URI}?token=s3cret"}))
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/dataset_not_fetched")
    assert "gradsum dataset add https://example.org/people.csv" in answer.json()["detail"]
    assert "s3cret" not in answer.text
    assert api.left() == before


def test_a_job_file_may_name_its_data_by_uri(service: RunningService) -> None:
    """The second job finds the same content, so both stand for one version of the dataset."""
    file = f"{{uri: 'file://{DIGITS}/digits.csv', name: by-uri}}"
    text = f"dataset: {file}\ntarget: digit\npreset: textbook\ntraining: {{epochs: 3}}\n"
    done = [service.json("job", "submit", "-", "--follow", given=text) for _ in range(2)]
    assert [job["status"] for job in done] == ["succeeded", "succeeded"]
    assert done[0]["spec"]["dataset"] == done[1]["spec"]["dataset"]
    assert done[0]["result"]["weights_sha256"] == done[1]["result"]["weights_sha256"]
    assert service.json("dataset", "show", "by-uri")["version"] == 1


def test_a_job_fails_with_its_dataset(service: RunningService) -> None:
    file = f"{{uri: 'file://{DIGITS}/README.md', name: no-table}}"
    done = service.gradsum("job", "submit", "-", "--follow", "--json", given=f"dataset: {file}\ntarget: a\n")
    dataset = service.json("dataset", "show", "no-table")
    assert done.returncode != 0
    assert dataset["status"] == "failed"
    assert json.loads(done.stdout)["error"]["code"] == dataset["error"]["code"]
