"""Where a schedule begins, and where it goes on after an edit: no edit fires the past, or judges it."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.gate import not_asked
from service.schedules import first_due, given_up
from service.store import firings, jobs, models, schedules
from service.store.database import Transaction, as_text
from service.store.schedules import Schedule

WHEN = ("cron", "timezone", "on", "paused")
"""The fields that decide when it fires: an edit of them begins anew, behind the present."""


def next_due(definition: Mapping[str, Any], after: datetime) -> str | None:
    """The first due time behind `after`, as the record has it; None where nothing comes due by a clock."""
    due = None if definition["paused"] else first_due(definition["cron"], definition["timezone"], after)
    return None if due is None else as_text(due)


def seen_dataset(connection: Transaction, project: str, definition: Mapping[str, Any]) -> int:
    """The newest version that a schedule on new data need not look at any more; one on drift has seen none."""
    if definition["on"] != "new_data":
        return 0
    return schedules.newest_version(connection, project, definition["job"]["dataset"])


def edit(connection: Transaction, schedule: Schedule, definition: dict[str, Any], now: datetime) -> bool:
    """Give the schedule another definition, unless somebody has edited it since the caller saw it.

    The row is written first: from then on no dispatcher can fire it in between, and `next_due_at` is the last word.
    """
    if not schedules.edit(connection, schedule, **definition):
        return False
    edited = schedules.required(connection, schedule.id)
    before = {name: getattr(schedule, name) for name in definition}
    if any(definition[name] != before[name] for name in WHEN):
        _give_up(connection, dataclasses.replace(schedule, next_due_at=edited.next_due_at), now)
        following = next_due(definition, _ledger_end(connection, schedule, now))
        schedules.go_on(connection, edited, next_due_at=following)
    if _watched(definition) != _watched(before):
        seen = seen_dataset(connection, schedule.project, definition)
        schedules.go_on(connection, edited, seen_dataset=seen, seen_champion=0)
    if schedule.promotion is None and edited.promotion is not None:
        _leave_unjudged(connection, schedule.id)
    return True


def _watched(definition: Mapping[str, Any]) -> object:
    """What it looks at besides the clock; where that changes, looking begins anew."""
    job = definition["job"]
    if definition["on"] == "new_data":
        return "new_data", job["dataset"], definition["paused"]
    if definition["on"] == "drift":
        return "drift", definition["drift"], (job.get("tracking") or {}).get("registered_model")
    return None


def _ledger_end(connection: Transaction, schedule: Schedule, now: datetime) -> datetime:
    """The present, or the last due time of the ledger where the clock was put back: none fires twice."""
    last = firings.last_due_at(connection, schedule.id, "cron")
    return now if last is None else max(now, datetime.fromisoformat(last))


def _give_up(connection: Transaction, schedule: Schedule, now: datetime) -> None:
    for entry in given_up(schedule, now, "The schedule was edited or paused before it fired."):
        due_at = as_text(entry.due_at)
        firings.add(
            connection, schedule_id=schedule.id, due_at=due_at, due_times=entry.due_times, triggered_by="cron",
            outcome=entry.do, reason=entry.reason,
        )  # fmt: skip


def _leave_unjudged(connection: Transaction, schedule_id: str) -> None:
    """Models that were there before the promotion was never compete for the champion's place."""
    for job, _ in schedules.unjudged(connection, schedule_id):
        model = models.of_job(connection, job.id)
        if model is not None:
            verdict = not_asked(models.champion_version(connection, model.project, model.name)).as_json()
            models.record_verdict(connection, model, verdict)
            jobs.record_verdict(connection, job.id, verdict)
