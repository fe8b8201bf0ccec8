"""Due times against a minute-by-minute scan of the calendar by Debian cron's rule, where clocks change too."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.cron import CronError, due_times, parse_cron

MINUTE = timedelta(minutes=1)
ZONES = (
    "Europe/Helsinki", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",
    "Africa/Casablanca", "America/St_Johns", "Pacific/Chatham", "Antarctica/Troll", "UTC",
)  # fmt: skip
START = datetime(2018, 1, 1, tzinfo=UTC)
"""São Paulo still changed its clocks in 2018."""
DAYS = 730


class Minute(NamedTuple):
    """A minute that passes, by a zone's clock: `gap` are the minutes that were skipped just before it."""

    instant: datetime
    local: datetime
    repeated: bool
    gap: tuple[datetime, ...]


@cache
def hours(zone: str) -> tuple[tuple[Minute, ...], ...]:
    """The hours of two years: minute by minute about a change of clocks, else the first minute alone."""
    clock = ZoneInfo(zone)
    starts = [START + timedelta(hours=hour) for hour in range(DAYS * 24 + 1)]
    offsets = [moment.astimezone(clock).utcoffset() for moment in starts]
    found = []
    for place, start in enumerate(starts[:-1]):
        if len(set(offsets[max(place - 5, 0) : place + 2])) == 1:
            found.append((Minute(start, start.astimezone(clock).replace(tzinfo=None), repeated=False, gap=()),))
        else:
            found.append(tuple(_minute(start + step * MINUTE, clock) for step in range(60)))
    return tuple(found)


def _minute(instant: datetime, clock: ZoneInfo) -> Minute:
    local, before = (moment.astimezone(clock) for moment in (instant, instant - MINUTE))
    now, last = local.replace(tzinfo=None), before.replace(tzinfo=None)
    skipped = max(int((now - last) / MINUTE) - 1, 0)
    return Minute(instant, now, repeated=local.fold == 1, gap=tuple(last + MINUTE * (n + 1) for n in range(skipped)))


def matches(cron: str) -> Callable[[datetime], bool]:
    """Whether a minute of the calendar is meant; the day rule is Debian cron's."""
    fields = cron.split()
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    minute, hour, day, month, weekday = (values(*pair) for pair in zip(fields, bounds, strict=True))
    both = fields[2].startswith("*") or fields[4].startswith("*")

    def is_meant(local: datetime) -> bool:
        on_weekday = local.isoweekday() in weekday or local.isoweekday() % 7 in weekday
        of_month = local.day in day
        on_day = (of_month and on_weekday) if both else (of_month or on_weekday)
        return local.minute in minute and local.hour in hour and local.month in month and on_day

    return is_meant


def values(field: str, bounds: tuple[int, int]) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        low, high = bounds if span == "*" else (int(first), int(last or first))
        found.update(range(low, high + 1, int(step or 1)))
    return found


def scan(cron: str, zone: str) -> Iterator[datetime]:
    """Debian cron's rule: a job with a star as minute or hour follows the clock; others run once, also after a gap."""
    is_meant = matches(cron)
    follows_clock = any(field.startswith("*") for field in cron.split()[:2])
    of_day = values(cron.split()[1], (0, 23))
    for passing in hours(zone):
        first = passing[0]
        if len(passing) == 1:
            if {first.local.hour, (first.local + 59 * MINUTE).hour} & of_day:
                yield from (first.instant + n * MINUTE for n in range(60) if is_meant(first.local + n * MINUTE))
            continue
        for minute in passing:
            after_gap = not follows_clock and any(map(is_meant, minute.gap))
            now = is_meant(minute.local) and (follows_clock or not minute.repeated)
            if after_gap or now:
                yield minute.instant


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    span = st.tuples(one, one).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(st.one_of(st.just("*"), span), st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(
        st.just("*"), st.lists(st.one_of(one.map(str), span), min_size=1, max_size=3).map(",".join), stepped
    )


NIGHT = st.one_of(st.integers(0, 4).map(str), st.just("0-3"), st.just("*/6"), numbers(0, 23))
EXPRESSIONS = st.tuples(
    numbers(0, 59), NIGHT, st.one_of(st.just("*"), numbers(1, 31)), st.one_of(st.just("*"), numbers(1, 12)),
    st.one_of(st.just("*"), numbers(0, 7)),
).map(" ".join)  # fmt: skip


@settings(max_examples=20)
@given(cron=EXPRESSIONS, zone=st.sampled_from(ZONES))
def test_two_years_of_due_times_are_those_of_a_scan_of_every_minute(cron: str, zone: str) -> None:
    try:
        expression = parse_cron(cron)
    except CronError:
        assert not any(True for _ in scan(cron, zone))
        return
    end = START + timedelta(days=DAYS)
    found = takewhile(lambda moment: moment < end, due_times(expression, zone, START - MINUTE))
    assert list(found) == sorted(set(scan(expression, zone)))


@pytest.mark.parametrize(
    ("zone", "cron", "day", "expected"),
    [
        ("Europe/Helsinki", "30 3 * * *", "2026-03-29", ["04:00+03:00"]),
        ("Europe/Helsinki", "30 3 * * *", "2026-10-25", ["03:30+03:00"]),
        ("America/New_York", "30 2 * * *", "2026-03-08", ["03:00-04:00"]),
        ("America/New_York", "30 1 * * *", "2026-11-01", ["01:30-04:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["02:30+11:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["01:45+11:00"]),
        ("America/Sao_Paulo", "30 0 * * *", "2018-11-04", ["01:00-02:00"]),
        ("America/New_York", "30 * 8 3 *", "2026-03-08", None),  # 23 hours
        (
            "America/New_York",
            "*/30 1 * * *",
            "2026-11-01",
            ["01:00-04:00", "01:30-04:00", "01:00-05:00", "01:30-05:00"],
        ),
        ("Australia/Lord_Howe", "*/10 2 * * *", "2026-04-05", None),  # 02:00 to 02:50
        ("Africa/Casablanca", "30 2 * * *", "2026-02-15", ["02:30+01:00"]),
    ],
)
def test_a_time_that_clocks_skip_or_repeat_fires_once(
    zone: str, cron: str, day: str, expected: list[str] | None
) -> None:
    clock = ZoneInfo(zone)
    begin = datetime.fromisoformat(day).replace(tzinfo=clock).astimezone(UTC)
    end = datetime.fromisoformat(day) + timedelta(days=1)
    stop = end.replace(tzinfo=clock).astimezone(UTC)
    moments = list(takewhile(lambda moment: moment < stop, due_times(cron, zone, begin - MINUTE)))
    shown = [
        moment.astimezone(clock).isoformat()[11:16] + moment.astimezone(clock).isoformat()[-6:] for moment in moments
    ]
    if expected is None:
        assert len(shown) == {"30 * 8 3 *": 23, "*/10 2 * * *": 6}[cron]
    else:
        assert shown == expected


def test_from_any_moment_on_the_next_due_time_is_the_same() -> None:
    for zone, cron in (("America/New_York", "30 1 * * *"), ("Australia/Lord_Howe", "*/10 1-2 * * *")):
        begin = datetime(2026, 3, 31, tzinfo=UTC) if "Howe" in zone else datetime(2026, 10, 31, tzinfo=UTC)
        moments = list(takewhile(lambda moment: moment < begin + timedelta(days=8), due_times(cron, zone, begin)))  # noqa: B023
        for earlier, later in pairwise(moments):
            for after in (earlier, earlier + MINUTE / 2, later - MINUTE / 2):
                assert next(due_times(cron, zone, after)) == later


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("61 * * * *", "field 1 of 5"), ("* * * *", "has 4 fields"), ("*/0 * * * *", "from 1 to 59"),
        ("@reboot", "does not know '@reboot'"), ("0 0 31 2 *", "never fires"), ("* * * * * *", "once a minute"),
        ("*/90 * * * *", "from 1 to 59"), ("٣ * * * *", "field 1 of 5"), ("0 0 L * *", "field 3 of 5"),
        ("0 0 * * 1#2", "field 5 of 5"), ("0 22-2 * * *", "smaller one"), ("1-1/2 * * * *", "smaller one"),
        ("5/10 * * * *", "before it"),
        ("", "has 0 fields"), ("0 0 0 * *", "field 3 of 5"), ("1,, * * * *", "field 1 of 5"), ("0 24 * * *", "field 2"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_its_place(cron: str, says: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_cron(cron)
    assert says in str(caught.value)


def test_shorthands_and_names_are_understood() -> None:
    assert parse_cron(" @Daily ") == "0 0 * * *"
    assert parse_cron("0 3 * jan-mar mon,FRI") == "0 3 * JAN-MAR MON,FRI"
