"""Rows of models: the versions of each name, and the champion among them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from service.jobs import FINAL
from service.store.database import now
from service.store.tables import champions, jobs, models

LONGEST_REASON = 2000


@dataclass(frozen=True)
class Model:
    """One version of a registered model; its files lie in `directory` below the storage."""

    sequence: int
    project: str
    actor: str
    group_id: str | None
    name: str
    version: int
    created_at: str
    tags: dict[str, str]
    job_id: str
    directory: str
    verdict: dict[str, Any] | None
    """What was decided when it was compared with the champion; None where that is not (yet) judged."""


def add(
    connection: Connection, *, project: str, actor: str, name: str, job_id: str, directory: str, tags: dict[str, str]
) -> Model:
    """The next version of `name`; the first one is its champion."""
    query = select(func.max(models.c.version)).where(models.c.project == project, models.c.name == name)
    version = (connection.execute(query).scalar() or 0) + 1
    connection.execute(
        models.insert().values(
            project=project,
            actor=actor,
            group_id=None,
            name=name,
            version=version,
            created_at=now(),
            tags=tags,
            job_id=job_id,
            directory=directory,
        )
    )
    if champion_version(connection, project, name) is None:
        connection.execute(
            champions.insert().values(
                project=project, name=name, version=version, promoted_at=now(), reason="the first version of its name"
            )
        )
    return required(connection, project, name, version)


def get(connection: Connection, project: str, name: str, version: int) -> Model | None:
    """One version of a name."""
    query = select(models).where(models.c.project == project, models.c.name == name, models.c.version == version)
    row = connection.execute(query).mappings().first()
    return None if row is None else Model(**row)


def required(connection: Connection, project: str, name: str, version: int) -> Model:
    """One version of a name, which must be there."""
    found = get(connection, project, name, version)
    if found is None:
        raise LookupError(f"{name}/{version}")
    return found


def of_job(connection: Connection, job_id: str) -> Model | None:
    """The model version that a job made."""
    row = connection.execute(select(models).where(models.c.job_id == job_id)).mappings().first()
    return None if row is None else Model(**row)


def maker(connection: Connection, project: str, name: str) -> str | None:
    """The id of a job that has not ended and makes a version of `name` if it succeeds: the first of them."""
    query = select(jobs.c.id).where(jobs.c.project == project, jobs.c.status.not_in(FINAL)).order_by(jobs.c.sequence)
    query = query.where(jobs.c.spec["tracking"]["registered_model"].as_string() == name)
    return connection.execute(query.limit(1)).scalar()


def versions(connection: Connection, project: str, name: str) -> list[Model]:
    """Every version of a name, newest first."""
    query = select(models).where(models.c.project == project, models.c.name == name)
    return [Model(**row) for row in connection.execute(query.order_by(models.c.version.desc())).mappings()]


def newest_of_each_name(
    connection: Connection, project: str, *, limit: int, after: str | None, name: str | None
) -> tuple[list[Model], bool]:
    """A page of names in the order of the alphabet, each by its newest version, and whether there are more."""
    newest = select(models.c.name, func.max(models.c.version).label("version")).where(models.c.project == project)
    newest = newest.where(models.c.name == name) if name else newest
    newest = newest.where(models.c.name > after) if after else newest
    names = newest.group_by(models.c.name).order_by(models.c.name).limit(limit + 1).subquery()
    query = select(models).join(names, (models.c.name == names.c.name) & (models.c.version == names.c.version))
    query = query.where(models.c.project == project).order_by(models.c.name)
    found = [Model(**row) for row in connection.execute(query).mappings()]
    return found[:limit], len(found) > limit


def champion_version(connection: Connection, project: str, name: str) -> int | None:
    """The version of `name` that serves."""
    query = select(champions.c.version).where(champions.c.project == project, champions.c.name == name)
    return connection.execute(query).scalar()


def promotion(connection: Connection, project: str, name: str) -> dict[str, Any] | None:
    """When and why the champion of `name` became it, and who did that by hand (`actor`, else null)."""
    query = select(champions.c.promoted_at, champions.c.reason, champions.c.actor)
    row = connection.execute(query.where(champions.c.project == project, champions.c.name == name)).mappings().first()
    return None if row is None else dict(row)


def promote(
    connection: Connection, project: str, name: str, version: int, reason: str | None, *,
    expected: int | None = None, actor: str | None = None,
) -> bool:  # fmt: skip
    """Make `version` the champion of `name`; False where another one than `expected`, if given, serves by now."""
    query = champions.update().where(champions.c.project == project, champions.c.name == name)
    query = query if expected is None else query.where(champions.c.version == expected)
    updated = connection.execute(
        query.values(version=version, promoted_at=now(), reason=reason and reason[:LONGEST_REASON], actor=actor)
    )
    return updated.rowcount > 0


def promote_by_hand(connection: Connection, model: Model, reason: str | None, actor: str) -> None:
    """Make a version the champion because `actor` says so.

    If its verdict waited for that, it does no more. If it was not promoted, it is the anchor from now on: whoever
    promotes it knows that it is behind the old one, which the next ones would be held to for ever.
    """
    promote(connection, model.project, model.name, model.version, reason, actor=actor)
    if model.verdict is None or model.verdict["verdict"] == "promoted":
        return
    if model.verdict["verdict"] == "waiting":
        verdict = {**model.verdict, "verdict": "promoted", "code": "by_hand"}
    else:
        verdict = {**model.verdict, "anchor": model.version}
    connection.execute(models.update().where(models.c.sequence == model.sequence).values(verdict=verdict))
    connection.execute(jobs.update().where(jobs.c.id == model.job_id).values(verdict=verdict))


def record_verdict(connection: Connection, model: Model, verdict: dict[str, Any]) -> bool:
    """Record what was decided about a version, once; whether it was undecided."""
    query = models.update().where(models.c.sequence == model.sequence, models.c.verdict.is_(None))
    return connection.execute(query.values(verdict=verdict)).rowcount > 0
