"""How MLflow is, as the tracker sees it: said once at each change, reported for /readyz, retried with a back-off."""

import contextlib

from service.logs import Log
from service.store import components
from service.store.database import Database, DatabaseUnavailableError

STARTING = "The tracker has started and not asked it yet."
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
REPORT_SECONDS = 5.0


def starting(database: Database) -> None:
    """What an earlier tracker has said of MLflow counts no more. Where the database is away, /readyz says that."""
    with contextlib.suppress(DatabaseUnavailableError), database.write() as connection:
        components.report(connection, "mlflow", "degraded", {"message": STARTING})


class Pause:
    """A pause that doubles from failure to failure."""

    def __init__(self) -> None:
        self._until = 0.0
        self._seconds = 0.0

    def is_over(self, now: float) -> bool:
        """Whether to try again."""
        return now >= self._until

    def lengthen(self, now: float) -> None:
        """It failed: wait, and longer than the last time."""
        self._seconds = min(max(2 * self._seconds, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._until = now + self._seconds

    def clear(self) -> None:
        """It worked."""
        self._until = self._seconds = 0.0


class Health:
    """MLflow's state: ok, or degraded with the reason; at first degraded, whatever an earlier tracker has said."""

    def __init__(self, database: Database, log: Log, address: str) -> None:
        self._database = database
        self._log = log
        self._address = address
        self._status: str | None = None
        self._message = STARTING
        self._report_at = 0.0

    @property
    def is_ok(self) -> bool:
        """Whether MLflow did all that it was asked the last time."""
        return self._status == "ok"

    def ok(self) -> None:
        """MLflow answered."""
        if self._status != "ok":
            self._log.info("mlflow_answers", address=self._address)
        self._become("ok", "")

    def degraded(self, message: str) -> None:
        """MLflow did not answer."""
        if self._status is None:  # it takes longer to start than we do
            self._log.info("waiting_for_mlflow", address=self._address)
        elif self._status != "degraded":
            self._log.warning("mlflow_does_not_answer", address=self._address, reason=message)
        self._become("degraded", message)

    def report(self, now: float, waiting: int) -> None:
        """Keep the row for /readyz fresh; `waiting` jobs are not complete in MLflow."""
        if now < self._report_at:
            return
        details: dict[str, object] = {"address": self._address, "waiting_jobs": waiting}
        details |= {"message": self._message} if self._message else {}
        with self._database.write() as connection:
            components.report(connection, "mlflow", self._status or "degraded", details)
        self._report_at = now + REPORT_SECONDS

    def _become(self, status: str, message: str) -> None:
        if status != self._status:
            self._report_at = 0.0
        self._status, self._message = status, message
