"""Schedules in the running service by the command line: fired, checked, judged, shown, edited, refused, removed."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.running_service import DIGITS, RunningService

PATIENCE_SECONDS = 120.0
NIGHTLY = """
name: scheduled-digits
cron: "0 3 * * *"
timezone: Europe/Oslo
job:
  dataset: scheduled-digits
  target: digit
  training: {epochs: 20}
  tracking: {registered_model: scheduled-digits}
check: {min_rows: 1000, rows_vs_last: [0.5, 2], max_psi: 0.2}
promotion: {unless_worse_by: 1.0}
"""
MINUTELY = """
name: scheduled-minutely
cron: "* * * * *"
job: {dataset: scheduled-digits, target: digit, training: {epochs: 1}}
"""


@pytest.fixture(scope="module")
def schedules(service: RunningService) -> Iterator[RunningService]:
    """Two schedules on digits, of which one is due at the next full minute."""
    service.json("dataset", "add", f"file://{DIGITS}/digits.csv", "--name", "scheduled-digits")
    service.json("schedule", "add", "-", given=MINUTELY)
    added = service.gradsum("schedule", "add", "-", given=NIGHTLY)
    assert added.returncode == 0, added.stderr
    for said in ("scheduled-digits", "At 03:00 every day, Europe/Oslo time", "min_rows: 1000", "unless_worse_by: 1,"):
        assert said in " ".join(added.stdout.split())
    yield service
    with service.client() as client:
        names = [found["name"] for found in client.schedules()["data"] if found["name"].startswith("scheduled-")]
        for name in names:
            client.delete_schedule(name)


def wait(service: RunningService, name: str, is_so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The schedule's newest firing, once it is so."""
    until = time.monotonic() + PATIENCE_SECONDS
    with service.client() as client:
        while True:
            rows = client.firings(name)["data"]
            if rows and is_so(rows[0]):
                return rows[0]
            assert time.monotonic() < until, rows
            time.sleep(0.3)


def test_a_schedule_fires_checks_trains_and_promotes(schedules: RunningService) -> None:
    verdicts = []
    for _ in range(2):
        firing = schedules.json("schedule", "trigger", "scheduled-digits")
        assert (firing["outcome"], firing["triggered_by"]) == ("fired", "user")
        judged = wait(schedules, "scheduled-digits", lambda row: row["verdict"] or row["outcome"] != "fired")
        assert judged["id"] == firing["id"]
        verdicts.append((judged["verdict"], judged["job_status"], (judged["scores"] or {}).get("champion") is None))
    assert verdicts == [("promoted", "succeeded", True), ("promoted", "succeeded", False)]
    model = schedules.json("model", "show", "scheduled-digits")
    assert model["champion"] == 2
    assert model["versions"][0]["verdict"]["verdict"] == "promoted"
    shown = schedules.gradsum("schedule", "firings", "scheduled-digits")
    assert shown.stdout.count("promoted") == 2, shown.stdout
    assert "promoted" in schedules.gradsum("job", "show", judged["job_id"]).stdout


def test_a_schedule_is_edited_paused_listed_planned_and_removed(schedules: RunningService) -> None:
    edited = schedules.json("schedule", "edit", "scheduled-digits", "-", given="job: {priority: 3}\ncatch_up: skip\n")
    assert (edited["job"]["priority"], edited["job"]["target"], edited["catch_up"]) == (3, "digit", "skip")
    assert "scheduled-digits is paused" in schedules.gradsum("schedule", "pause", "scheduled-digits").stdout
    assert "paused" in schedules.gradsum("schedule", "list").stdout
    assert "scheduled-digits goes on. Next: " in schedules.gradsum("schedule", "resume", "scheduled-digits").stdout
    span = ("--from", "2025-01-01", "--to", "2025-01-03", "--dry-run")
    planned = schedules.json("schedule", "backfill", "scheduled-digits", *span)["data"]
    assert [row["due_at"] for row in planned] == [f"2025-01-0{day}T02:00:00Z" for day in (1, 2, 3)]
    assert schedules.gradsum("schedule", "rm", "scheduled-digits").returncode == 0
    gone = schedules.gradsum("schedule", "show", "scheduled-digits")
    assert (gone.returncode != 0, gone.stdout) == (True, "")
    assert gone.stderr.strip() == "Error: There is no schedule 'scheduled-digits'."


def test_a_due_time_of_the_clock_on_the_wall_fires(schedules: RunningService) -> None:
    firing = wait(schedules, "scheduled-minutely", lambda row: row["job_status"] == "succeeded")
    assert (firing["triggered_by"], firing["outcome"]) == ("cron", "fired")
    assert firing["due_at"].endswith(":00Z")


REFUSED_ON_THE_COMMAND_LINE = {
    "B44 cron": (NIGHTLY.replace("0 3 * * *", "61 3 * * *"), "'61' as minute (field 1 of 5)"),
    "B44 zone": (NIGHTLY.replace("Europe/Oslo", "Mars/X"), "'Mars/X' is not a time zone"),
    "B45 policy": (NIGHTLY + "overlap_policy: skipp\n", "overlap_policy"),
}


@pytest.mark.parametrize("row", REFUSED_ON_THE_COMMAND_LINE)
def test_nonsense_is_one_sentence_and_exit_code_not_0(service: RunningService, row: str) -> None:
    given, says = REFUSED_ON_THE_COMMAND_LINE[row]
    refused = service.gradsum("schedule", "add", "-", given=given.replace("scheduled-digits", "digits"))
    assert refused.returncode != 0
    assert says in " ".join(refused.stderr.split())
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
