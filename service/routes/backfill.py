"""The jobs of due times that have passed and have none, made afterwards."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from service.errors import ConflictError, UnprocessableError
from service.firings import Occasion, fire
from service.requests import read
from service.routes.context import Actor, Context, InContext
from service.routes.idempotency import Key, check_key, made_once
from service.routes.schedules import required_schedule
from service.schedule_schemas import BackfillDocument, BackfillRequest
from service.schedule_views import firing_view, short
from service.schedules import between, moment_of
from service.schemas import Described
from service.store import backfills, firings, schedules
from service.store.backfills import Backfill
from service.store.database import Transaction, as_text
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
    actor: Actor,
    schedule: str,
    body: BackfillBody,
    dry_run: Annotated[bool, Query(description="Only say which due times it would be")] = False,  # noqa: FBT002
    idempotency_key: Key = None,
) -> JSONResponse:
    """Make the jobs of due times that have passed and had none. Their models are never promoted."""
    span = read(BackfillRequest, body).model_dump()
    if dry_run:
        with context.database.read() as connection:
            wanted = _wanted(connection, required_schedule(connection, schedule), span)
        entries = [
            {"due_at": short(due_at), "outcome": row and row.outcome, "reason": row and row.reason}
            for due_at, row in wanted.items()
        ]
        return JSONResponse(page_view(entries, has_more=False, key="due_at"))
    check_key(idempotency_key)
    begun = _begun(context, actor, idempotency_key, {"backfill": schedule, "body": body}, span)
    for due_at in begun.due_times:
        _make_up(context, actor, begun, due_at)
    with context.database.read() as connection:
        required_schedule(connection, begun.schedule_id)  # it may have been deleted meanwhile
        rows = firings.at(connection, begun.schedule_id, begun.due_times)
    made = [rows[due_at] for due_at in begun.due_times if due_at in rows and begun.has_made(rows[due_at])]
    return JSONResponse(page_view([firing_view(row) for row in made], has_more=False), 201)


def _begun(context: Context, actor: str, key: str | None, asked: View, span: dict[str, str]) -> Backfill:
    """The backfill that this request begins, or that it began before under the same key."""
    with context.database.write() as connection:

        def begin() -> Backfill:
            schedule = required_schedule(connection, asked["backfill"])
            begun = backfills.begin(schedule.id, list(_wanted(connection, schedule, span)))
            if key is not None:
                backfills.add(connection, begun)
            return begun

        return made_once(connection, actor, key, asked, backfills.get, begin)


def _make_up(context: Context, actor: str, begun: Backfill, due_at: str) -> None:
    """Fire one due time, unless it has been meanwhile. Each by itself: others can write in between."""
    with context.database.write() as connection:
        known = firings.at(connection, begun.schedule_id, [due_at]).get(due_at)
        if known is not None and (_has_fired(known) or begun.has_made(known)):
            return
        schedule = schedules.get(connection, begun.schedule_id)
        if schedule is not None:
            occasion = Occasion(datetime.fromisoformat(due_at), "backfill", actor=actor)
            fire(connection, context.settings, schedule, occasion, [])


def _wanted(connection: Transaction, schedule: Schedule, span: dict[str, str]) -> dict[str, Firing | None]:
    """The due times in a span that have passed and have had no job, each with its row in the ledger."""
    due_times = list(map(as_text, _moments(schedule, span["from"], span["to"], datetime.now(UTC))))
    known = firings.at(connection, schedule.id, due_times)
    return {due_at: known.get(due_at) for due_at in due_times if not _has_fired(known.get(due_at))}


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
