"""Rows of schedules. Every edit counts the revision up, so that nobody acts on what was edited meanwhile."""

import secrets
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from service.store import models, notifications
from service.store.database import now
from service.store.datasets import OUTLINE, DatasetOutline
from service.store.jobs import Job
from service.store.pages import page
from service.store.tables import datasets, firings, jobs, schedules
from service.store.tables import models as model_versions


@dataclass(frozen=True)
class Schedule:
    """A schedule. `next_due_at` is its first due time that is not in the ledger."""

    sequence: int
    id: str
    project: str
    actor: str
    group_id: str | None
    name: str
    created_at: str
    tags: dict[str, str]
    on: str  # cron | new_data | drift
    cron: str | None
    timezone: str
    job: dict[str, Any]
    overlap_policy: str
    catch_up: str
    catch_up_window_seconds: int
    on_unchanged_data: str
    cool_down_seconds: int
    drift: dict[str, Any] | None
    check: dict[str, Any] | None
    promotion: dict[str, Any] | None
    notify: dict[str, Any] | None
    paused: bool
    revision: int
    next_due_at: str | None
    seen_dataset: int
    seen_champion: int


class Watched(NamedTuple):
    """A schedule on drift that has something new to compare: a version of its dataset, or another champion."""

    schedule: Schedule
    dataset: DatasetOutline
    sequence: int
    model: str
    champion: int


def add(
    connection: Connection,
    definition: dict[str, Any],
    *,
    project: str,
    actor: str,
    next_due_at: str | None,
    seen_dataset: int,
) -> Schedule:
    """A new schedule; `definition` holds the fields that its user decides."""
    schedule_id = f"sch_{secrets.token_hex(12)}"
    values = {
        "id": schedule_id,
        "project": project,
        "actor": actor,
        "group_id": None,
        "created_at": now(),
        "revision": 1,
        "next_due_at": next_due_at,
        "seen_dataset": seen_dataset,
        "seen_champion": 0,
    }
    connection.execute(schedules.insert().values(**definition, **values))
    return required(connection, schedule_id)


def get(connection: Connection, schedule_id: str) -> Schedule | None:
    """The schedule with this id."""
    row = connection.execute(select(schedules).where(schedules.c.id == schedule_id)).mappings().first()
    return None if row is None else Schedule(**row)


def required(connection: Connection, schedule_id: str) -> Schedule:
    """The schedule with this id, which must be there."""
    schedule = get(connection, schedule_id)
    if schedule is None:
        raise LookupError(schedule_id)
    return schedule


def find(connection: Connection, project: str, name: str) -> Schedule | None:
    """The schedule of this name."""
    query = select(schedules).where(schedules.c.project == project, schedules.c.name == name)
    row = connection.execute(query).mappings().first()
    return None if row is None else Schedule(**row)


def listed(
    connection: Connection, project: str, *, limit: int, after: str | None, name: str | None
) -> tuple[list[Schedule], bool]:
    """A page of schedules, newest first, and whether there are more."""
    query = select(schedules).where(schedules.c.project == project)
    query = query.where(schedules.c.name == name) if name else query
    found = page(connection, schedules, query, limit, after)
    return [Schedule(**row) for row in found.rows], found.has_more


def due(connection: Connection, moment: str) -> list[Schedule]:
    """The schedules that have a due time up to `moment` which is not in the ledger."""
    query = select(schedules).where(schedules.c.next_due_at <= moment).order_by(schedules.c.next_due_at)
    return [Schedule(**row) for row in connection.execute(query).mappings()]


def waiting_for_data(connection: Connection) -> list[tuple[Schedule, str, int, str]]:
    """Schedules on new data that have not seen the newest ready version: with its id, sequence and created_at."""
    newest = select(datasets.c.project, datasets.c.name, func.max(datasets.c.sequence).label("sequence"))
    newest = newest.where(datasets.c.status == "ready").group_by(datasets.c.project, datasets.c.name)
    latest = newest.subquery()
    named = (latest.c.project == schedules.c.project) & (latest.c.name == schedules.c.job["dataset"].as_string())
    query = select(schedules, datasets.c.id, datasets.c.sequence, datasets.c.created_at).join(latest, named)
    query = query.join(datasets, datasets.c.sequence == latest.c.sequence)
    query = query.where(schedules.c.on == "new_data", schedules.c.paused.is_(False))
    query = query.where(datasets.c.sequence > schedules.c.seen_dataset)
    return [(Schedule(*row[:-3]), row[-3], row[-2], row[-1]) for row in connection.execute(query)]


def watching(connection: Connection) -> list[Watched]:
    """Schedules on drift whose dataset has a version, or whose model a champion, that was not compared yet."""
    query = select(schedules).where(schedules.c.on == "drift", schedules.c.paused.is_(False))
    found = []
    for row in connection.execute(query).mappings().all():
        schedule = Schedule(**row)
        name = (schedule.job.get("tracking") or {}).get("registered_model")
        champion = None if name is None else models.champion_version(connection, schedule.project, name)
        newest = _newest_ready(connection, schedule.project, (schedule.drift or {}).get("dataset", ""))
        if name is None or champion is None or newest is None:
            continue
        if (newest.sequence, champion) != (schedule.seen_dataset, schedule.seen_champion):
            found.append(Watched(schedule, newest, newest.sequence, name, champion))
    return found


def unjudged(connection: Connection, schedule_id: str | None = None) -> list[tuple[Job, dict[str, Any]]]:
    """Jobs of schedules (or of one) with a `promotion` whose model has no verdict, oldest first, with the promotion."""
    # From the few models without a verdict to their firings: the ledger grows for ever.
    query = select(schedules.c.promotion, jobs).select_from(model_versions)
    query = query.join(jobs, jobs.c.id == model_versions.c.job_id).join(firings, firings.c.job_id == jobs.c.id)
    query = query.join(schedules, schedules.c.id == firings.c.schedule_id)
    query = query.where(schedules.c.promotion.is_not(None), firings.c.backfill.is_(False))
    query = query if schedule_id is None else query.where(schedules.c.id == schedule_id)
    query = query.where(jobs.c.status == "succeeded", model_versions.c.verdict.is_(None)).order_by(jobs.c.sequence)
    return [(Job(*row[1:]), row[0]) for row in connection.execute(query)]


def _newest_ready(connection: Connection, project: str, name: str) -> DatasetOutline | None:
    query = select(*OUTLINE).where(datasets.c.project == project, datasets.c.name == name)
    query = query.where(datasets.c.status == "ready")
    row = connection.execute(query.order_by(datasets.c.sequence.desc()).limit(1)).mappings().first()
    return None if row is None else DatasetOutline(**row)


def newest_version(connection: Connection, project: str, name: str) -> int:
    """The sequence of the newest version of a dataset, ready or not; 0 where there is none."""
    query = select(func.max(datasets.c.sequence)).where(datasets.c.project == project, datasets.c.name == name)
    return connection.execute(query).scalar() or 0


def edit(connection: Connection, schedule: Schedule, **changes: object) -> bool:
    """Change the schedule if nobody has edited it since the caller saw it; whether that was so."""
    seen = (schedules.c.id == schedule.id) & (schedules.c.revision == schedule.revision)
    edited = connection.execute(schedules.update().where(seen).values(**changes, revision=schedule.revision + 1))
    return edited.rowcount > 0


def go_on(connection: Connection, schedule: Schedule, **changes: object) -> bool:
    """Record how far the ledger goes, unless somebody has edited the schedule meanwhile; whether it was recorded."""
    seen = (schedules.c.id == schedule.id) & (schedules.c.revision == schedule.revision)
    return connection.execute(schedules.update().where(seen).values(**changes)).rowcount > 0


def delete(connection: Connection, schedule_id: str) -> None:
    """Forget a schedule with its ledger and its webhooks; its jobs stay."""
    notifications.delete(connection, schedule_id)
    connection.execute(schedules.delete().where(schedules.c.id == schedule_id))
