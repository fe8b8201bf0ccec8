"""Schedules and their ledgers as the API shows them. Pure."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.cron import in_words, parse_cron
from service.schedule_definitions import FIELDS
from service.schedules import summary, upcoming
from service.store.firings import Firing
from service.store.schedules import Schedule
from service.views import View


def schedule_view(schedule: Schedule, now: datetime) -> View:
    """A schedule, what it says in words, and its next five due times by the clocks of its time zone."""
    definition: dict[str, Any] = {name: getattr(schedule, name) for name in FIELDS}
    zone = ZoneInfo(schedule.timezone)
    cron = schedule.cron
    words = summary(definition) if cron is None else in_words(parse_cron(cron), schedule.timezone)
    return {
        "id": schedule.id,
        "object": "schedule",
        **definition,
        "in_words": words,
        "next_due_at": [moment.astimezone(zone).isoformat() for moment in upcoming(schedule, now)],
        "project": schedule.project,
        "actor": schedule.actor,
        "group_id": schedule.group_id,
        "created_at": schedule.created_at,
    }


def firing_view(firing: Firing) -> View:
    """One row of a ledger, with where its job stands and what became of the model.

    `reason` is why there was no job, or why there is no model.
    """
    shown = ("schedule_id", "due_times", "fired_at", "triggered_by", "outcome", "job_id", "job_status")
    verdict, error = firing.verdict or {}, firing.job_error or {}
    return {
        "id": firing.id,
        "object": "firing",
        "due_at": short(firing.due_at),
        **{name: getattr(firing, name) for name in shown},
        "reason": firing.reason or error.get("message"),
        "backfill": firing.backfill,
        "verdict": verdict.get("verdict"),
        "verdict_reason": verdict.get("reason"),
        "scores": verdict.get("scores"),
        "project": firing.project,
        "actor": firing.actor,
        "group_id": None,
        "created_at": firing.fired_at,
        "tags": {},
    }


def short(moment: str) -> str:
    """`2026-11-24T03:00:00Z`: a moment as the record has it, without a fraction that is nothing."""
    return moment.replace(".000000", "")
