"""GRADSUM_LIMIT_CONCURRENT_JOBS: so many jobs run at once, though there are workers for more."""

from collections.abc import Callable
from pathlib import Path

from tests.acceptance.test_survival import JOB, directory, is_final, is_training, submit, wait_for
from tests.running_service import DIGITS, running_service

__all__ = ["directory"]


def test_a_job_beyond_the_limit_waits_and_says_so_until_another_has_ended(
    directory: Path,
    free_port: Callable[[], int],
) -> None:
    limits = {"GRADSUM_WORKER_SLOTS": "2", "GRADSUM_LIMIT_CONCURRENT_JOBS": "1"}
    with running_service(directory, free_port, **limits) as service:
        service.json("dataset", "add", str(DIGITS / "digits.csv"), "--name", "digits")
        long = str(service.json("job", "submit", "-", given=JOB.replace("2000", "1000000") % 1)["id"])
        wait_for(service, long, is_training)
        second = submit(service, 1)
        waiting = wait_for(
            service, second, lambda job: (job["status_reason"] or {}).get("code") == "waiting_for_workers"
        )
        assert waiting["status"] == "queued"
        assert "At most 1 job may run at once (GRADSUM_LIMIT_CONCURRENT_JOBS)" in waiting["status_reason"]["message"]
        assert wait_for(service, long, is_training)["status"] == "running"
        service.json("job", "cancel", long)
        assert wait_for(service, second, is_final)["status"] == "succeeded"
