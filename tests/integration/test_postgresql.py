"""`gradsum serve` on PostgreSQL, with tokens: its server is killed in mid-job, which ends as it does on SQLite."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.client import Client
from service.connection import ApiError
from service.tokens import new_token
from tests.acceptance.test_survival import figures_of, is_final, is_training, submit, wait_for
from tests.leaks import SPARED, left_after, snapshot
from tests.postgres import PostgresServer
from tests.running_service import DIGITS, RunningService, running_service

DOWN_SECONDS = 3.0


@pytest.fixture
def directory(pytestconfig: pytest.Config, postgres: PostgresServer, service: RunningService) -> Iterator[Path]:
    """For one more service beside the shared one; nothing is left of it at the end."""
    assert service.process.poll() is None
    postgres.empty()
    spared = pytestconfig.stash[SPARED]
    before = snapshot(spared)
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)
    postgres.stop()  # it was started anew in between
    left = left_after(before, spared)
    assert not left, "left behind: " + "; ".join(left)


def test_a_job_survives_the_end_of_its_database(
    service: RunningService, directory: Path, postgres: PostgresServer, free_port: Callable[[], int]
) -> None:
    """A11, of the whole service."""
    service.json("dataset", "add", str(DIGITS / "digits.csv"), "--name", "digits")
    on_sqlite = wait_for(service, submit(service, 1), is_final)
    assert on_sqlite["status"] == "succeeded", on_sqlite
    tokens = directory / "tokens"
    token = new_token(tokens, "ci", "write")
    settings = {"GRADSUM_DATABASE_URL": postgres.url, "GRADSUM_API_TOKENS_FILE": str(tokens)}
    with running_service(directory, free_port, token=token, GRADSUM_WORKER_SLOTS="1", **settings) as guarded:
        guarded.json("dataset", "add", str(DIGITS / "digits.csv"), "--name", "digits")
        job_id = submit(guarded, 1)
        wait_for(guarded, job_id, is_training)
        postgres.stop()
        time.sleep(DOWN_SECONDS)
        refused = guarded.gradsum("job", "show", job_id)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert "database" in refused.stderr
        postgres.start()
        job = wait_for(guarded, job_id, is_final)
        assert job["status"] == "succeeded", job
        assert (job["attempt"], job["actor"]) == (1, "ci")
        assert job["result"]["weights_sha256"] == on_sqlite["result"]["weights_sha256"]
        assert figures_of(guarded, job_id) == figures_of(service, on_sqlite["id"])
        with Client(guarded.url) as stranger, pytest.raises(ApiError) as unknown:
            stranger.jobs()
        assert unknown.value.status == 401
        said = guarded.log()
        assert token not in said
        assert "a-password-for-tests" not in said
    assert "tokens_not_read" not in said
    assert not [path for path in directory.rglob("*.sqlite") if path.name == "gradsum.sqlite"]
    assert tokens.stat().st_mode & 0o077 == 0
