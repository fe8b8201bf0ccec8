"""What a schedule does: which due times fire, and what waits. Pure functions of its row, the clock and a few facts."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from service.cron import due_times, parse_cron
from service.store.firings import Firing
from service.store.schedules import Schedule

ON_TIME = timedelta(seconds=60)
"""A due time that is seen so late has not been missed: a dispatcher takes over from another in less."""
MOST_ROWS = 100
"""Of one outcome at once; more due times than these share one row. So a year without a dispatcher is quickly behind."""
MOST_CAUGHT_UP = 100
"""Jobs that `catch_up: all` makes at once: those of the newest due times."""
MOST_COUNTED = 10_000
MOMENT = timedelta(microseconds=1)
PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
PLACEHOLDERS = ("due_date", "due_at")

Do = Literal["fire", "missed", "coalesced"]


class Entry(NamedTuple):
    """One row of the ledger to be: a due time that fires, or one or several that do not."""

    due_at: datetime
    do: Do
    reason: str | None = None
    due_times: int | None = 1


class Step(NamedTuple):
    """What is to be done about the due times that have passed, and the first one that has not."""

    entries: list[Entry]
    next_due_at: datetime | None


class Before(NamedTuple):
    """Whether a firing's job may train now: it goes on, waits, or ends as `outcome` without training."""

    step: Literal["go", "wait", "end"]
    outcome: str = ""
    reason: str | None = None


GO = Before("go")


def upcoming(schedule: Schedule, after: datetime, n: int = 5) -> list[datetime]:
    """The next `n` due times behind `after`, in UTC; none for a schedule without cron."""
    if schedule.cron is None:
        return []
    return list(islice(due_times(parse_cron(schedule.cron), schedule.timezone, after), n))


def first_due(cron: str | None, timezone: str, after: datetime) -> datetime | None:
    """The first due time behind `after`; None without cron."""
    return None if cron is None else next(due_times(parse_cron(cron), timezone, after))


def passed(schedule: Schedule, now: datetime) -> Step:
    """What its policies say of the due times up to `now`: the newest fires, or all that are within the window, or none.

    The first entry is always the schedule's `next_due_at`.
    """
    on_time_only = schedule.catch_up == "skip"
    window = ON_TIME if on_time_only else max(ON_TIME, timedelta(seconds=schedule.catch_up_window_seconds))
    missed, due, following = _split(schedule, now, now - window)
    setting = "catch_up: skip" if on_time_only else "catch_up_window_seconds"
    why = f"It was seen more than {window.total_seconds():.0f} s late ({setting})."
    entries = _rows("missed", missed, why)
    if schedule.catch_up == "all":
        left_out, fire = due[:-MOST_CAUGHT_UP], due[-MOST_CAUGHT_UP:]
        entries += _rows("missed", left_out, f"catch_up: all makes up for {MOST_CAUGHT_UP} due times at once.")
        return Step(entries + [Entry(moment, "fire") for moment in fire], following)
    newest = due[-1:]
    entries += _rows("coalesced", due[:-1], "A newer due time had passed as well, and that one fired.")
    return Step(entries + [Entry(moment, "fire") for moment in newest], following)


def given_up(schedule: Schedule, now: datetime, why: str) -> list[Entry]:
    """The rows of due times that have passed and never fire, because the schedule is edited: `why` says how."""
    if schedule.next_due_at is None:
        return []
    missed, due, _ = _split(schedule, now, now)
    return _rows("missed", missed + due, why)


def between(schedule: Schedule, first: datetime, last: datetime, most: int) -> list[datetime]:
    """The due times from `first` to `last`, both included, at most `most` of them and one."""
    if schedule.cron is None:
        return []
    moments = due_times(parse_cron(schedule.cron), schedule.timezone, first - MOMENT)
    return list(islice(takewhile(lambda moment: moment <= last, moments), most + 1))


def overlap(policy: str, unfinished: Sequence[str]) -> tuple[bool, str | None]:
    """Whether a due time gets its job beside the unfinished jobs (ids, oldest first) of the schedule, and why not."""
    if not unfinished or policy == "cancel_running":
        return True, None
    if policy == "queue" and len(unfinished) == 1:
        return True, None
    if policy == "queue":
        return False, f"Job {unfinished[0]} has not ended, and {unfinished[1]} waits behind it (overlap_policy: queue)."
    return False, f"Job {unfinished[0]} has not ended (overlap_policy: skip)."


def unchanged(policy: str, data: str, trained: tuple[str, str] | None) -> str | None:
    """Why data with the key `data` needs no training: the last success (its job, and its data's key) trained on it."""
    if policy != "skip" or trained is None or trained[1] != data:
        return None
    return f"The data is what job {trained[0]} was trained on (on_unchanged_data: skip)."


def before_training(
    schedule: Schedule, firing: Firing, data: str, older: str | None, trained: tuple[str, str] | None
) -> Before:
    """What happens to a firing's job once its data (with the key `data`) is there, before anything is prepared.

    `older` is an unfinished job that the schedule made earlier; `trained` is its last success.
    """
    policy = _in_turn(schedule, firing)
    if policy is not None and older is not None:
        return Before("wait", reason=f"Job {older} of the same schedule comes first ({policy}).")
    reason = None if is_asked_for(firing.triggered_by) else unchanged(schedule.on_unchanged_data, data, trained)
    return GO if reason is None else Before("end", "unchanged", reason)


def _in_turn(schedule: Schedule, firing: Firing) -> str | None:
    """The policy by which a firing's job waits for older ones, or None: else an older night might serve in the end."""
    if firing.backfill:
        return None
    if schedule.overlap_policy == "queue":
        return "overlap_policy: queue"
    return "catch_up: all" if schedule.catch_up == "all" and firing.triggered_by == "cron" else None


def is_asked_for(triggered_by: str) -> bool:
    """Whether someone wants the job now, be the data new or not."""
    return triggered_by in {"user", "backfill"}


def is_cool(schedule: Schedule, last_fired_at: str | None, now: datetime) -> bool:
    """Whether a schedule on new data may fire again."""
    if last_fired_at is None:
        return True
    return now - datetime.fromisoformat(last_fired_at) >= timedelta(seconds=schedule.cool_down_seconds)


def filled(uri: str, due_at: datetime, timezone: str) -> str:
    """The URI for a due time: {due_date} is its date in the schedule's time zone, {due_at} the moment in UTC."""
    values = {
        "due_date": due_at.astimezone(ZoneInfo(timezone)).date().isoformat(),
        "due_at": due_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), uri)


def unknown_placeholder(uri: str) -> str | None:
    """The first placeholder that nobody fills in."""
    return next((name for name in PLACEHOLDER.findall(uri) if name not in PLACEHOLDERS), None)


def moment_of(text: str, timezone: str, *, end_of_day: bool) -> datetime:
    """The moment that `2026-11-01` (a day of the time zone) or `2026-11-01T03:00:00Z` means; ValueError otherwise."""
    if not DAY.match(text):  # what else ISO 8601 has, such as weeks, is more often a mistake than meant
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    if len(text) == len("2026-11-01"):
        day = date.fromisoformat(text) + timedelta(days=int(end_of_day))
        moment = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)) - MOMENT * int(end_of_day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return moment.astimezone(UTC)


def _split(schedule: Schedule, now: datetime, horizon: datetime) -> tuple[list[datetime], list[datetime], datetime]:
    """The due times that have passed, before the horizon and behind it, and the first one that is to come.

    Those before it are counted up to MOST_COUNTED and then passed over.
    """
    cron, cursor = parse_cron(schedule.cron or ""), datetime.fromisoformat(schedule.next_due_at or "")
    moments = due_times(cron, schedule.timezone, cursor - MOMENT)
    missed = list(islice(takewhile(lambda moment: moment < horizon, moments), MOST_COUNTED + 1))
    recent: list[datetime] = []
    for moment in due_times(cron, schedule.timezone, max(cursor, horizon) - MOMENT):
        if moment > now:
            return missed, recent, moment
        recent.append(moment)
    raise AssertionError("a cron expression is due without end")


def _rows(do: Do, moments: Sequence[datetime], reason: str) -> list[Entry]:
    if len(moments) <= MOST_ROWS:
        return [Entry(moment, do, reason) for moment in moments]
    counted = None if len(moments) > MOST_COUNTED else len(moments)
    said = f"More than {MOST_COUNTED:,}" if counted is None else f"{counted:,}"
    until = "" if counted is None else f" to {moments[-1]:%Y-%m-%dT%H:%M:%SZ}"
    return [Entry(moments[0], do, f"{said} due times from here on{until}. {reason}", counted)]


def summary(definition: dict[str, Any]) -> str:
    """What makes a schedule fire, in a few words where it is not cron."""
    dataset = definition["job"].get("dataset")
    if definition["on"] == "new_data":
        return f"When dataset '{dataset}' has a new version"
    return f"When dataset '{(definition['drift'] or {}).get('dataset')}' drifts"
