"""Rows of jobs: state, attempts, progress and end. Every change of state is conditional and leaves a transition."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select

from service.jobs import FINAL, allowed
from service.store import notifications
from service.store.database import as_text, now
from service.store.pages import page
from service.store.tables import attempts, datasets, idempotency_keys, jobs, tracking, transitions
from workers.settled import resources_without_plan
from workers.storage import AWAY, MATRIX_GONE
from workers.storage import REFUSED as STORAGE_REFUSED

LONGEST_REASON = 2000
SERVICE_RESTARTED = "the service that held its driver was restarted"
SERVICE_STOPPED = "the service was stopped"
REFUSED = "fingerprint_mismatch"
NOT_STARTED = "its driver could not be started"
CLUSTER_LOST = "the Ray cluster that held its driver was lost"
BLAMELESS = (NOT_STARTED, CLUSTER_LOST, AWAY, MATRIX_GONE)
"""Ends that are hardly the job's fault."""
MOST_BLAMELESS = 20
"""As many such ends of one job are no accident: then they count, so that no job is tried for ever."""


@dataclass(frozen=True)
class Job:
    """A job as the record has it. `spec` has every `auto` resolved once `resolved` is true."""

    sequence: int
    id: str
    project: str
    actor: str
    group_id: str | None
    name: str | None
    created_at: str
    tags: dict[str, str]
    priority: int
    dataset_id: str
    requested: dict[str, Any]
    spec: dict[str, Any]
    resolved: bool
    matrix_key: str | None
    plan: dict[str, Any] | None
    numerics: dict[str, Any] | None
    accept_other_numerics: bool
    block_rows: int | None
    status: str
    status_reason: dict[str, Any] | None
    attempt: int
    started_at: str | None
    finished_at: str | None
    progress: dict[str, Any] | None
    workers: list[dict[str, Any]]
    warnings: list[str]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    verdict: dict[str, Any] | None
    """What was decided about its model and the champion; None where that is not (yet) judged."""

    @property
    def has_weights(self) -> bool:
        """Whether it left weights: trained ones, or the last good ones before it diverged."""
        return self.status == "succeeded" or (self.error or {}).get("left_weights") is True


def add(
    connection: Connection,
    *,
    project: str,
    actor: str,
    dataset_id: str,
    requested: dict[str, Any],
    spec: dict[str, Any],
    resolved: bool,
    warnings: list[str],
    block_rows: int | None = None,
) -> Job:
    """A new job, queued, with its tracking row beside it."""
    job_id = f"job_{secrets.token_hex(12)}"
    values = {
        "id": job_id,
        "project": project,
        "actor": actor,
        "group_id": None,
        "name": spec["name"],
        "created_at": now(),
        "tags": spec["tags"],
        "priority": spec["priority"],
        "dataset_id": dataset_id,
        "requested": requested,
        "spec": spec,
        "resolved": resolved,
        "block_rows": block_rows,
        "status": "queued",
        "attempt": 0,
        "workers": [],
        "warnings": warnings,
    }
    connection.execute(jobs.insert().values(values))
    connection.execute(tracking.insert().values(job_id=job_id, last_epoch=0, described=False, finished=False))
    _record_transition(connection, job_id, "queued", None)
    return required(connection, job_id)


def get(connection: Connection, job_id: str) -> Job | None:
    """The job with this id."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
    return None if row is None else Job(**row)


def required(connection: Connection, job_id: str) -> Job:
    """The job with this id, which must be there."""
    job = get(connection, job_id)
    if job is None:
        raise LookupError(job_id)
    return job


def listed(
    connection: Connection, project: str, *, limit: int, after: str | None, status: str | None, name: str | None
) -> tuple[list[Job], bool]:
    """A page of jobs, newest first, and whether there are more."""
    query = select(jobs).where(jobs.c.project == project)
    query = query.where(jobs.c.status == status) if status else query
    query = query.where(jobs.c.name == name) if name else query
    found = page(connection, jobs, query, limit, after)
    return [Job(**row) for row in found.rows], found.has_more


def unfinished(connection: Connection) -> list[Job]:
    """Every job that is not final: the most urgent first, then the oldest."""
    query = select(jobs).where(jobs.c.status.not_in(FINAL)).order_by(jobs.c.priority.desc(), jobs.c.sequence)
    return [Job(**row) for row in connection.execute(query).mappings()]


def ids(connection: Connection) -> list[str]:
    """Those of all jobs."""
    return list(connection.execute(select(jobs.c.id)).scalars())


def needed_matrices(connection: Connection, since: datetime) -> set[str]:
    """The keys of the matrices of jobs that have not ended, or have ended after `since`."""
    ended = or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > as_text(since))
    query = select(jobs.c.matrix_key).where(jobs.c.matrix_key.is_not(None), ended)
    return set(connection.execute(query).scalars())


class Outline(NamedTuple):
    """As much of a job that is not final as tells whether it may have a next step."""

    id: str
    status: str
    attempt: int
    resolved: bool
    matrix_key: str | None
    accept_other_numerics: bool
    dataset_status: str


def outline(connection: Connection) -> list[Outline]:
    """The outlines of all jobs that are not final, oldest first: much less than their rows."""
    columns = [jobs.c[name] for name in Outline._fields[:-1]]
    query = select(*columns, datasets.c.status).join(datasets, datasets.c.id == jobs.c.dataset_id)
    query = query.where(jobs.c.status.not_in(FINAL)).order_by(jobs.c.sequence)
    return [Outline._make(row) for row in connection.execute(query)]


def move(connection: Connection, job: Job, status: str, reason: str | None = None, **changes: object) -> bool:
    """Take `job` to `status` if it is still in the state and attempt that the caller saw; whether it was."""
    if not allowed(job.status, status):
        raise ValueError(f"{job.id} can't go from {job.status} to {status}")
    if status in FINAL:
        changes["finished_at"] = now()
    changes.setdefault("status_reason", None)
    updated = connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.status == job.status, jobs.c.attempt == job.attempt)
        .values(status=status, **changes)
    )
    if updated.rowcount == 0:
        return False
    _record_transition(connection, job.id, status, reason)
    if status in FINAL:
        ended = required(connection, job.id)
        _settle(connection, ended)
        _notify(connection, ended, reason)
    return True


def fail(connection: Connection, job: Job, error: dict[str, Any], **changes: object) -> bool:
    """End `job` with `error` (a code and a message), where it may fail and is as the caller saw it; whether it was."""
    if not allowed(job.status, "failed"):
        return False
    return move(connection, job, "failed", error["message"], error=error, **changes)


def cancel_at_once(connection: Connection, job: Job, reason: str | None) -> bool:
    """End a job that has no driver, so that there is nothing to wait for; whether it was as the caller saw it."""
    if not move(connection, job, "cancelling", reason):
        return False
    return move(connection, required(connection, job.id), "cancelled", reason)


def change(connection: Connection, job: Job, **changes: object) -> bool:
    """Change columns of `job` if it is still in the state and attempt that the caller saw; whether it was."""
    updated = connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.status == job.status, jobs.c.attempt == job.attempt)
        .values(**changes)
    )
    return updated.rowcount > 0


def record_verdict(connection: Connection, job_id: str, verdict: dict[str, Any]) -> None:
    """Record what was decided about the job's model."""
    connection.execute(jobs.update().where(jobs.c.id == job_id).values(verdict=verdict))


def delete(connection: Connection, job_id: str) -> None:
    """Forget a job that is final, with everything recorded about it."""
    connection.execute(jobs.delete().where(jobs.c.id == job_id, jobs.c.status.in_(FINAL)))
    notifications.delete(connection, job_id)


def add_attempt(connection: Connection, job_id: str, attempt: int, driver: dict[str, Any]) -> None:
    """Record which driver is asked to run this attempt, before it is asked."""
    connection.execute(attempts.insert().values(job_id=job_id, attempt=attempt, driver=driver, started_at=now()))


def end_attempt(connection: Connection, job_id: str, attempt: int, reason: str) -> None:
    """Record why an attempt ended; the first reason stays."""
    connection.execute(
        attempts.update()
        .where(attempts.c.job_id == job_id, attempts.c.attempt == attempt, attempts.c.ended_at.is_(None))
        .values(ended_at=now(), reason=reason[:LONGEST_REASON])
    )


def end_of_attempt(connection: Connection, job_id: str, attempt: int) -> str | None:
    """Why an attempt ended; None where it has not."""
    query = select(attempts.c.reason).where(attempts.c.job_id == job_id, attempts.c.attempt == attempt)
    return connection.execute(query).scalar()


def lost_drivers(connection: Connection, job_id: str) -> int:
    """How many attempts of the job ended because their driver was lost, and not the service or cluster around it."""
    query = select(attempts.c.reason).where(attempts.c.job_id == job_id, attempts.c.ended_at.is_not(None))
    reasons = connection.execute(query).scalars().all()
    blameless = sum(reason in BLAMELESS for reason in reasons)
    lost = sum(
        reason not in {SERVICE_RESTARTED, SERVICE_STOPPED, REFUSED, STORAGE_REFUSED, *BLAMELESS} for reason in reasons
    )
    return lost + (blameless if blameless >= MOST_BLAMELESS else 0)


def is_needed(connection: Connection, job_id: str) -> bool:
    """Whether a job that is not final starts from the weights of this one."""
    query = select(jobs.c.id).where(jobs.c.status.not_in(FINAL), jobs.c.spec["warm_start"].as_string() == job_id)
    return connection.execute(query.limit(1)).first() is not None


def history(connection: Connection, job_id: str) -> list[dict[str, Any]]:
    """The job's changes of state in order: `status`, `at`, `reason`."""
    query = select(transitions.c.status, transitions.c.at, transitions.c.reason)
    query = query.where(transitions.c.job_id == job_id).order_by(transitions.c.sequence)
    return [dict(row) for row in connection.execute(query).mappings()]


def remember_key(
    connection: Connection, project: str, actor: str, key: str, request_sha256: str, object_id: str
) -> None:
    """Remember what an Idempotency-Key made."""
    connection.execute(
        idempotency_keys.insert().values(
            project=project,
            actor=actor,
            key=key,
            request_sha256=request_sha256,
            object_id=object_id,
            created_at=now(),
        )
    )


def recall_key(connection: Connection, project: str, actor: str, key: str) -> tuple[str, str] | None:
    """The hash of the request that came with this Idempotency-Key before, and the id of what it made."""
    columns = idempotency_keys.c
    query = select(columns.request_sha256, columns.object_id).where(
        columns.project == project, columns.actor == actor, columns.key == key
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1])


def _settle(connection: Connection, job: Job) -> None:
    """Leave no `auto` in what a job was given that ended before it was planned; one without its data keeps them."""
    if not job.resolved or "auto" not in job.spec.get("resources", {}).values():
        return
    rows = connection.execute(select(datasets.c.rows).where(datasets.c.id == job.dataset_id)).scalar_one()
    spec = {**job.spec, "resources": resources_without_plan(job.spec, rows or 0)}
    connection.execute(jobs.update().where(jobs.c.id == job.id).values(spec=spec))


def _notify(connection: Connection, job: Job, reason: str | None) -> None:
    """Have the end of the job told where it should be."""
    shown = ("name", "status", "attempt", "created_at", "started_at", "finished_at", "result", "error", "tags")
    data = {"job_id": job.id, "reason": reason, **{name: getattr(job, name) for name in shown}}
    notifications.add(
        connection,
        job.spec.get("notify"),
        project=job.project,
        object_id=job.id,
        event=f"job.{job.status}",
        data=data,
    )


def _record_transition(connection: Connection, job_id: str, status: str, reason: str | None) -> None:
    connection.execute(
        transitions.insert().values(job_id=job_id, status=status, at=now(), reason=reason and reason[:LONGEST_REASON])
    )
