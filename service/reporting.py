"""What the dispatcher says for /readyz of itself and of the cluster: now and then, and at once when that changes."""

import time
from typing import Any

from service.store import components
from service.store.database import Database

REPORT_SECONDS = 5.0
STARTING = "The dispatcher is starting."
UNSEEN = "The dispatcher is starting and has not seen it yet."


class Reporting:
    """Keeps the rows `dispatcher` and `cluster`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._state: object = None
        self._report_at = 0.0

    def starting(self) -> None:
        """What an earlier dispatcher has said counts no more, and this one has not gone through the record yet."""
        if self._state in {None, STARTING}:
            self._say(STARTING, "degraded", {"message": STARTING}, {"message": UNSEEN})

    def leads(self, running_jobs: int, slots: int | None, trouble: str | None) -> None:
        """The record was gone through; `slots` is None while the cluster does not answer, and `trouble` says why."""
        cluster: dict[str, Any] = {"worker_slots": slots}
        if slots is None:
            cluster = {"message": trouble or "The Ray cluster does not answer."}
        elif not slots:
            cluster["message"] = "No node that trains has joined the Ray cluster."
        self._say((slots, trouble), "ok", {"running_jobs": running_jobs}, cluster)

    def over(self) -> None:
        """Another dispatcher leads, and reports."""
        self._state = None

    def _say(self, state: object, status: str, dispatcher: dict[str, Any], cluster: dict[str, Any]) -> None:
        moment = time.monotonic()
        if moment < self._report_at and state == self._state:
            return
        with self._database.write() as connection:
            components.report(connection, "dispatcher", status, dispatcher)
            components.report(connection, "cluster", "degraded" if "message" in cluster else "ok", cluster)
        self._state, self._report_at = state, moment + REPORT_SECONDS
