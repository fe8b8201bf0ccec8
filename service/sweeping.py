"""The dispatcher's part of the sweep: says what the record needs, at the start and sometimes after it."""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from service.child import Child, Lost, Message
from service.logs import Log
from service.preparation import WORK_SECONDS
from service.store import datasets, jobs
from service.store.database import Database
from service.sweep import MATRIX_DAYS

SWEEP_SECONDS, RETRY_SECONDS = 600.0, 10.0
WHOLE_SECONDS = 86_400.0
"""How often all that is kept is compared with all that the record knows."""


class Sweeping:
    """Asks the preparing child, which reads no dataset meanwhile."""

    def __init__(self, database: Database, child: Child, log: Log) -> None:
        self._database = database
        self._child = child
        self._log = log
        self._next_at = self._whole_at = 0.0

    def look(self) -> None:
        """Have what is no longer needed taken away, if it is time to."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = math.inf  # until this one is answered
        is_whole = time.monotonic() >= self._whole_at

        def on_answer(answer: Message | Lost) -> None:
            is_lost = isinstance(answer, Lost)
            self._next_at = time.monotonic() + (RETRY_SECONDS if is_lost else SWEEP_SECONDS)
            if is_whole and not is_lost:
                self._whole_at = time.monotonic() + WHOLE_SECONDS
            if not isinstance(answer, Lost) and answer.get("ok", {}).get("removed"):
                self._log.info("storage_swept", removed=answer["ok"]["removed"])

        self._child.ask(self._request(datetime.now(UTC), is_whole=is_whole), WORK_SECONDS, on_answer)

    def _request(self, moment: datetime, *, is_whole: bool) -> dict[str, Any]:
        with self._database.read() as connection:
            needed = jobs.needed_matrices(connection, moment - timedelta(days=MATRIX_DAYS))
            preparing = [dataset.id for dataset in datasets.preparing(connection)]
            known = {"datasets": datasets.content_keys(connection), "jobs": jobs.ids(connection)} if is_whole else {}
        return {
            "do": "sweep",
            "uploads": preparing,
            "matrices": sorted(needed),
            "known": known,
            "now": moment.timestamp(),
        }
