"""One firing: its row in the ledger and the job that it makes, both in the caller's transaction or neither."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from service.errors import Problem, UnprocessableError
from service.jobs import can_cancel
from service.schedules import filled, is_asked_for, overlap, unchanged, unknown_placeholder
from service.settings import Settings
from service.store import firings, jobs, models
from service.store.database import Transaction, WriteConflictError, as_text, now, savepoint
from service.store.datasets import Dataset
from service.store.jobs import Job
from service.store.schedules import Schedule
from service.submission import Submission, accept, read_submission
from service.uris import shown
from workers.errors import FieldError, GradsumError

TEST_SHARE = 0.1
"""Of the rows of a schedule's job, where it does not say: the champion's gate needs some that nobody has seen."""


class Occasion(NamedTuple):
    """Why a schedule fires: the due time, what came due, which version of a dataset set it off, who asked by hand."""

    due_at: datetime
    triggered_by: str = "cron"
    dataset_id: str | None = None
    actor: str | None = None


class _UnchangedError(Exception):
    """The data is what the last success was trained on."""


def fire(
    connection: Transaction, settings: Settings, schedule: Schedule, occasion: Occasion, beside: Sequence[Job]
) -> str:
    """The id of the firing: with a job, or with the reason why there is none.

    `beside` are the unfinished jobs that the overlap policy looks at; none for a firing that may run beside any.
    """
    may_run, reason = overlap(schedule.overlap_policy, [job.id for job in beside])
    outcome, job_id = "skipped_overlap", None
    if may_run:
        try:
            with savepoint(connection):
                job_id = _submit(connection, settings, schedule, occasion).id
                outcome = "fired"
        except _UnchangedError as same:
            outcome, reason = "unchanged", str(same)
        except (Problem, GradsumError, OSError) as error:
            outcome, reason = "failed_to_submit", _refused(error, schedule, occasion)
    if job_id is not None and schedule.overlap_policy == "cancel_running":
        _cancel(connection, beside, job_id)
    return _record(connection, schedule, occasion, outcome, reason, job_id)


def jobs_beside(connection: Transaction, schedule: Schedule) -> list[Job]:
    """The unfinished jobs of the schedule that its overlap policy looks at."""
    return firings.unfinished_jobs(connection, schedule.id, cancelling=schedule.overlap_policy != "cancel_running")


def call_off(connection: Transaction, job: Job, firing_id: str, outcome: str, reason: str | None) -> bool:
    """End a firing's job that is not to train, with the outcome in the ledger; whether nobody had ended it before."""
    if not jobs.cancel_at_once(connection, job, reason):
        return False
    firings.change(connection, firing_id, outcome=outcome, reason=reason)
    return True


def check_job(
    connection: Transaction, settings: Settings, project: str, definition: dict[str, Any], due_at: datetime
) -> Submission:
    """The submission that a due time would make now; UnprocessableError or SpecError with the fields of `job`."""
    body = job_body(definition["job"], definition["name"], definition["timezone"], due_at)
    uri, template = _uri(body), _uri(definition["job"])
    strange = unknown_placeholder(template or "")
    if strange is not None:
        message = f"has '{{{strange}}}' in it, which nothing fills in; there are {{due_date}} and {{due_at}}"
        raise UnprocessableError(f"job.dataset.uri {message}.", errors=[FieldError("dataset.uri", message)])
    start, _ = resolve_start(connection, project, body, None)
    body["warm_start"] = start
    return read_submission(
        connection,
        settings,
        project,
        body,
        file_may_come_later=uri != template,
        is_checked_later=definition["check"] is not None,
    )


def job_body(
    job: dict[str, Any], name: str, timezone: str, due_at: datetime, dataset_id: str | None = None
) -> dict[str, Any]:
    """The body of the job for a due time."""
    body = dict(job)
    if body.get("name") is None:
        body["name"] = name
    split = body.get("split", {})
    if isinstance(split, dict) and "test" not in split:
        body["split"] = {**split, "test": TEST_SHARE}
    uri = _uri(body)
    if dataset_id is not None:
        body["dataset"] = dataset_id
    elif uri is not None:
        body["dataset"] = {**body["dataset"], "uri": filled(uri, due_at, timezone)}
    return body


def resolve_start(
    connection: Transaction, project: str, body: dict[str, Any], schedule_id: str | None
) -> tuple[object, str | None]:
    """What `warm_start` names now, and what to say where that is nothing yet: such a job starts fresh."""
    wanted = body.get("warm_start")
    if wanted == "champion":
        tracking = body.get("tracking")
        model = tracking.get("registered_model") if isinstance(tracking, dict) else None
        if not isinstance(model, str):
            message = "needs tracking.registered_model where it is 'champion': the model whose champion is meant"
            raise UnprocessableError(f"warm_start {message}.", errors=[FieldError("warm_start", message)])
        if models.champion_version(connection, project, model) is None:
            return None, f"Model '{model}' has no champion yet, so this job starts fresh (warm_start: champion)."
        return f"{model}@champion", None
    if wanted == "last_success":
        last = None if schedule_id is None else firings.last_success(connection, schedule_id)
        if last is None:
            return (
                None,
                "No job of this schedule has succeeded yet, so this starts fresh (warm_start: last_success).",
            )
        return last[0], None
    return wanted, None


def _submit(connection: Transaction, settings: Settings, schedule: Schedule, occasion: Occasion) -> Job:
    body = job_body(schedule.job, schedule.name, schedule.timezone, occasion.due_at, occasion.dataset_id)
    if schedule.notify is not None:
        body = {"notify": schedule.notify, **body}
    start, warning = resolve_start(connection, schedule.project, body, schedule.id)
    body["warm_start"] = start
    checked = schedule.check is not None
    submission = read_submission(connection, settings, schedule.project, body, is_checked_later=checked)
    if not is_asked_for(occasion.triggered_by) and isinstance(
        submission.dataset, Dataset
    ):  # else it is seen once fetched
        trained = firings.last_success(connection, schedule.id)
        same = unchanged(schedule.on_unchanged_data, submission.dataset.content_key, trained)
        if same is not None:
            raise _UnchangedError(same)
    if warning is not None:
        submission = submission._replace(warnings=[*submission.warnings, warning])
    return accept(connection, submission, schedule.project, occasion.actor or schedule.actor)


def _refused(error: Exception, schedule: Schedule, occasion: Occasion) -> str:
    """Why there is no job. Of a file that is not there, the day's name is all that tells which: no job shows it."""
    template = _uri(schedule.job)
    if template is None or not isinstance(error, GradsumError) or error.code != "uri_not_allowed":
        return f"{error}"
    return f"{shown(filled(template, occasion.due_at, schedule.timezone))}: {error}"


def _record(
    connection: Transaction,
    schedule: Schedule,
    occasion: Occasion,
    outcome: str,
    reason: str | None,
    job_id: str | None,
) -> str:
    """A new row; a backfill takes over the one that its due time has, and says what it was."""
    due_at = as_text(occasion.due_at)
    if occasion.triggered_by == "backfill":
        before = firings.at(connection, schedule.id, [due_at]).get(due_at)
        if before is not None:
            reason = " ".join(filter(None, (reason, f"Before the backfill it was {before.outcome}.")))
            firings.change(
                connection, before.id, outcome=outcome, reason=reason, job_id=job_id, triggered_by="backfill",
                fired_at=now(), backfill=True, actor=occasion.actor,
            )  # fmt: skip
            return before.id
    return firings.add(
        connection,
        schedule_id=schedule.id,
        due_at=due_at,
        triggered_by=occasion.triggered_by,
        outcome=outcome,
        reason=reason,
        job_id=job_id,
        actor=occasion.actor,
    )


def _cancel(connection: Transaction, unfinished: Sequence[Job], successor: str) -> None:
    for job in unfinished:
        if not can_cancel(job.status):
            continue
        reason = f"job {successor} takes its place (overlap_policy: cancel_running)"
        if not jobs.move(connection, job, "cancelling", reason):
            raise WriteConflictError(job.id)


def _uri(body: dict[str, Any]) -> str | None:
    dataset = body.get("dataset")
    uri = dataset.get("uri") if isinstance(dataset, dict) else None
    return uri if isinstance(uri, str) else None
