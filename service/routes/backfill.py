"""The jobs of due times that have passed and have none, made afterwards."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from service.errors import ConflictError, UnprocessableError
from service.firings import Occasion, fire
from service.requests import read
from service.routes.context import Context, InContext
from service.routes.schedules import required_schedule
from service.schedule_schemas import BackfillDocument, BackfillRequest
from service.schedule_views import firing_view, short
from service.schedules import between, moment_of
from service.schemas import Described
from service.store import firings
from service.store.database import as_text
from service.store.firings import Firing
from service.store.schedules import Schedule
from service.strict_route import StrictRoute
from service.views import View, page_view
from workers.errors import FieldError

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=StrictRoute)

MOST_BACKFILLED = 366
"""Due times of one backfill: a year of nights."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing came due before: a year that is mistyped is told from one that is meant."""

BackfillBody = Annotated[Any, Described(BackfillRequest), Body()]


@router.post("/{schedule}/backfill", status_code=201, responses={k: {"model": BackfillDocument} for k in (200, 201)})
def backfill_schedule(
    context: InContext,
    schedule: str,
    body: BackfillBody,
    dry_run: Annotated[bool, Query(description="Only say which due times it would be")] = False,  # noqa: FBT002
) -> JSONResponse:
    """Make the jobs of due times that have passed and had none. Their models are never promoted."""
    span = read(BackfillRequest, body).model_dump()
    with context.database.read() as connection:
        found = required_schedule(connection, schedule)
        moments = _moments(found, span["from"], span["to"], datetime.now(UTC))
        known = firings.at(connection, found.id, map(as_text, moments))
    wanted = [moment for moment in moments if not _has_fired(known.get(as_text(moment)))]
    if dry_run:
        rows = [known.get(as_text(moment)) for moment in wanted]
        entries = [
            {"due_at": short(as_text(moment)), "outcome": row and row.outcome, "reason": row and row.reason}
            for moment, row in zip(wanted, rows, strict=True)
        ]
        return JSONResponse(page_view(entries, has_more=False, key="due_at"))
    views = [_backfilled(context, found, moment) for moment in wanted]
    return JSONResponse(page_view([view for view in views if view], has_more=False), 201)


def _backfilled(context: Context, schedule: Schedule, moment: datetime) -> View | None:
    """The firing that makes up for one due time; None where its job was made meanwhile."""
    due_at = as_text(moment)
    with context.database.write() as connection:
        known = firings.at(connection, schedule.id, [due_at]).get(due_at)
        if _has_fired(known):
            return None
        occasion = Occasion(moment, "backfill")
        firing_id = fire(connection, context.settings, schedule, occasion, [])
        return firing_view(firings.required(connection, firing_id))


def _has_fired(firing: Firing | None) -> bool:
    """Whether a due time has had its job, be it that it was deleted since."""
    return firing is not None and (firing.job_id is not None or firing.outcome == "fired")


def _moments(schedule: Schedule, first: str, last: str, now: datetime) -> list[datetime]:
    """The due times that have passed in a span; UnprocessableError where it is none, or too long."""
    if schedule.cron is None:
        message = f"Schedule '{schedule.name}' has no cron expression, so there are no due times to make up for."
        raise ConflictError(message, code="no_due_times")
    begin, end = (_moment(schedule, name, text) for name, text in (("from", first), ("to", last)))
    if begin < EARLIEST:
        raise _wrong("from", f"must not be before {EARLIEST:%Y}, not '{first}'")
    if end < begin:
        raise _wrong("to", "must not be before from")
    if begin > now:
        return []
    found = between(schedule, begin, min(end, now), MOST_BACKFILLED)
    if len(found) > MOST_BACKFILLED:
        raise _wrong("to", f"is too far from from: at most {MOST_BACKFILLED} due times are made up for at once")
    return found


def _moment(schedule: Schedule, field: str, text: str) -> datetime:
    try:
        return moment_of(text, schedule.timezone, end_of_day=field == "to")
    except OverflowError:  # at the one end of the calendar or the other
        is_early = text < f"{EARLIEST:%Y}"
        return datetime.min.replace(tzinfo=UTC) if is_early else datetime.max.replace(tzinfo=UTC)
    except ValueError:
        message = f"must be a day or a moment such as 2026-11-01 or 2026-11-01T03:00:00Z, not '{text}'"
        raise _wrong(field, message) from None


def _wrong(field: str, message: str) -> UnprocessableError:
    return UnprocessableError(f"{field} {message}.", errors=[FieldError(field, message)])
