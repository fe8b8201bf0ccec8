"""Jobs: submit, look at, cancel, delete; their figures and their weights."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from fastapi.responses import FileResponse, JSONResponse

from service.decisions import waits_for_numerics
from service.errors import ConflictError, NotFoundError, UnavailableError
from service.jobs import FINAL, can_cancel
from service.notifications.rules import unset_secret
from service.paths import job_directory, model_directory
from service.requests import read
from service.routes.context import PROJECT, Actor, After, Context, InContext, Limit, Name
from service.routes.idempotency import Key, check_key, made_before, made_once, remember
from service.schemas import (
    JOB_EXAMPLES,
    DeletedDocument,
    Described,
    DryRunDocument,
    JobDocument,
    JobList,
    MetricsDocument,
    ResumeRequest,
)
from service.store import components, jobs, metrics, models, notifications, tracking
from service.store.database import Transaction
from service.store.jobs import Job
from service.strict_route import StrictRoute
from service.submission import Submission, accept, plan_of, read_submission
from service.views import View, deleted_view, job_view, page_view
from workers.spec import JobSpec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

LARGEST_EPOCH = 2_000_000_000

OTHER_NUMERICS = "It was resumed with accept_other_numerics: its bits may differ from those of another run."

ResumeBody = Annotated[Any, Described(ResumeRequest), Body()]
JobBody = Annotated[Any, Described(JobSpec), Body(openapi_examples=JOB_EXAMPLES)]
Status = Literal["queued", "starting", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled"]


class Npz(FileResponse):
    """A NumPy archive."""

    media_type = "application/octet-stream"


@router.post("", status_code=201, responses={200: {"model": DryRunDocument}, 201: {"model": JobDocument}})
def submit_job(
    context: InContext,
    actor: Actor,
    body: JobBody,
    dry_run: Annotated[bool, Query(description="Only say what the job would be")] = False,  # noqa: FBT002
    idempotency_key: Key = None,
) -> JSONResponse:
    """Accept a job: every `auto` gets its value now, or as soon as the dataset is read."""
    if dry_run:
        with context.database.read() as connection:
            submission = _read(context, connection, body)
            slots = components.worker_slots(connection) or context.settings.worker_slots
        plan = plan_of(submission, slots)
        spec = {**submission.spec.model_dump(), "resources": {"workers": plan.workers, "shards": plan.shards}}
        answer = {"spec": spec, "plan": plan._asdict(), "warnings": submission.warnings}
        return JSONResponse(answer)
    check_key(idempotency_key)
    view = _view(context, _submitted(context, actor, idempotency_key, body).id)
    return JSONResponse(view, 201, {"Location": f"/v1/jobs/{view['id']}"})


@router.get("", responses={200: {"model": JobList}})
def list_jobs(
    context: InContext, limit: Limit = 100, after: After = None, status: Status | None = None, name: Name = None
) -> JSONResponse:
    """The jobs, newest first."""
    with context.database.read() as connection:
        found, has_more = jobs.listed(connection, PROJECT, limit=limit, after=after, status=status, name=name)
        views = [_view_in(connection, job) for job in found]
    return JSONResponse(page_view(views, has_more=has_more))


@router.get("/{job_id}", responses={200: {"model": JobDocument}})
def show_job(context: InContext, job_id: str) -> JSONResponse:
    """One job: its state, progress, plan, result."""
    with context.database.read() as connection:
        return JSONResponse(_view_in(connection, _required(connection, job_id)))


@router.post("/{job_id}/cancel", responses={200: {"model": JobDocument}})
def cancel_job(context: InContext, actor: Actor, job_id: str, idempotency_key: Key = None) -> JSONResponse:
    """End a job. Asking again while it ends changes nothing; of a job that has ended it is refused (`wrong_state`)."""
    check_key(idempotency_key)
    return _change_once(context, actor, idempotency_key, {"cancel": job_id}, job_id, partial(_cancelled, actor=actor))


@router.post("/{job_id}/resume", responses={200: {"model": JobDocument}})
def resume_job(
    context: InContext, actor: Actor, job_id: str, body: ResumeBody = None, idempotency_key: Key = None
) -> JSONResponse:
    """Let a job go on that waits because the processes at hand would compute other bits than it began with."""
    check_key(idempotency_key)
    request = read(ResumeRequest, {} if body is None else body)
    asked = {"resume": job_id, **request.model_dump()}
    return _change_once(context, actor, idempotency_key, asked, job_id, partial(_resumed, request=request))


@router.delete("/{job_id}", responses={200: {"model": DeletedDocument}})
def delete_job(context: InContext, job_id: str) -> JSONResponse:
    """Forget a job that is final, with its files and figures."""
    context.storage.reach()
    with context.database.write() as connection:
        job = _required(connection, job_id)
        if job.status not in FINAL:
            raise _not_now(job, "deleted")
        if jobs.is_needed(connection, job_id):
            raise ConflictError(f"Job {job_id} is what another job starts from (warm_start).", code="job_in_use")
        model = models.of_job(connection, job_id)
        if model is not None:
            message = f"Job {job_id} made version {model.version} of model '{model.name}', which needs it."
            raise ConflictError(message, code="job_in_use")
        jobs.delete(connection, job_id)
    context.storage.drop(job_directory(context.storage.root, job_id))
    return JSONResponse(deleted_view("job", job_id))


@router.get("/{job_id}/metrics", responses={200: {"model": MetricsDocument}})
def list_metrics(
    context: InContext,
    job_id: str,
    after_epoch: Annotated[int, Query(ge=0, le=LARGEST_EPOCH)] = 0,
    limit: Limit = 100,
) -> JSONResponse:
    """The figures of each epoch, in order."""
    with context.database.read() as connection:
        _required(connection, job_id)
        rows, has_more = metrics.rows(connection, job_id, after_epoch, limit)
    return JSONResponse(page_view(rows, has_more=has_more, key="epoch"))


@router.get("/{job_id}/weights", response_class=Npz)
def download_weights(context: InContext, job_id: str) -> Npz:
    """The trained weights as `.npz`: `weights_0`, `biases_0`, `weights_1` and so on, in the job's dtype."""
    with context.database.read() as connection:
        job = _required(connection, job_id)
    if not job.has_weights:
        message = f"Job {job.id} is {job.status} and has left no weights; there are some once it has succeeded."
        raise ConflictError(message, code="job_not_succeeded")
    directory = model_directory(context.storage.root, job)
    file = directory / "weights.npz"
    if not context.storage.bring(directory) or not file.is_file():
        raise UnavailableError(f"The weights of job {job.id} are not in the storage.", code="file_missing")
    return Npz(file, filename=f"{job.id}.npz")


def _submitted(context: Context, actor: str, key: str | None, body: object) -> Job:
    """The job that this body makes, or that it made before under the same key."""
    with context.database.read() as connection:
        job = made_before(connection, actor, key, body, jobs.get)
        if job is not None:
            return job
        submission = _read(context, connection, body)
    with context.database.write() as connection:  # it may have been made meanwhile
        return made_once(connection, actor, key, body, jobs.get, lambda: accept(connection, submission, PROJECT, actor))


def _change_once(
    context: Context, actor: str, key: str | None, asked: View, job_id: str, change: Callable[[Transaction, Job], bool]
) -> JSONResponse:
    """The job once `change` has changed it, or had before under the same key."""
    is_done = False
    while not is_done:  # the dispatcher may move it in between
        with context.database.write() as connection:
            is_done = made_before(connection, actor, key, asked, jobs.get) is not None
            if not is_done and change(connection, _required(connection, job_id)):
                remember(connection, actor, key, asked, job_id)
                is_done = True
    return JSONResponse(_view(context, job_id))


def _read(context: Context, connection: Transaction, body: object) -> Submission:
    submission = read_submission(connection, context.settings, PROJECT, body, storage=context.storage)
    return submission._replace(warnings=[*submission.warnings, *unset_secret(submission.spec.notify, os.environ)])


def _required(connection: Transaction, job_id: str) -> Job:
    job = jobs.get(connection, job_id)
    if job is None or job.project != PROJECT:
        raise NotFoundError(f"There is no job '{job_id}'.")
    return job


def _not_now(job: Job, done: str) -> ConflictError:
    allowed = ["delete"] if job.status in FINAL else ["cancel"] if can_cancel(job.status) else []
    allowed += ["resume"] if waits_for_numerics(job) else []
    way_out = f"Allowed now: {', '.join(allowed)}." if allowed else "Wait until it has ended."
    return ConflictError(f"Job {job.id} is {job.status}, so it can't be {done}. {way_out}", code="wrong_state")


def _cancelled(connection: Transaction, job: Job, actor: str) -> bool:
    """Whether the job is ending now; False where it was moved meanwhile."""
    if not can_cancel(job.status) and job.status != "cancelling":
        raise _not_now(job, "cancelled")
    return job.status == "cancelling" or jobs.move(connection, job, "cancelling", f"asked for by {actor}")


def _resumed(connection: Transaction, job: Job, request: ResumeRequest) -> bool:
    """Whether the job may go on with other numerics now; False where it was moved meanwhile."""
    if not waits_for_numerics(job):
        raise _not_now(job, "resumed")
    if not request.accept_other_numerics:
        message = (
            f"Job {job.id} goes on by itself as soon as processes with its own numerics are there. "
            f"To go on with others, whose bits may differ, set accept_other_numerics to true."
        )
        raise ConflictError(message, code="fingerprint_mismatch", field="accept_other_numerics")
    warnings = [*job.warnings, OTHER_NUMERICS]
    return jobs.change(connection, job, accept_other_numerics=True, warnings=warnings)


def _view(context: Context, job_id: str) -> View:
    with context.database.read() as connection:
        return _view_in(connection, _required(connection, job_id))


def _view_in(connection: Transaction, job: Job) -> View:
    history, sent = jobs.history(connection, job.id), notifications.of_object(connection, job.id)
    return job_view(job, tracking.get(connection, job.id), history, sent, datetime.now(UTC))
