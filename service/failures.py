"""What the service itself found wrong, and not a driver: a job ends, or an error stays with the one it is about."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from service.logs import Log
from service.store import jobs
from service.store.database import Database, DatabaseUnavailableError
from service.store.jobs import Job

AGAIN_SECONDS = 3600.0


def fail(database: Database, log: Log, job: Job, error: dict[str, Any]) -> None:
    """End a job with `error`, unless its state has changed meanwhile, and say so."""
    with database.write() as connection:
        failed = jobs.fail(connection, job, error)
    if failed:
        log.warning("job_failed", job_id=job.id, reason=error["message"])


def internal(message: str, error: Exception) -> dict[str, Any]:
    """An error of ours, as a job shows it."""
    return {"code": "internal", "message": f"{message}: {type(error).__name__}: {error}"}


class Complaints:
    """Errors of ours about one schedule or job: they are logged, and the others go on.

    One that stays is logged once, and then each hour: what is broken is looked at twice a second.
    """

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._made: dict[tuple[str, ...], tuple[str, float]] = {}

    @contextmanager
    def contained(self, event: str, **about: str) -> Iterator[None]:
        """Log what is raised inside the block. A database that is away is raised on."""
        key = (event, *about.values())
        try:
            yield
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and the others must go on
            said, until = self._made.get(key, ("", 0.0))
            if said != repr(error) or self._clock() >= until:
                self._made[key] = (repr(error), self._clock() + AGAIN_SECONDS)
                self._log.exception(event, **about)
        else:
            self._made.pop(key, None)
