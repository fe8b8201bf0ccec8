"""What the service itself found wrong, and not a driver: a job ends, or an error stays with the one it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.logs import Log
from service.store import jobs
from service.store.database import Database, DatabaseUnavailableError
from service.store.jobs import Job


def fail(database: Database, log: Log, job: Job, error: dict[str, Any]) -> None:
    """End a job with `error`, unless its state has changed meanwhile, and say so."""
    with database.write() as connection:
        failed = jobs.fail(connection, job, error)
    if failed:
        log.warning("job_failed", job_id=job.id, reason=error["message"])


def internal(message: str, error: Exception) -> dict[str, Any]:
    """An error of ours, as a job shows it."""
    return {"code": "internal", "message": f"{message}: {type(error).__name__}: {error}"}


@contextmanager
def contained(log: Log, event: str, **about: str) -> Iterator[None]:
    """An error of ours about one schedule or job is logged, and the others go on. A database that is away is none."""
    try:
        yield
    except DatabaseUnavailableError:
        raise
    except Exception:
        log.exception(event, **about)
