"""Rows of models: the versions of each name, and the champion among them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from service.jobs import FINAL
from service.store.database import now
from service.store.tables import champions, jobs, models

LONGEST_REASON = 2000
PROMOTION = ("promoted_at", "reason", "actor")


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


class Made(NamedTuple):
    """A version, and what its job says of it."""

    model: Model
    dataset_id: str
    result: dict[str, Any] | None


class Named(NamedTuple):
    """A name: the version that serves, and its versions, newest first."""

    champion: int
    promotion: dict[str, Any]
    """When (`promoted_at`) and why (`reason`) it became that, and who did so by hand (`actor`, else None)."""
    versions: list[Made]


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


def named(connection: Connection, project: str, name: str) -> Named | None:
    """A name with all its versions."""
    found = _named(connection, project, _names(project).where(champions.c.name == name), None)
    return found[0] if found else None


def listed(
    connection: Connection, project: str, *, limit: int, after: str | None, name: str | None, most_versions: int
) -> tuple[list[Named], bool]:
    """A page of names in the order of the alphabet, each with its newest versions, and whether there are more."""
    names = _names(project).order_by(champions.c.name).limit(limit + 1)
    names = names.where(champions.c.name == name) if name else names
    names = names.where(champions.c.name > after) if after else names
    found = _named(connection, project, names, most_versions)
    return found[:limit], len(found) > limit


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


def _names(project: str) -> Select[Any]:
    """Each name has a champion from its first version on."""
    newest = select(func.max(models.c.version)).where(models.c.project == project, models.c.name == champions.c.name)
    found = champions.c.name, champions.c.version.label("champion"), newest.scalar_subquery().label("newest")
    promotion = (champions.c[each] for each in PROMOTION)
    return select(*found, *promotion).where(champions.c.project == project)


def _named(connection: Connection, project: str, names: Select[Any], most_versions: int | None) -> list[Named]:
    """In one query. Versions count from 1 and none goes, so the newest ones are told by their numbers."""
    page = names.subquery()
    promotion = [page.c[each] for each in PROMOTION]
    query = select(page.c.champion, *promotion, jobs.c.dataset_id, jobs.c.result, models)
    query = query.where(models.c.project == project)
    query = query.join(page, page.c.name == models.c.name).join(jobs, jobs.c.id == models.c.job_id)
    if most_versions is not None:
        query = query.where(models.c.version > page.c.newest - most_versions)
    found: dict[str, Named] = {}
    for row in connection.execute(query.order_by(models.c.name, models.c.version.desc())):
        champion, promoted_at, reason, actor, dataset_id, result, *values = row
        model = Model(*values)
        promoted = dict(zip(PROMOTION, (promoted_at, reason, actor), strict=True))
        found.setdefault(model.name, Named(champion, promoted, [])).versions.append(Made(model, dataset_id, result))
    return list(found.values())


def champion_version(connection: Connection, project: str, name: str) -> int | None:
    """The version of `name` that serves."""
    query = select(champions.c.version).where(champions.c.project == project, champions.c.name == name)
    return connection.execute(query).scalar()


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
