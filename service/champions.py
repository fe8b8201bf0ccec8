"""The dispatcher's part in champions: a schedule's data is checked before it trains, its model judged after it.

What is decided, and why, is `service.data_check` and `service.gate`; the child that `Judging` asks does the counting.
Nothing is kept here that could not be lost: a check is made again, a verdict is recorded once.
"""

import time
from collections import Counter
from collections.abc import Callable, Container
from datetime import datetime
from typing import Any

from service.child import Lost, Message
from service.data_check import Finding, drifted, problems, problems_alone
from service.decisions import Decision
from service.failures import Complaints
from service.firings import Occasion, call_off, fire, jobs_beside
from service.judging import Judging, promotion_from_json
from service.logs import Log
from service.preparation import MOST_LOSSES
from service.scheduler import LOOK_SECONDS, wall_clock
from service.schedules import is_cool
from service.settings import Settings
from service.store import datasets, firings, notifications, schedules
from service.store.database import Database, Transaction, WriteConflictError, as_text
from service.store.datasets import Dataset, DatasetOutline
from service.store.jobs import Job
from service.store.schedules import Schedule, Watched

CHECKING = "The data is being compared with the champion's."


class Champions:
    """Looks after the champions of schedules."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        log: Log,
        judging: Judging,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._database = database
        self._settings = settings
        self._log = log
        self._complaints = Complaints(log)
        self._judging = judging
        self._clock = clock
        self._look_at = 0.0
        self._findings: dict[str, list[Finding]] = {}
        self._asked: set[str] = set()
        self._losses: Counter[str] = Counter()

    def look(self) -> None:
        """Take a step where the last one is half a second ago."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.step()

    def step(self) -> None:
        """Have every model judged that waits for it, and every dataset that is watched for drift compared."""
        with self._database.read() as connection:
            unjudged = schedules.unjudged(connection)
            watched = schedules.watching(connection)
        for job, promotion in unjudged:
            with self._complaints.contained("model_not_judged", job_id=job.id):
                self._judging.judge(job, promotion_from_json(promotion))
        for seen in watched:
            with self._complaints.contained("schedule_not_understood", schedule_id=seen.schedule.id):
                self._watch(seen)

    def forget_all_but(self, unfinished: Container[str]) -> None:
        """Keep what was found about these jobs' data only."""
        self._findings = {job_id: found for job_id, found in self._findings.items() if job_id in unfinished}

    def before_training(self, job: Job, dataset: DatasetOutline, decision: Decision) -> Decision:
        """`decision`, unless `job` is of a schedule whose `check` is not done, or does not let its data pass."""
        with self._database.read() as connection:
            firing = firings.of_job(connection, job.id)
            schedule = None if firing is None else schedules.get(connection, firing.schedule_id)
        if firing is None or schedule is None or schedule.check is None or firing.backfill:
            return decision
        found = self._found(job, dataset, schedule.check)
        if found is None:
            return Decision("wait", "waiting_for_data", CHECKING)
        if not found:
            return decision
        reason = " ".join(finding.message for finding in found)
        with self._database.write() as connection:
            held = call_off(connection, job, firing.id, "held", reason)
        if held:
            self._log.warning("firing_held", schedule_id=schedule.id, job_id=job.id, reason=reason)
        return Decision("wait")

    def _found(self, job: Job, dataset: DatasetOutline, check: dict[str, Any]) -> list[Finding] | None:
        """What is wrong with the data, None while that is being found out."""
        if job.id in self._findings or job.id in self._asked:
            return self._findings.get(job.id)

        def on_measured(answer: Message | Lost) -> None:
            self._asked.discard(job.id)
            if isinstance(answer, Lost):
                reason = self._given_up(job.id, answer)
                if reason is not None:
                    self._findings[job.id] = [Finding("not_checked", reason)]
            elif "error" in answer:
                self._findings[job.id] = [Finding("not_checked", answer["error"]["message"])]
            else:
                self._findings[job.id] = problems(check, answer["ok"])

        name = job.spec["tracking"]["registered_model"]
        if name is not None and self._judging.measure(name, job.project, dataset, on_measured):
            self._asked.add(job.id)
            return None
        with self._database.read() as connection:
            whole = datasets.whole(connection, dataset)
        return problems_alone(check, dataset.rows or 0, _null_fractions(job, whole))

    def _given_up(self, key: str, lost: Lost) -> str | None:
        """Why a comparison is not tried again, once it has taken its process down too often."""
        self._losses[key] += lost.in_hand
        if self._losses[key] < MOST_LOSSES:
            return None
        del self._losses[key]
        return f"Comparing the data with the champion's ended its process {MOST_LOSSES} times ({lost.reason})."

    def _watch(self, seen: Watched) -> None:
        """Compare a dataset with the champion's data, once for each of its versions and each champion."""
        schedule = seen.schedule
        key = f"{schedule.id} {seen.sequence} {seen.champion}"
        if key in self._asked or schedule.drift is None:
            return
        with self._database.read() as connection:
            last = firings.last_fired_at(connection, schedule.id)
        if not is_cool(schedule, last, self._clock()):
            return

        def on_measured(answer: Message | Lost) -> None:
            self._asked.discard(key)
            if isinstance(answer, Lost):
                reason = self._given_up(key, answer)
                answer = {"error": {"message": reason}} if reason else answer
            if not isinstance(answer, Lost):
                self._drifted(seen, answer)

        if self._judging.measure(seen.model, schedule.project, seen.dataset, on_measured):
            self._asked.add(key)

    def _drifted(self, seen: Watched, answer: Message) -> None:
        """Retrain, or say that it would be time to; in one transaction with how far was looked."""
        schedule = seen.schedule
        if "error" in answer:
            step, reason = "suggest", answer["error"]["message"]
        else:
            step, reason = drifted(schedule.drift or {}, answer["ok"])
        try:
            with self._database.write() as connection:
                looked = {"seen_dataset": seen.sequence, "seen_champion": seen.champion}
                if not _is_as_asked(connection, schedule):
                    return
                if schedules.go_on(connection, schedule, **looked) and step != "none":
                    self._record_drift(connection, schedule, step, reason)
        except WriteConflictError:
            self._log.info("firing_made_by_another", schedule_id=schedule.id)

    def _record_drift(self, connection: Transaction, schedule: Schedule, step: str, reason: str) -> None:
        moment = self._clock()
        if step == "run":
            beside = jobs_beside(connection, schedule)
            firing_id = fire(connection, self._settings, schedule, Occasion(moment, "drift"), beside)
            firings.explain(connection, firing_id, reason)
        else:
            hint = f"{reason} To retrain: gradsum schedule trigger {schedule.name}"
            firing_id = firings.add(
                connection,
                schedule_id=schedule.id,
                due_at=as_text(moment),
                triggered_by="drift",
                outcome="held",
                reason=hint,
            )
        data = {"schedule_id": schedule.id, "schedule": schedule.name, "firing_id": firing_id, "reason": reason}
        notifications.add(
            connection, schedule.notify, project=schedule.project, object_id=schedule.id, event="drift.found", data=data
        )
        self._log.info("drift_found", schedule_id=schedule.id, step=step, reason=reason)


def _is_as_asked(connection: Transaction, schedule: Schedule) -> bool:
    """Whether nobody else has looked since: a leader that stalled may answer after its successor."""
    now = schedules.get(connection, schedule.id)
    before = (schedule.seen_dataset, schedule.seen_champion)
    return now is not None and (now.seen_dataset, now.seen_champion) == before


def _null_fractions(job: Job, dataset: Dataset) -> dict[str, float]:
    """The share of missing values in each column that the job uses."""
    target = job.spec["target"]
    used = {*job.spec["features"], *([target] if isinstance(target, str) else target)}
    rows = max(1, dataset.rows or 0)
    return {column["name"]: column["nulls"] / rows for column in dataset.columns or [] if column["name"] in used}
