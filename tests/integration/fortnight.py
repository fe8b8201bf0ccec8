"""A fortnight of the nightly example: what happens before each due time, and a service that lives through it.

The dispatcher is real, and so are its children, the Ray cluster, the record and the API; only the clock is ours.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from service.commands.job_files import SCHEDULE, read_body
from service.dispatcher import Dispatcher
from service.jobs import FINAL
from service.logs import logger
from service.numerics import ONE_THREAD
from service.processes import Guard, Running
from service.ray_head import ray_head
from service.settings import Settings
from service.store import schedules
from service.store.database import as_text
from tests.integration.conftest import Api
from tests.running_service import PROJECT, STOP_SECONDS

EXAMPLE = PROJECT / "deploy" / "examples" / "nightly"
INCOMING = "/tmp/gradsum-incoming"  # noqa: S108 - the example's directory, which tests replace
OSLO = ZoneInfo("Europe/Oslo")
FIRST = date(2026, 3, 19)
PATIENCE_SECONDS = 240.0

Fault = Callable[[str], str]


def half(text: str) -> str:
    """The rows of half a file."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[: len(lines) // 2])


def torn(text: str) -> str:
    """A transfer that broke off inside a row."""
    return text[: len(text) * 9 // 10].rsplit(",", 3)[0]


def another_unit(text: str) -> str:
    """Grey from 0 to 256 in place of 0 to 16."""
    header, *lines = text.splitlines()
    cells = [line.split(",") for line in lines]
    return "\n".join([header, *(",".join([*(str(16 * int(grey)) for grey in row[:-1]), row[-1]]) for row in cells)])


def shuffled_labels(text: str) -> str:
    """A join on the wrong key: every column for itself looks as always."""
    header, *lines = text.splitlines()
    rows = [line.rpartition(",") for line in lines]
    labels = [row[2] for row in rows]
    random.Random(5).shuffle(labels)
    return "\n".join([header, *(f"{row[0]},{label}" for row, label in zip(rows, labels, strict=True))])


class Night(NamedTuple):
    """What happens before a due time, and what the ledger has to say of it."""

    outcome: str
    job: str | None
    verdict: str | None
    reason: str
    fault: Fault | None = None
    has_file: bool = True
    dispatcher_runs: bool = True


GOOD = Night("fired", "succeeded", "promoted", "not worse")
NIGHTS = [
    Night("fired", "succeeded", "promoted", "The first version of its name serves."),
    GOOD,
    Night("held", "cancelled", None, "times the", fault=half),
    GOOD,  # a Sunday, whose file is like Saturday's: it is new all the same, because Saturday's was held
    Night("failed_to_submit", None, None, "digits-2026-03-23.csv: There is no such file", has_file=False),
    Night("coalesced", None, None, "A newer due time had passed as well", dispatcher_runs=False),
    GOOD,  # made up for in the morning
    Night("fired", "succeeded", "kept", "the floor wants", fault=shuffled_labels),
    GOOD,
    GOOD,
    Night("unchanged", "cancelled", None, "is what job"),  # a Sunday, and the night when clocks change
    Night("held", "cancelled", None, "spread otherwise", fault=another_unit),
    Night("fired", "failed", None, "the header has", fault=torn),
    GOOD,
]
DAYS = [FIRST + timedelta(days=number) for number in range(len(NIGHTS))]
NEWEST_GOOD = sum(night.job == "succeeded" for night in NIGHTS)
"""The version that the last night makes."""


class Fortnight:
    """A service whose dispatcher is stepped here, by a clock that is moved here."""

    def __init__(self, api: Api, incoming: Path) -> None:
        self.api, self.incoming = api, incoming
        self.time = moment(FIRST, 0)
        self.dispatcher = Dispatcher(api.database, api.settings, logger("dispatcher"), "fortnight", lambda: self.time)
        added = api.http.post("/v1/schedules", json=schedule_body(incoming))
        assert added.status_code == HTTPStatus.CREATED, added.text
        self.schedule: dict[str, Any] = added.json()
        with api.database.write() as connection:
            schedule = schedules.required(connection, self.schedule["id"])
            assert schedules.go_on(connection, schedule, next_due_at=as_text(moment(FIRST, 3)))

    def pass_by(self, day: date, night: Night) -> None:
        """Write the day's file, let three o'clock pass, and wait until all is said about it."""
        if night.has_file:
            run_export(self.incoming, day)
        if night.fault is not None:
            path = self.incoming / f"digits-{day}.csv"
            path.write_text(night.fault(path.read_text()))
        if not night.dispatcher_runs:
            return
        after_an_outage = self.time < moment(day, 0) - timedelta(days=1)
        self.time = moment(day, 9 if after_an_outage else 3) + timedelta(seconds=1)
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.is_settled(as_text(moment(day, 3)).replace(".000000", "")):
            assert time.monotonic() < until, self.ledger
            for _ in range(5):
                self.dispatcher.step()
                time.sleep(0.05)

    def is_settled(self, due_at: str) -> bool:
        """Whether nothing more becomes of the due time."""
        row = next((row for row in self.ledger["data"] if row["due_at"] == due_at), None)
        if row is None or row["job_id"] is None:
            return row is not None
        return row["job_status"] in FINAL - {"succeeded"} or row["verdict"] is not None

    @property
    def ledger(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.http.get("/v1/schedules/digits-nightly/firings").json()
        return answer

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The ledger, oldest due time first."""
        return sorted(self.ledger["data"], key=lambda row: str(row["due_at"]))


def moment(day: date, hour: int) -> datetime:
    """An hour of a day by the clocks of Oslo, in UTC."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=OSLO).astimezone(UTC)


def schedule_body(incoming: Path) -> dict[str, Any]:
    """The example's schedule, with another directory."""
    body: dict[str, Any] = read_body(str(EXAMPLE / "schedule.yaml"), SCHEDULE)
    dataset = body["job"]["dataset"]
    assert INCOMING in dataset["uri"]
    dataset["uri"] = dataset["uri"].replace(INCOMING, str(incoming))
    return body


def run_export(directory: Path, day: object) -> Path:
    """The file of a day, as the example's command writes it."""
    command = [sys.executable, str(EXAMPLE / "export.py"), str(directory), "--day", str(day)]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


@contextmanager
def running_ray(settings: Settings) -> Iterator[dict[str, str]]:
    """A Ray head as `serve` starts it: the variables with which a dispatcher's children reach it."""
    guard = Guard()
    try:
        head = ray_head(settings.data_dir, settings.worker_slots)
        guard.tell("remove", head.directory)
        assert head.program.output is not None
        head.program.output.parent.mkdir(parents=True)
        ray = Running(head.program, guard, logger("serve"))
        ray.step()
        try:
            yield {**settings.environment(), **head.environment, **ONE_THREAD, "GRADSUM_RAY_ADDRESS": head.address}
        finally:
            ray.ask_to_stop()
            until = time.monotonic() + STOP_SECONDS
            while not ray.has_stopped() and time.monotonic() < until:
                time.sleep(0.05)
            ray.kill()
    finally:
        guard.close()
