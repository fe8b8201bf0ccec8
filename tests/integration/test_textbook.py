"""The example of the README learns the digits, whatever the seed, and the same seed gives the same bits."""

import statistics

from service.client import Client
from service.commands.job_files import read_body
from tests.running_service import DIGITS, RunningService

SEEDS = (0, 1, 2, 3, 4, 0)


def test_the_textbook_job_learns_the_digits_in_the_median_of_five_seeds(service: RunningService) -> None:
    body = read_body(str(DIGITS / "job.yaml"))
    assert isinstance(body, dict)
    with service.client() as client:
        client.add_dataset(DIGITS / "digits.csv", "digits")
        submitted = [
            client.submit_job({**body, "training": {**body["training"], "seed": seed}, "tracking": {}})["id"]
            for seed in SEEDS
        ]
        results = [_result(client, job_id) for job_id in submitted]
    accuracies = [result["validation_accuracy"] for result in results[:5]]
    assert statistics.median(accuracies) >= 0.955, accuracies
    hashes = [result["weights_sha256"] for result in results]
    assert len(set(hashes)) == 5
    assert hashes[0] == hashes[-1]


def _result(client: Client, job_id: str) -> dict[str, float]:
    *_, job = client.follow(job_id)
    assert job["status"] == "succeeded", job["error"]
    result: dict[str, float] = job["result"]
    return result
