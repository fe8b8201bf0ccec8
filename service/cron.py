"""Cron expressions: what may be written, what it says in words, and when it is due in a time zone. Pure.

cronsim knows which minutes of a calendar an expression means. Which instants these are on the days when clocks change
is decided here, by Debian cron's rule: its own answer misses minutes where clocks change by half an hour (Lord Howe)
and takes a minute that has passed for the next one within a repeated hour.
"""

import difflib
import heapq
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from workers.counting import counted

LONGEST_FOLD = timedelta(hours=4)
"""No clock of the time zone database is put back by more than three hours."""
MINUTE = timedelta(minutes=1)
SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
TERM = re.compile(r"(?:\*|(?P<first>[0-9A-Z]+)(?:-(?P<last>[0-9A-Z]+))?)(?:/(?P<step>[0-9]+))?", re.ASCII)
LONGEST_NUMBER = 2


class CronError(ValueError):
    """What is wrong with an expression or a time zone, to be read behind the name of the field."""


class _Field(NamedTuple):
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    _Field("day of week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


def parse_cron(text: str) -> str:
    """The five fields of the expression; CronError with the field, its place and the value that is wrong."""
    written = text.strip()
    if written.startswith("@"):
        return _shorthand(written)
    fields = re.split(r"[ \t]+", written.upper())
    if len(fields) != len(FIELDS):
        raise CronError(_wrong_count(len(fields) if written else 0))
    for place, (field, value) in enumerate(zip(FIELDS, fields, strict=True), 1):
        for term in value.split(","):
            problem = _problem(field, term)
            if problem:
                raise CronError(f"has '{term}' as {field.name} (field {place} of 5): {problem}")
    expression = " ".join(fields)
    try:
        next(CronSim(expression, datetime(2000, 1, 1)))  # noqa: DTZ001 - the calendar has no time zone
    except (CronSimError, StopIteration):
        raise CronError(
            f"'{expression}' never fires: no month that it names has such a day (fields 3 and 4 of 5)"
        ) from None
    return expression


def parse_timezone(name: str) -> ZoneInfo:
    """The time zone of this IANA name; CronError with the nearest one where there is none."""
    if name not in _zones():
        near = difflib.get_close_matches(name.casefold(), _zones_by_lower_case(), n=1)
        hint = f"did you mean '{_zones_by_lower_case()[near[0]]}'?" if near else "write one like 'Europe/Oslo'"
        raise CronError(f"'{name}' is not a time zone of the IANA database; {hint}")
    return ZoneInfo(name)


def in_words(cron: str, timezone: str) -> str:
    """What the expression says, for people."""
    words = str(CronSim(cron, datetime(2000, 1, 1)).explain())  # noqa: DTZ001 - the calendar has no time zone
    return f"{words}, {timezone} time"


def due_times(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """The instants (UTC) behind `after` at which `cron`, as `parse_cron` returns it, is due, in order and without end.

    Where clocks change, the rule is Debian cron's. An expression whose minute and hour name times (do not begin with a
    star) fires once a day that it names: just after a gap that swallowed its time, and the first of the two times that
    a fold makes of one. One with a star follows the clock: nothing in a gap, twice in a fold.
    """
    zone = ZoneInfo(timezone)
    follows_clock = any(field.startswith("*") for field in cron.split()[:2])
    start = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) - MINUTE
    offsets = {(after + shift).astimezone(zone).utcoffset() for shift in (-LONGEST_FOLD, 0 * MINUTE, LONGEST_FOLD)}
    if len(offsets) > 1:  # minutes that the clock shows earlier may come later
        start -= LONGEST_FOLD
    coming: list[datetime] = []
    last = after.astimezone(UTC)
    for local in CronSim(cron, start):
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        while coming and coming[0] < min(first, second):  # whatever comes now is later
            due = heapq.heappop(coming)
            if due > last:
                yield due
                last = due
        if second >= first:
            instants = [first, second] if follows_clock else [first]
        else:
            instants = [] if follows_clock else [_end_of_gap(local, zone)]
        for instant in instants:
            if instant > last:
                heapq.heappush(coming, instant)


def _end_of_gap(local: datetime, zone: ZoneInfo) -> datetime:
    """The first minute of the clock behind the gap that `local` lies in."""
    while local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        local += MINUTE
    return local.replace(tzinfo=zone).astimezone(UTC)


def _shorthand(written: str) -> str:
    known = SHORTHANDS.get(written.lower())
    if known is None:
        why = " A schedule is a matter of time, not of the service's start." if written.lower() == "@reboot" else ""
        raise CronError(f"does not know '{written}'; there are {', '.join(SHORTHANDS)}.{why}")
    return known


def _wrong_count(n_fields: int) -> str:
    needed = "minute, hour, day of month, month, day of week (or @daily and its kin)"
    said = f"has {counted(n_fields, 'field')}; it needs 5: {needed}"
    return f"{said}. There are no seconds: a schedule fires at most once a minute" if n_fields > len(FIELDS) else said


def _problem(field: _Field, term: str) -> str | None:
    """What is wrong with one part of a field, between commas."""
    match = TERM.fullmatch(term)
    if match is None:
        names = f" or names ({field.names[0]} …)" if field.names else ""
        return f"it takes numbers from {field.lowest} to {field.highest}{names}, *, ranges (1-5), steps (*/2) and lists"
    first, last, step = match["first"], match["last"], match["step"]
    return _wrong_bounds(field, first, last) or (step and _wrong_step(field, step, single=bool(first and not last)))


def _wrong_bounds(field: _Field, first: str | None, last: str | None) -> str | None:
    bounds = [_number(field, value) for value in (first, last) if value is not None]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return f"it goes from {field.lowest} to {field.highest}"
    if len(known) > 1 and known[0] >= known[1]:  # cronsim takes 5-5/2 for 5-59/2
        return "a range goes from a smaller one to a larger one; put a comma between several"
    return None


def _wrong_step(field: _Field, step: str, *, single: bool) -> str | None:
    if single:
        return "a step needs * or a range before it"
    if len(step) > LONGEST_NUMBER or not 1 <= int(step) <= field.highest:
        return f"a step is a number from 1 to {field.highest}"
    return None


def _number(field: _Field, text: str) -> int | None:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if not text.isdigit() or len(text) > LONGEST_NUMBER:
        return None
    return int(text) if field.lowest <= int(text) <= field.highest else None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _zones_by_lower_case() -> dict[str, str]:
    return {name.casefold(): name for name in _zones()}
