"""A process that fires one schedule, minute after minute of a clock of its own, beside others that do the same."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from service import logs
from service.scheduler import Scheduler
from service.settings import Settings
from service.store import schedules
from service.store.database import Database, DatabaseUnavailableError, as_text

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def fire_minutes(url: str, data_dir: Path, n_minutes: int) -> None:
    """Let the clock go through `n_minutes`, and at each of them fire until nothing is due."""
    database = Database(url)
    clock = [START]
    log = logs.logger("dispatcher")
    log.disabled = True
    scheduler = Scheduler(database, Settings(data_dir=data_dir), log, lambda: clock[0])
    for minute in range(1, n_minutes + 1):
        clock[0] = START + minute * MINUTE
        while is_due(database, clock[0]):
            try:
                scheduler.step()
            except DatabaseUnavailableError:
                continue
    database.close()


def is_due(database: Database, moment: datetime) -> bool:
    """Whether a due time up to `moment` is not in the ledger; a record that does not answer is asked again."""
    while True:
        try:
            with database.read() as connection:
                return bool(schedules.due(connection, as_text(moment)))
        except DatabaseUnavailableError:
            continue
