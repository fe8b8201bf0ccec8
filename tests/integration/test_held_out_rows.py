"""Real data over HTTP against the whole service: gaps, groups, a validation dataset, and files that change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.client import Client
from tests.running_service import RunningService

HEADER = "patient,age,city,label\n"
ROWS = [
    f"p{n // 4},{'' if n % 7 == 0 else n % 50},{'' if n % 9 == 0 else 'oslo' if n % 3 else 'bergen'},{n // 2 % 2}\n"
    for n in range(240)
]
BODY: dict[str, Any] = {
    "dataset": "visits",
    "target": "label",
    "split": {"by": "group", "column": "patient", "test": 0.2},
    "validation_dataset": "later-visits",
    "preprocessing": {"missing_values": "most_frequent"},
    "network": {"hidden_layers": [4]},
    "training": {"epochs": 20},
}


@pytest.fixture(scope="module")
def client(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service that has two datasets, the second one still being read, perhaps."""
    directory = tmp_path_factory.mktemp("visits")
    for name, rows in (("visits", ROWS[:200]), ("later-visits", ROWS[200:])):
        (directory / f"{name}.csv").write_text(HEADER + "".join(rows))
        assert service.gradsum("dataset", "add", str(directory / f"{name}.csv"), "--name", name).returncode == 0
    with service.client() as client:
        yield client


def test_a_job_with_gaps_groups_and_a_validation_dataset_predicts_rows_with_gaps(
    service: RunningService, client: Client
) -> None:
    job = client.submit_job({**BODY, "tracking": {"registered_model": "visits"}})
    *_, job = client.follow(job["id"])
    assert job["status"] == "succeeded", job["error"]
    assert job["spec"]["features"] == ["age", "city"]
    assert job["spec"]["split"]["validation"] == 0
    assert job["spec"]["validation_dataset"].startswith("ds_")
    assert "'patient' splits the rows by group" in job["plan"]["reason"]
    assert sum(sum(row) for row in job["result"]["validation_confusion_matrix"]) == 40
    assert 0 < sum(sum(row) for row in job["result"]["test_confusion_matrix"]) < 100
    gone = httpx2.delete(f"{service.url}/v1/datasets/{job['spec']['validation_dataset']}", trust_env=False)
    assert gone.status_code == 409
    rows = [{"age": None, "city": ""}, {"age": "", "city": None}, {"age": 3, "city": "oslo"}]
    answer = httpx2.post(f"{service.url}/v1/models/visits/predict", json={"rows": rows}, trust_env=False)
    assert answer.status_code == 200, answer.text
    first, second, _ = answer.json()["probabilities"]
    assert first == second
    wrong = httpx2.post(f"{service.url}/v1/models/visits/predict", json={"rows": [{"age": 1}]}, trust_env=False)
    assert (wrong.status_code, "has no column 'city'" in wrong.text) == (422, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"split": {"by": "group"}}, "split.column"),
        ({"validation_dataset": "nothing"}, "validation_dataset"),
        ({"split": {"validation": 0.2}}, "split.validation"),
    ],
)
def test_what_can_not_be_held_out_is_refused_with_its_field(
    service: RunningService, client: Client, change: dict[str, Any], field: str
) -> None:
    assert client.jobs(limit=1)
    answer = httpx2.post(f"{service.url}/v1/jobs", json={**BODY, **change}, trust_env=False)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_job_whose_matrix_is_written_to_fails_and_the_next_one_has_a_new_matrix(
    service: RunningService, client: Client
) -> None:
    body = {**BODY, "training": {"epochs": 10_000_000, "dtype": "float64"}}
    known = set(_matrices(service))
    job_id = client.submit_job(body)["id"]
    for job in client.follow(job_id):
        if (job["progress"] or {}).get("epoch") and job["status"] == "running":
            (matrix,) = set(_matrices(service)) - known
            with matrix.open("r+b") as file:
                file.seek(-1, 2)
                last = file.read(1)[0]
                file.seek(-1, 2)
                file.write(bytes([last ^ 1]))
            break
    *_, job = client.follow(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "data_changed")
    *_, job = client.follow(client.submit_job({**body, "training": {"epochs": 5, "dtype": "float64"}})["id"])
    assert job["status"] == "succeeded", job["error"]


def _matrices(service: RunningService) -> list[Path]:
    return list((service.data_dir / "storage" / "matrices").glob("[!.]*/X.npy"))
