"""The dispatcher's part in schedules: due times that have passed become firings, and a firing's job is let train."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from service.decisions import Decision
from service.failures import Complaints, internal
from service.firings import Occasion, call_off, fire, jobs_beside
from service.logs import Log
from service.schedules import Entry, Step, before_training, is_cool, overlap, passed
from service.settings import Settings
from service.store import firings, schedules
from service.store.database import Database, DatabaseUnavailableError, Transaction, WriteConflictError, as_text
from service.store.datasets import DatasetOutline
from service.store.jobs import Job
from service.store.schedules import Schedule

LOOK_SECONDS = 0.5


def wall_clock() -> datetime:
    """The time of day, which decides about due times and nothing else."""
    return datetime.now(UTC)


class Scheduler:
    """Fires what is due. Any number of them may: the key of the ledger lets one of them through."""

    def __init__(
        self, database: Database, settings: Settings, log: Log, clock: Callable[[], datetime] = wall_clock
    ) -> None:
        self._database = database
        self._settings = settings
        self._log = log
        self._complaints = Complaints(log)
        self._clock = clock
        self._look_at = 0.0

    def look(self) -> None:
        """Take a step where the last one is half a second ago."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.step()

    def step(self) -> None:
        """Fire every schedule that is due, and those whose data is new."""
        moment = self._clock()
        with self._database.read() as connection:
            due = schedules.due(connection, as_text(moment))
            fresh = schedules.waiting_for_data(connection)
        for schedule in due:
            with self._complaints.contained("schedule_not_understood", schedule_id=schedule.id):
                self._fire_due(schedule, moment)
        for schedule, dataset_id, sequence, created_at in fresh:
            occasion = Occasion(datetime.fromisoformat(created_at), "new_data", dataset_id)
            with self._complaints.contained("schedule_not_understood", schedule_id=schedule.id):
                self._fire_on_data(schedule, occasion, sequence)

    def before_training(self, job: Job, dataset: DatasetOutline, decision: Decision) -> Decision:
        """`decision`, unless `job` is a firing's that is to wait or, with that data, does not train at all."""
        with self._database.read() as connection:
            firing = firings.of_job(connection, job.id)
            schedule = None if firing is None else schedules.get(connection, firing.schedule_id)
            if firing is None or schedule is None:
                return decision
            older = firings.unfinished_before(connection, schedule.id, job.sequence)
            trained = firings.last_success(connection, schedule.id)
        before = before_training(schedule, firing, dataset.content_key, older, trained)
        if before.step == "wait":
            return Decision("wait", "waiting_for_earlier_job", before.reason)
        if before.step == "end":
            with self._database.write() as connection:
                called_off = call_off(connection, job, firing.id, before.outcome, before.reason)
            if called_off:
                self._log.info("firing_ended", schedule_id=schedule.id, job_id=job.id, outcome=before.outcome)
            return Decision("wait")
        return decision

    def _fire_due(self, schedule: Schedule, moment: datetime) -> None:
        """Bring the ledger up to `moment` in one transaction. Jobs of one catch-up do not overlap each other."""
        step = passed(schedule, moment)
        with self._database.read() as connection:
            known = firings.at(connection, schedule.id, [as_text(entry.due_at) for entry in step.entries])
        step = step._replace(entries=[entry for entry in step.entries if as_text(entry.due_at) not in known])
        try:
            self._write(schedule, step)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and the other schedules must go on
            self._log.exception("firing_failed", schedule_id=schedule.id)
            self._write(schedule, step, failed=internal("Gradsum could not make the job", error)["message"])

    def _write(self, schedule: Schedule, step: Step, failed: str | None = None) -> None:
        """Record all of `step`, or nothing where another dispatcher was quicker."""
        try:
            with self._database.write() as connection:
                self._record(connection, schedule, step, failed)
        except WriteConflictError:
            self._log.info("firing_made_by_another", schedule_id=schedule.id)

    def _record(self, connection: Transaction, schedule: Schedule, step: Step, failed: str | None = None) -> None:
        following = None if step.next_due_at is None else as_text(step.next_due_at)
        if not schedules.go_on(connection, schedule, next_due_at=following):
            return  # it was edited or deleted meanwhile
        beside = jobs_beside(connection, schedule)
        for entry in step.entries:
            if entry.do == "fire" and failed is None:
                firing_id = fire(connection, self._settings, schedule, Occasion(entry.due_at), beside)
                self._log.info("schedule_fired", schedule_id=schedule.id, firing_id=firing_id)
            else:
                _note(connection, schedule, entry, failed)

    def _fire_on_data(self, schedule: Schedule, occasion: Occasion, sequence: int) -> None:
        """Fire for the newest version, unless the schedule is to cool down or to wait: then it is looked at again."""
        with self._database.read() as connection:
            last = firings.last_fired_at(connection, schedule.id)
            may_run, _ = overlap(schedule.overlap_policy, [job.id for job in jobs_beside(connection, schedule)])
        if not (may_run and is_cool(schedule, last, self._clock())):
            return
        try:
            with self._database.write() as connection:
                if schedules.go_on(connection, schedule, seen_dataset=sequence):
                    beside = jobs_beside(connection, schedule)
                    fire(connection, self._settings, schedule, occasion, beside)
        except WriteConflictError:
            self._log.info("firing_made_by_another", schedule_id=schedule.id)


def _note(connection: Transaction, schedule: Schedule, entry: Entry, failed: str | None) -> None:
    """A row for a due time that makes no job."""
    is_failure = entry.do == "fire"
    firings.add(
        connection,
        schedule_id=schedule.id,
        due_at=as_text(entry.due_at),
        due_times=entry.due_times,
        triggered_by="cron",
        outcome="failed_to_submit" if is_failure else entry.do,
        reason=failed if is_failure else entry.reason,
    )
