"""How far MLflow is told: a cursor for each job, moved only after MLflow has answered."""

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from service.store.jobs import Job
from service.store.tables import jobs, tracking


@dataclass(frozen=True)
class Tracking:
    """What MLflow knows of one job."""

    job_id: str
    experiment_id: str | None
    run_id: str | None
    run_url: str | None
    model_version: str | None
    last_epoch: int
    described: bool
    finished: bool
    error: str | None


def get(connection: Connection, job_id: str) -> Tracking:
    """What MLflow knows of this job."""
    return Tracking(**connection.execute(select(tracking).where(tracking.c.job_id == job_id)).mappings().one())


def of_jobs(connection: Connection, job_ids: list[str]) -> dict[str, Tracking]:
    """What MLflow knows of these jobs, by id."""
    rows = connection.execute(select(tracking).where(tracking.c.job_id.in_(job_ids))).mappings()
    return {row["job_id"]: Tracking(**row) for row in rows}


def pending(connection: Connection, limit: int = 1000) -> list[tuple[Job, Tracking]]:
    """Jobs that have started (or ended) and of which MLflow does not know the end, oldest first."""
    query = (
        select(jobs.c.id)
        .join(tracking, tracking.c.job_id == jobs.c.id)
        .where(tracking.c.finished.is_(False), or_(jobs.c.started_at.is_not(None), jobs.c.finished_at.is_not(None)))
        .order_by(jobs.c.sequence)
        .limit(limit)
    )
    ids = list(connection.execute(query).scalars())
    rows = connection.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.sequence)).mappings()
    cursors = of_jobs(connection, ids)
    return [(Job(**row), cursors[row["id"]]) for row in rows]


def change(connection: Connection, job_id: str, **changes: object) -> None:
    """Move the cursor."""
    connection.execute(tracking.update().where(tracking.c.job_id == job_id).values(**changes))
