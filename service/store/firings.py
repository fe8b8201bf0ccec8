"""The ledger: what became of each due time of a schedule, and the jobs that were made for them.

A schedule and a due time have at most one row, whoever writes it: that key is what makes a due time fire once.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from service.jobs import FINAL
from service.store import notifications
from service.store.database import now
from service.store.jobs import LONGEST_REASON, Job
from service.store.pages import page
from service.store.tables import datasets, firings, jobs, schedules


@dataclass(frozen=True)
class Firing:
    """One row of the ledger; `verdict` says what became of the model: `verdict`, `reason`, `scores`.

    `actor` asked for it by hand, or added its schedule.
    """

    sequence: int
    id: str
    schedule_id: str
    due_at: str
    due_times: int | None
    fired_at: str
    triggered_by: str
    outcome: str
    reason: str | None
    job_id: str | None
    backfill: bool
    project: str
    actor: str
    job_status: str | None
    job_error: dict[str, Any] | None
    verdict: dict[str, Any] | None


def add(
    connection: Connection,
    *,
    schedule_id: str,
    due_at: str,
    triggered_by: str,
    outcome: str,
    reason: str | None,
    job_id: str | None = None,
    due_times: int | None = 1,
    actor: str | None = None,
) -> str:
    """The id of a new row; a second one for the same due time is refused when the database is told of it."""
    firing_id = f"fir_{secrets.token_hex(12)}"
    connection.execute(
        firings.insert().values(
            id=firing_id,
            schedule_id=schedule_id,
            due_at=due_at,
            due_times=due_times,
            fired_at=now(),
            triggered_by=triggered_by,
            outcome=outcome,
            reason=reason and reason[:LONGEST_REASON],
            job_id=job_id,
            backfill=triggered_by == "backfill",
            actor=actor,
        )
    )
    _notify(connection, firing_id)
    return firing_id


def change(connection: Connection, firing_id: str, *, outcome: str, reason: str | None, **changes: object) -> None:
    """Give a row another outcome, where its data decides or a backfill takes it over."""
    changes |= {"outcome": outcome, "reason": reason and reason[:LONGEST_REASON]}
    connection.execute(firings.update().where(firings.c.id == firing_id).values(**changes))
    _notify(connection, firing_id)


def explain(connection: Connection, firing_id: str, reason: str) -> None:
    """Say why a row is there, before what it says already."""
    before = required(connection, firing_id).reason
    told = " ".join(filter(None, (reason, before)))[:LONGEST_REASON]
    connection.execute(firings.update().where(firings.c.id == firing_id).values(reason=told))


def get(connection: Connection, firing_id: str) -> Firing | None:
    """The row with this id."""
    return _first(connection, _rows().where(firings.c.id == firing_id))


def required(connection: Connection, firing_id: str) -> Firing:
    """The row with this id, which must be there."""
    firing = get(connection, firing_id)
    if firing is None:
        raise LookupError(firing_id)
    return firing


def of_job(connection: Connection, job_id: str) -> Firing | None:
    """The row whose job this is."""
    return _first(connection, _rows().where(firings.c.job_id == job_id))


def listed(
    connection: Connection, schedule_id: str, *, limit: int, after: str | None, outcome: str | None
) -> tuple[list[Firing], bool]:
    """A page of the ledger, newest rows first, and whether there are more."""
    query = _rows().where(firings.c.schedule_id == schedule_id)
    query = query.where(firings.c.outcome == outcome) if outcome else query
    found = page(connection, firings, query, limit, after)
    return [Firing(**row) for row in found.rows], found.has_more


def at(connection: Connection, schedule_id: str, due_at: Iterable[str]) -> dict[str, Firing]:
    """Those of these due times that have a row."""
    query = _rows().where(firings.c.schedule_id == schedule_id, firings.c.due_at.in_(list(due_at)))
    return {row["due_at"]: Firing(**row) for row in connection.execute(query).mappings()}


def last_due_at(connection: Connection, schedule_id: str, triggered_by: str) -> str | None:
    """The last due time of this kind that is in the ledger."""
    query = select(func.max(firings.c.due_at)).where(firings.c.schedule_id == schedule_id)
    return connection.execute(query.where(firings.c.triggered_by == triggered_by)).scalar()


def last_fired_at(connection: Connection, schedule_id: str) -> str | None:
    """When the last job of the schedule was made."""
    query = select(func.max(firings.c.fired_at)).where(firings.c.schedule_id == schedule_id)
    return connection.execute(query.where(firings.c.outcome == "fired", firings.c.backfill.is_(False))).scalar()


def unfinished_jobs(connection: Connection, schedule_id: str, *, cancelling: bool = True) -> list[Job]:
    """The jobs of the schedule, backfills aside, that are not final, oldest first, with or without those cancelling."""
    query = select(jobs).join(firings, firings.c.job_id == jobs.c.id).where(firings.c.backfill.is_(False))
    query = query.where(firings.c.schedule_id == schedule_id, jobs.c.status.not_in(FINAL))
    query = query if cancelling else query.where(jobs.c.status != "cancelling")
    return [Job(**row) for row in connection.execute(query.order_by(jobs.c.sequence)).mappings()]


def unfinished_before(connection: Connection, schedule_id: str, sequence: int) -> str | None:
    """The id of a job of the schedule, backfills aside, that is not final and older than the job of this sequence."""
    query = select(jobs.c.id).join(firings, firings.c.job_id == jobs.c.id).where(firings.c.backfill.is_(False))
    query = query.where(firings.c.schedule_id == schedule_id, jobs.c.status.not_in(FINAL), jobs.c.sequence < sequence)
    return connection.execute(query.limit(1)).scalar()


def last_success(connection: Connection, schedule_id: str) -> tuple[str, str] | None:
    """The newest job of the schedule that succeeded, backfills aside: its id, and the key of the data it trained on."""
    query = select(jobs.c.id, datasets.c.content_key).join(datasets, datasets.c.id == jobs.c.dataset_id)
    query = query.join(firings, firings.c.job_id == jobs.c.id).where(firings.c.schedule_id == schedule_id)
    query = query.where(jobs.c.status == "succeeded", firings.c.backfill.is_(False))
    row = connection.execute(query.order_by(jobs.c.sequence.desc()).limit(1)).first()
    return None if row is None else (row[0], row[1])


def _notify(connection: Connection, firing_id: str) -> None:
    """Have the outcome told where the schedule wants it told."""
    query = select(schedules.c.notify, schedules.c.project, schedules.c.name, firings)
    query = query.join(firings, firings.c.schedule_id == schedules.c.id).where(firings.c.id == firing_id)
    row = connection.execute(query).mappings().one()
    shown = ("schedule_id", "due_at", "triggered_by", "outcome", "reason", "job_id")
    data = {"firing_id": firing_id, "schedule": row["name"], **{name: row[name] for name in shown}}
    notifications.add(
        connection,
        row["notify"],
        project=row["project"],
        object_id=row["schedule_id"],
        event=f"firing.{row['outcome']}",
        data=data,
    )


def _rows() -> Select[Any]:
    own = [column for column in firings.c if column.name != "actor"]
    owner = schedules.c.project, func.coalesce(firings.c.actor, schedules.c.actor).label("actor")
    query = select(*own, *owner, jobs.c.status.label("job_status"), jobs.c.error.label("job_error"), jobs.c.verdict)
    query = query.join(schedules, schedules.c.id == firings.c.schedule_id)
    return query.outerjoin(jobs, jobs.c.id == firings.c.job_id)


def _first(connection: Connection, query: Select[Any]) -> Firing | None:
    row = connection.execute(query).mappings().first()
    return None if row is None else Firing(**row)
