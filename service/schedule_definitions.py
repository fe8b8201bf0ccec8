"""From the body of POST or PATCH /v1/schedules to what a schedule's row keeps; with all that is wrong with it."""

from datetime import datetime
from typing import Any

from service.comparable import rule_problems
from service.cron import CronError, parse_cron, parse_timezone
from service.errors import Problem, UnprocessableError, printable
from service.firings import check_job
from service.notifications.rules import check_notify
from service.requests import clean_dataset_name, clean_name, read
from service.schedule_schemas import ScheduleRequest
from service.schedules import first_due
from service.settings import Settings
from service.store import datasets
from service.store.database import Transaction
from service.store.schedules import Schedule
from workers.errors import FieldError, GradsumError
from workers.spec import JobSpec

FIELDS = tuple(ScheduleRequest.model_fields)
JOB_FIELDS = ("job", "name", "timezone", "promotion")
"""What the job of a due time, and whether its model can be judged, depends on."""


def read_definition(
    connection: Transaction,
    settings: Settings,
    project: str,
    body: object,
    now: datetime,
    before: Schedule | None = None,
) -> dict[str, Any]:
    """The schedule that `body` defines; UnprocessableError with the fields.

    Its job is tried with the first due time, unless it is as it was `before`: a schedule whose data is gone can be
    paused, too.
    """
    request = read(ScheduleRequest, body)
    errors = _when_errors(request)
    if errors:
        raise _wrong(errors)
    check_notify(request.notify, settings)
    definition = {**request.model_dump(), "name": clean_dataset_name(request.name), "job": _clean_job(request.job)}
    if request.drift is not None and (before is None or definition["drift"] != before.drift):
        definition["drift"]["dataset"] = _watched(connection, project, request.drift.dataset)
    if before is not None and all(definition[name] == getattr(before, name) for name in JOB_FIELDS):
        return definition
    sample = first_due(request.cron, request.timezone, now) or now
    try:
        submission = check_job(connection, settings, project, definition, sample)
    except (Problem, GradsumError) as problem:
        raise _in_job(problem) from None
    _check_promotion(definition["promotion"], submission.spec)
    return definition


def merged(schedule: Schedule, body: object) -> dict[str, Any]:
    """The schedule's definition with what a PATCH gives: its fields, and of `job` the fields that are given."""
    if not isinstance(body, dict):
        raise UnprocessableError("body must be an object with the fields to change.", field="body")
    definition = {name: getattr(schedule, name) for name in FIELDS}
    job = body.get("job")
    changes = {**body, "job": {**schedule.job, **job}} if isinstance(job, dict) else body
    return {**definition, **changes}


def _when_errors(request: ScheduleRequest) -> list[FieldError]:
    """What is wrong with when it fires."""
    errors = []
    try:
        parse_timezone(request.timezone)
    except CronError as error:
        errors.append(FieldError("timezone", str(error)))
    if request.on != "cron" and request.cron is not None:
        errors.append(FieldError("cron", f"must be null or left out where on is '{request.on}'"))
    elif request.on == "cron" and request.cron is None:
        errors.append(FieldError("cron", "is required where on is 'cron', for example '0 3 * * *'"))
    elif request.cron is not None:
        try:
            parse_cron(request.cron)
        except CronError as error:
            errors.append(FieldError("cron", printable(str(error))))
    if request.on == "drift" and request.drift is None:
        errors.append(FieldError("drift", "is required where on is 'drift': the dataset that is watched"))
    if request.on == "drift" and not _names_model(request.job):
        message = "is required where on is 'drift': the model whose champion's data is compared"
        errors.append(FieldError("job.tracking.registered_model", message))
    if request.on == "new_data" and not _is_name(request.job.get("dataset")):
        errors.append(FieldError("job.dataset", "must be a dataset's name, without a version, where on is 'new_data'"))
    return errors


def _names_model(job: dict[str, Any]) -> bool:
    tracking = job.get("tracking")
    return isinstance(tracking, dict) and tracking.get("registered_model") is not None


def _is_name(dataset: object) -> bool:
    return isinstance(dataset, str) and "@" not in dataset and not dataset.startswith("ds_")


def _clean_job(job: dict[str, Any]) -> dict[str, Any]:
    """The job with its model's name as it is kept: what looks for the champion reads it here."""
    if not _names_model(job) or not isinstance(job["tracking"]["registered_model"], str):
        return job
    name = clean_name(job["tracking"]["registered_model"], "job.tracking.registered_model")
    return {**job, "tracking": {**job["tracking"], "registered_model": name}}


def _watched(connection: Transaction, project: str, dataset: str) -> str:
    """The name of a dataset whose versions can be watched."""
    if not _is_name(dataset):
        raise _wrong([FieldError("drift.dataset", "must be a dataset's name, without a version")])
    name = clean_dataset_name(dataset, "drift.dataset")
    if datasets.find(connection, project, name) is None:
        message = f"names no dataset: there is no '{printable(name)}'"
        raise _wrong([FieldError("drift.dataset", message)])
    return name


def _check_promotion(promotion: dict[str, Any] | None, spec: JobSpec) -> None:
    """A rule that can't work with the job would let every model pass; of a file at a URI the task may not be known."""
    if promotion is None:
        return
    task = None if spec.task == "auto" else spec.task
    errors = rule_problems(promotion, task, spec.split.model_dump(), spec.tracking.registered_model)
    if errors:
        raise UnprocessableError(" ".join(error.message for error in errors), errors=errors)


def _in_job(problem: Problem | GradsumError) -> UnprocessableError:
    """The problem of a job as one of the schedule that holds it."""
    errors = [FieldError(f"job.{field}" if field != "body" else "job", message) for field, message in problem.errors]
    detail = problem.detail if isinstance(problem, Problem) else problem.message
    return UnprocessableError(detail, code=problem.code, errors=errors)


def _wrong(errors: list[FieldError]) -> UnprocessableError:
    return UnprocessableError("; ".join(" ".join(error) for error in errors).removesuffix(".") + ".", errors=errors)
