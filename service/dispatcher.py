"""The one restart authority: turns rows of SQL into prepared data, drivers on the cluster and final states.

SQL and a clock, nothing else is in this process: Ray and the data are behind two disposable children. Whatever
is lost (a child, a driver, this process) is found missing at the next step, and the job gets a new attempt.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import wait
from typing import Any

from service import resources
from service.advancing import Advancing
from service.champions import Champions
from service.child import Child, Lost, Message
from service.decisions import FINGERPRINTS, Decision, Facts, decide, holds_place, others_at_once, wanted_workers
from service.facts import Sources
from service.failures import fail, internal
from service.imports.fetching import Fetching
from service.judging import Judging
from service.leadership import Leadership
from service.logs import Log
from service.paths import start_path
from service.preparation import Preparation
from service.recording import record
from service.refusals import Refusals
from service.reporting import Reporting
from service.scheduler import Scheduler, wall_clock
from service.settings import Settings
from service.store import datasets, jobs
from service.store.database import Database, DatabaseUnavailableError, Transaction, WriteConflictError, now
from service.store.jobs import Job
from service.sweeping import Sweeping
from workers.numerics import mismatch

TICK_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""How often all jobs are looked at where nothing has changed: whole rows take time, and reasons to wait may pass."""
PROGRESS_SECONDS = 1.0
EAGER_PROGRESS_SECONDS = 0.2
"""While an attempt is young: most jobs are short, and someone may be watching."""
YOUNG_SECONDS = 3.0
UNAVAILABLE_SECONDS = 1.0
ANSWER_SECONDS = 30.0
VALIDATION_GONE = {
    "code": "dataset_deleted",
    "message": "Its validation_dataset was deleted. Submit the job again with one that is there.",
}


@dataclass
class Running:
    """A job that has a driver, or is about to: the slots it takes, and how far its figures are recorded."""

    workers: int
    since: float
    attempt: int = 0
    started: bool = False
    last_epoch: int = 0


class Dispatcher:
    """Looks at the record ten times a second, and takes the next step of every job where something has changed.

    `clock` decides which due times of schedules have passed, and nothing else.
    """

    def __init__(
        self, database: Database, settings: Settings, log: Log, owner: str, clock: Callable[[], datetime] = wall_clock
    ) -> None:
        self._database = database
        self._settings = settings
        self._log = log
        self._leadership = Leadership(database, owner)
        self._cluster = Child("service.cluster", log)
        environment = {**resources.ENVIRONMENT, **settings.storage_environment()}
        self._prepare = Child("service.prepare", log, environment=environment)
        self._fetch = Child("service.prepare", log, environment=environment, when_asked=True)
        self._advancing = Advancing(database)
        self._preparation = Preparation(database, settings, self._prepare, log, self._advancing)
        self._fetching = Fetching(database, settings, self._fetch, log, self._advancing)
        self._scheduler = Scheduler(database, settings, log, clock)
        self._champions = Champions(database, settings, log, Judging(database, settings, self._prepare, log), clock)
        self._sweeping = Sweeping(database, self._prepare, log)
        self._running: dict[str, Running] = {}
        self._begun: set[str] = set()
        self._cancelling: set[str] = set()
        self._refusals = Refusals()
        self._someone_waits = False
        self._situation: tuple[list[jobs.Outline], frozenset[str], int | None] | None = None
        self._look_at = 0.0
        self._slots: int | None = None
        self._asking = False
        self._ask_at = 0.0
        self._reporting = Reporting(database)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Work until `stopping` says so, then end the children."""
        try:
            while not stopping():
                self._step_if_the_record_answers()
                pipes = [child.connection for child in (self._cluster, self._prepare, self._fetch) if child.connection]
                wait(pipes, timeout=TICK_SECONDS) if pipes else time.sleep(TICK_SECONDS)
            with suppress(DatabaseUnavailableError, WriteConflictError):  # else the next start takes drivers for lost
                self._end_attempts(self._running, jobs.SERVICE_STOPPED)
        finally:
            children = (self._cluster, self._prepare, self._fetch)
            for child in children:
                child.hang_up()
            for child in children:
                child.stop()

    def _step_if_the_record_answers(self) -> None:
        """What a failed step has left undone is found missing by the next one, so no error ends this process."""
        try:
            self.step()
        except DatabaseUnavailableError as error:
            self._log.warning("database_unavailable", reason=error)
            time.sleep(UNAVAILABLE_SECONDS)
        except Exception:  # noqa: BLE001 - it is logged, and the service must go on
            self._log.exception("step_failed")
            time.sleep(UNAVAILABLE_SECONDS)

    def step(self) -> None:
        """One look at the record and at the children."""
        self._cluster.pump()
        self._prepare.pump()
        self._fetch.pump()
        if self._cluster.ready is None:
            self._slots = None
        elif self._slots is None:
            self._slots = self._cluster.ready["slots"]
        if not self._leadership.holds():
            self._step_down()
            return
        self._reporting.starting()
        if self._cluster.ready is None and self._running:
            self._lose_all("service.cluster is not running")
        self._scheduler.look()
        self._champions.look()
        with self._database.read() as connection:
            waiting = datasets.preparing(connection)
            outline = jobs.outline(connection)
        for dataset in waiting:
            if dataset.uri is None:
                self._preparation.ingest(dataset)
            else:
                self._fetching.fetch(dataset)
        self._advancing.record()
        self._sweeping.look()
        self._forget_all_but({seen.id for seen in outline})
        situation = (outline, frozenset(self._running), self._slots)
        if situation != self._situation or time.monotonic() >= self._look_at:
            self._situation, self._look_at = situation, time.monotonic() + LOOK_SECONDS
            self._advance_all()
        self._ask_for_progress()
        self._reporting.leads(len(self._running), self._slots, self._cluster.trouble)

    def _advance_all(self) -> None:
        """Take the next step of every job that has one."""
        with self._database.read() as connection:
            unfinished = jobs.unfinished(connection)
            wanted = {key for job in unfinished for key in (job.dataset_id, job.spec["validation_dataset"]) if key}
            found = {key: datasets.outline(connection, key) for key in wanted}
        self._someone_waits = False
        self._begun = {job.id for job in unfinished if holds_place(job, self._slots, self._refusals.last(job.id))}
        for job in unfinished:
            dataset, named = found[job.dataset_id], job.spec["validation_dataset"]
            if named is not None and found[named] is None:
                fail(self._database, self._log, job, VALIDATION_GONE)
            elif dataset is not None:
                self._advance_or_fail(job, Sources(dataset, found.get(named)))

    def _step_down(self) -> None:
        """Another dispatcher leads, or did: our drivers end, and its attempts take their place."""
        if self._running:
            self._running = {}
            self._cluster.restart("another dispatcher leads")
        if self._leadership.is_vacant:
            self._reporting.starting()
        else:
            self._reporting.over()

    def _advance_or_fail(self, job: Job, sources: Sources) -> None:
        """An error of ours about one job ends that job, not the others."""
        try:
            self._advance(job, sources)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and the other jobs must go on
            self._log.exception("job_not_understood", job_id=job.id)
            fail(self._database, self._log, job, internal("Gradsum can't go on with this job", error))

    def _let_train(self, job: Job, sources: Sources, decision: Decision) -> Decision:
        """`decision`, unless it is to prepare a schedule's job that is to wait, or is not to train at all."""
        for part in (self._scheduler, self._champions):
            if decision.step == "prepare" and job.status == "queued":
                decision = part.before_training(job, sources.dataset, decision)
        away = self._prepare.away or self._fetch.away
        if decision.code == "waiting_for_data" and away is not None:
            return decision._replace(code="waiting_for_storage", message=away)
        return decision

    def _advance(self, job: Job, sources: Sources) -> None:
        facts = self._facts(job, sources)
        decision = self._let_train(job, sources, decide(job, facts))
        match decision.step:
            case "cancel":
                self._cancel(job)
            case "fail":
                error = sources.error if decision.code == "dataset_failed" else None
                fail(self._database, self._log, job, error or {"code": decision.code, "message": decision.message})
            case "resolve":
                self._preparation.resolve(job, sources)
            case "prepare":
                self._preparation.build(job, sources, self._slots or self._settings.worker_slots)
            case "start":
                self._start(job)
            case "restart":
                self._restart(job)
        if decision.step in {"wait", "prepare"} and job.status in {"queued", "starting"} and not self._has_driver(job):
            self._explain(job, decision)
        fits = wanted_workers(job, self._slots) <= (self._slots or 0) and not facts.is_full
        if decision.code == "waiting_for_workers" and fits:
            self._someone_waits = True  # its turn comes before that of all behind it

    def _facts(self, job: Job, sources: Sources) -> Facts:
        taken = sum(running.workers for running in self._running.values())
        free = 0 if self._someone_waits else max((self._slots or 0) - taken, 0)
        lost = 0
        if job.status == "starting" and job.id not in self._running:
            with self._database.read() as connection:
                lost = jobs.lost_drivers(connection, job.id)
        facts = Facts(
            sources.status, job.id in self._running, self._slots, free, lost,
            most_jobs=self._settings.limit_concurrent_jobs,
            others=others_at_once(job, self._begun, self._running.keys()),
            how_far=sources.how_far,
        )  # fmt: skip
        refusal, pausing = self._refusals.last(job.id), self._refusals.is_pausing(job.id)
        if refusal is None:
            return facts
        return facts._replace(refusal=refusal.reason, refusal_code=refusal.code, pausing=pausing)

    def _has_driver(self, job: Job) -> bool:
        """Whether one has the job: then it says itself what it waits for."""
        return job.id in self._running and self._running[job.id].started

    def _explain(self, job: Job, decision: Decision) -> None:
        if decision.status_reason == job.status_reason:
            return
        with self._database.write() as connection:
            jobs.change(connection, job, status_reason=decision.status_reason)

    def _cancel(self, job: Job) -> None:
        """End the driver, if there is one, and then the job."""
        if job.id in self._cancelling:
            return
        self._cancelling.add(job.id)

        def on_answer(_answer: Message | Lost) -> None:
            self._cancelling.discard(job.id)
            self._running.pop(job.id, None)
            with self._database.write() as connection:
                jobs.end_attempt(connection, job.id, job.attempt, "cancelled")
                jobs.move(connection, job, "cancelled")
            self._log.info("job_cancelled", job_id=job.id)

        self._cluster.ask({"do": "release", "job": job.id, "keep": False}, ANSWER_SECONDS, on_answer)

    def _restart(self, job: Job) -> None:
        """A running job without a driver goes back to starting, where it gets its next attempt."""
        with self._database.write() as connection:
            jobs.end_attempt(connection, job.id, job.attempt, jobs.SERVICE_RESTARTED)
            was_stopped = jobs.end_of_attempt(connection, job.id, job.attempt) == jobs.SERVICE_STOPPED
            reason = jobs.SERVICE_STOPPED if was_stopped else f"the driver of attempt {job.attempt} was lost"
            jobs.move(connection, job, "starting", reason)
        if was_stopped:
            self._log.info("job_goes_on", job_id=job.id, attempt=job.attempt)
        else:
            self._log.warning("driver_lost", job_id=job.id, attempt=job.attempt)

    def _start(self, job: Job) -> None:
        """Reserve a driver, record which, and only then ask it to start."""
        self._running[job.id] = Running(wanted_workers(job, self._slots), time.monotonic())

        def on_driver(answer: Message | Lost) -> None:
            if isinstance(answer, Lost) or "error" in answer:
                self._running.pop(job.id, None)
                self._look_at = 0.0
                reason = answer.reason if isinstance(answer, Lost) else answer["error"]
                self._explain(job, Decision("wait", "waiting_for_workers", reason))
                return
            driver = answer["driver"]
            if job.numerics not in (None, driver["numerics"]) and not job.accept_other_numerics:
                reason = mismatch("the driver at hand", driver["numerics"], job.numerics)
                self._refusals.add(job.id, FINGERPRINTS, reason)
                self._release(job.id, keep=True)
                return
            try:
                self._start_on(job, driver)
            except Exception:
                self._release(job.id, keep=False)
                raise

        self._cluster.ask({"do": "reserve", "job": job.id}, ANSWER_SECONDS, on_driver)

    def _start_on(self, job: Job, driver: dict[str, Any]) -> None:
        running = self._running.get(job.id)
        attempt = job.attempt + 1
        with self._database.write() as connection:
            changes: dict[str, object] = {"attempt": attempt, "workers": []}
            if job.started_at is None:
                changes["started_at"] = now()
            moved = jobs.move(connection, job, "starting", None if attempt == 1 else f"attempt {attempt}", **changes)
            if moved:
                jobs.add_attempt(connection, job.id, attempt, driver)
        if running is None or not moved:
            self._release(job.id, keep=False)
            return
        running.attempt = attempt
        self._log.info("job_started", job_id=job.id, attempt=attempt, driver_pid=driver["pid"])

        def on_started(answer: Message | Lost) -> None:
            if isinstance(answer, Lost) or not answer.get("started"):
                self._release(job.id, keep=False)
                with self._database.write() as connection:
                    jobs.end_attempt(connection, job.id, attempt, jobs.NOT_STARTED)
                return
            running.started = True
            self._ask_at = 0.0

        request = {
            "do": "start",
            "job": job.id,
            "attempt": attempt,
            "order": self._order(job, attempt, running.workers),
        }
        self._cluster.ask(request, ANSWER_SECONDS, on_started)

    def _order(self, job: Job, attempt: int, workers: int) -> dict[str, Any]:
        storage = self._settings.storage
        return {
            "storage": self._settings.storage_url if self._settings.has_bucket else "",
            "spec": job.spec,
            "plan": {**(job.plan or {}), "workers": workers},
            "matrix_directory": str(storage / "matrices" / str(job.matrix_key)),
            "output_directory": str(storage / "jobs" / job.id / "attempts" / str(attempt)),
            "initial_parameters": str(start_path(storage, job.id)) if _starts_from_given(job) else None,
            "numerics": job.numerics,
            "accept_other_numerics": job.accept_other_numerics,
        }

    def _release(self, job_id: str, *, keep: bool) -> None:
        self._running.pop(job_id, None)
        self._cluster.ask({"do": "release", "job": job_id, "keep": keep}, ANSWER_SECONDS, lambda _answer: None)

    def _forget_all_but(self, unfinished: set[str]) -> None:
        """End the drivers of jobs that became final (or were deleted) behind our back."""
        self._refusals.forget_all_but(unfinished)
        self._champions.forget_all_but(unfinished)
        for job_id in [job_id for job_id in self._running if job_id not in unfinished]:
            self._release(job_id, keep=False)

    def _ask_for_progress(self) -> None:
        moment = time.monotonic()
        since = {job_id: running.last_epoch for job_id, running in self._running.items() if running.started}
        if self._asking or moment < self._ask_at or self._cluster.ready is None:
            return
        self._asking = True
        young = any(moment - self._running[job_id].since < YOUNG_SECONDS for job_id in since)
        self._ask_at = moment + (EAGER_PROGRESS_SECONDS if young else PROGRESS_SECONDS)
        self._cluster.ask({"do": "progress", "jobs": since}, ANSWER_SECONDS, self._on_progress)

    def _on_progress(self, answer: Message | Lost) -> None:
        """Record what the drivers say, for all jobs in one transaction."""
        self._asking = False
        if isinstance(answer, Lost):
            self._lose_all(answer.reason)
            return
        self._slots = answer["slots"]
        with self._database.write() as connection:
            ended = {
                job_id: self._record(connection, job_id, report)
                for job_id, report in answer["jobs"].items()
                if job_id in self._running
            }
        for job_id, report in answer["jobs"].items():
            if job_id in ended and report.get("epochs"):
                self._running[job_id].last_epoch = report["epochs"][-1]["epoch"]
        for job_id, outcome in ended.items():
            if outcome == "refused":
                report = answer["jobs"][job_id]
                self._refusals.add(job_id, report["code"], report["reason"])
            if outcome is not None:
                self._release(job_id, keep=outcome in {"succeeded", "failed"})
                self._log.info("attempt_ended", job_id=job_id, outcome=outcome)

    def _record(self, connection: Transaction, job_id: str, report: dict[str, Any]) -> str | None:
        """Write one report; one that makes no sense ends its job, not the recording of the others."""
        try:
            return record(connection, job_id, self._running[job_id].attempt, report)
        except (ValueError, TypeError, LookupError) as error:
            self._log.exception("report_not_understood", job_id=job_id)
            job = jobs.get(connection, job_id)
            if job is not None:
                jobs.fail(connection, job, internal("What its driver reported makes no sense", error))
            return "gone"

    def _lose_all(self, reason: str) -> None:
        """The child that held the drivers is gone, and they with it."""
        lost, self._running = self._running, {}
        self._log.warning("cluster_lost", reason=reason, jobs=sorted(lost))
        self._end_attempts(lost, jobs.CLUSTER_LOST)

    def _end_attempts(self, ended: Mapping[str, Running], reason: str) -> None:
        with self._database.write() as connection:
            for job_id, running in ended.items():
                jobs.end_attempt(connection, job_id, running.attempt, reason)


def _starts_from_given(job: Job) -> bool:
    return job.spec["initial_parameters"] is not None or job.spec["warm_start"] is not None
