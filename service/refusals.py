"""Jobs whose attempts were refused, because the processes at hand compute other bits, or have no use of the storage."""

import time
from collections.abc import Callable, Container
from typing import NamedTuple

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 600.0
"""How long such a job is not tried again; it doubles each time. The cluster has to change, or its user's mind."""


class Refusal(NamedTuple):
    """Why, and until when no attempt is made."""

    code: str
    reason: str
    until: float
    pause: float


class Refusals:
    """What was refused since this process began: one that starts anew finds it out again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_job: dict[str, Refusal] = {}

    def add(self, job_id: str, code: str, reason: str) -> None:
        """Make no attempt for a while."""
        last = self._by_job.get(job_id)
        pause = FIRST_PAUSE_SECONDS if last is None else min(2 * last.pause, LONGEST_PAUSE_SECONDS)
        self._by_job[job_id] = Refusal(code, reason, self._clock() + pause, pause)

    def last(self, job_id: str) -> Refusal | None:
        """Why the job was refused last; None if it never was."""
        return self._by_job.get(job_id)

    def is_pausing(self, job_id: str) -> bool:
        """Whether it is too early to try again."""
        refusal = self._by_job.get(job_id)
        return refusal is not None and self._clock() < refusal.until

    def forget_all_but(self, job_ids: Container[str]) -> None:
        """Keep what is known of these jobs alone."""
        self._by_job = {job_id: refusal for job_id, refusal in self._by_job.items() if job_id in job_ids}
