"""The tracker's loop: twice a second it looks for jobs whose end MLflow does not know, and brings them up to date.

One job's trouble (MLflow refuses something, a file is damaged) makes that job wait; MLflow's makes all of them wait.
"""

import time

from mlflow import MlflowClient

from service.logs import logger
from service.plots.loss import NOTHING, loss_curve
from service.settings import Settings
from service.stop import Stop
from service.store import tracking
from service.store.database import Database, DatabaseUnavailableError
from service.store.jobs import Job
from service.store.tracking import Tracking
from service.tracker.errors import MlflowUnavailableError, RefusedError, answers
from service.tracker.health import Health, Pause
from service.tracker.mirror import Mirror

TICK_SECONDS = 0.5
IDLE_CHECK_SECONDS = 5.0
LONGEST_ERROR = 2000


class Tracker:
    """Copies the record to MLflow, job by job, oldest first."""

    def __init__(self, settings: Settings, database: Database) -> None:
        address = settings.mlflow_tracking_uri or f"http://127.0.0.1:{settings.mlflow_port}"
        self._database = database
        self._log = logger("tracker")
        self._mirror = Mirror(settings, database, MlflowClient(address, address))
        self._health = Health(database, self._log, address)
        self._pause = Pause()
        self._pauses: dict[str, Pause] = {}
        self._check_at = 0.0
        self._database_answers = True

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set."""
        loss_curve(NOTHING, "")  # the first picture takes half a second more than the others
        while not stop.is_set():
            try:
                self.step(time.monotonic())
                self._database_answers = True
            except DatabaseUnavailableError as error:
                if self._database_answers:
                    self._log.warning("database_does_not_answer", reason=str(error))
                self._database_answers = False
            stop.wait(TICK_SECONDS)

    def step(self, now: float) -> None:
        """One look at the record, and what follows from it."""
        with self._database.read() as connection:
            waiting = tracking.pending(connection)
        ids = {job.id for job, _ in waiting}
        self._pauses = {job_id: pause for job_id, pause in self._pauses.items() if job_id in ids}
        self._health.report(now, len(waiting))
        if self._pause.is_over(now):
            self._send(waiting, now)
        self._health.report(now, len(waiting))

    def _send(self, waiting: list[tuple[Job, Tracking]], now: float) -> None:
        finished: set[str] = set()
        try:
            if now >= self._check_at or not self._health.is_ok:
                with answers():
                    self._mirror.check()
                    self._mirror.follow_champions()
                self._check_at = now + IDLE_CHECK_SECONDS
            for job, cursor in waiting:
                if self._pauses.setdefault(job.id, Pause()).is_over(now) and self._advance(job, cursor, now):
                    finished.add(job.id)
        except (MlflowUnavailableError, RefusedError) as error:
            self._health.degraded(str(error))
            self._pause.lengthen(now)
            unaware = [job for job, cursor in waiting if cursor.error is None and job.id not in finished]
            self._set_error(unaware, str(error)[:LONGEST_ERROR])
        else:
            self._health.ok()
            self._pause.clear()

    def _advance(self, job: Job, cursor: Tracking, now: float) -> bool:
        """Bring one job up to date; whether that was its end. What goes wrong stands in its row until it is mended."""
        try:
            with answers():
                finished = self._mirror.bring_up_to_date(job, cursor)
        except DatabaseUnavailableError:
            raise
        except MlflowUnavailableError:
            self._pauses[job.id].lengthen(now)
            raise
        except Exception as error:  # noqa: BLE001 - one job's trouble is not the others'
            self._refused(job, cursor, error, now)
            return False
        self._pauses[job.id].clear()
        if cursor.error is not None and not finished:
            self._set_error([job], None)
        if finished:
            self._log.info("job_is_in_mlflow", job_id=job.id)
        return finished

    def _refused(self, job: Job, cursor: Tracking, error: Exception, now: float) -> None:
        message = (str(error) or type(error).__name__)[:LONGEST_ERROR]
        self._pauses[job.id].lengthen(now)
        if message != cursor.error:
            self._log.warning("job_waits_for_mlflow", job_id=job.id, error=type(error).__name__, reason=message)
            self._set_error([job], message)
        with answers():
            if self._mirror.start_again_if_gone(job, cursor):
                self._log.warning("run_is_gone", job_id=job.id, run_id=cursor.run_id)

    def _set_error(self, affected: list[Job], message: str | None) -> None:
        if not affected:
            return
        with self._database.write() as connection:
            for job in affected:
                tracking.change(connection, job.id, error=message)
