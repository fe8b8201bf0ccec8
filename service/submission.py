"""From the body of POST /v1/jobs to a job's row: read, matched with its dataset, resolved if that is ready.

It needs a transaction and the settings, no request: schedules submit by it too.
"""

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from service.dataset_references import no_such_dataset, usable_dataset
from service.decisions import BEING_READ
from service.errors import ConflictError, UnprocessableError
from service.facts import Sources, facts_of, limits_of
from service.imports.registration import Import, add_import, read_import_of_job
from service.notifications.rules import check_notify
from service.paths import model_directory
from service.requests import clean_name
from service.settings import Settings
from service.store import datasets, jobs
from service.store.database import Transaction
from service.store.datasets import Dataset
from service.store.jobs import Job
from service.uris import shown
from service.warm_start import source_job
from workers.held_out import check_split
from workers.missing import check_features, check_validation
from workers.network import block_rows
from workers.plan import Plan, layer_sizes, make_plan
from workers.resolve import check_limits, classes, resolve
from workers.settled import expected_rows
from workers.spec import DatasetByUri, JobSpec, parse
from workers.start import check_same, check_shapes, read_description
from workers.storage import Storage


class Submission(NamedTuple):
    """A job that may be accepted."""

    requested: dict[str, Any]
    spec: JobSpec
    dataset: Dataset | Import
    """An import is registered with the job."""
    resolved: bool
    notes: list[str]
    warnings: list[str]
    source: Job | None = None
    """The job whose weights it starts from."""
    validation: Dataset | None = None
    """The dataset whose rows validate."""

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The dataset's columns, as far as they are known."""
        return [] if isinstance(self.dataset, Import) else self.dataset.columns or []


def read_submission(
    connection: Transaction,
    settings: Settings,
    project: str,
    body: Any,  # noqa: ANN401
    *,
    file_may_come_later: bool = False,
    is_checked_later: bool = False,
    storage: Storage | None = None,
) -> Submission:
    """The submission in `body`; SpecError or UnprocessableError with the fields that are wrong.

    A schedule is tried before the file of a day is there: `file_may_come_later`. Its own check may hold data with
    missing values: `is_checked_later`. Without `storage` nothing is asked of a bucket: a model that is not here is
    then looked at when the job is prepared.
    """
    spec = _with_clean_names(parse(body))
    check_split(spec)
    check_notify(spec.notify, settings)
    dataset: Dataset | Import
    if isinstance(spec.dataset, DatasetByUri):
        dataset = read_import_of_job(settings, spec.dataset, may_come_later=file_may_come_later)
        body = {**body, "dataset": {**body["dataset"], "uri": shown(dataset.uri)}}  # the rest may be keys
    else:
        dataset = usable_dataset(connection, project, spec.dataset, "dataset")
        spec = spec.model_copy(update={"dataset": dataset.id})
    validation = None
    if spec.validation_dataset is not None:
        validation = usable_dataset(connection, project, spec.validation_dataset, "validation_dataset")
        spec = spec.model_copy(update={"validation_dataset": validation.id})
    source = None
    if spec.warm_start is not None:
        source = source_job(connection, project, spec.warm_start)
        spec = spec.model_copy(update={"warm_start": source.id})
    limits = limits_of(settings)
    if isinstance(dataset, Import) or Sources(dataset, validation).status == "preparing":
        check_limits(spec, limits, n_inputs=1, n_outputs=1)
        return Submission(body, spec, dataset, False, [], [], source, validation)  # noqa: FBT003
    validation_facts = None if validation is None else facts_of(validation)
    resolved, notes, warnings = resolve(spec, facts_of(dataset), limits, validation_facts)
    submission = Submission(body, resolved, dataset, True, notes, warnings, source, validation)  # noqa: FBT003
    _check_start(submission, settings, storage)
    if not is_checked_later:
        _check_missing(resolved, dataset, validation)
    return submission


def accept(connection: Transaction, submission: Submission, project: str, actor: str) -> Job:
    """The job that the submission makes, queued."""
    for field, found in (("dataset", submission.dataset), ("validation_dataset", submission.validation)):
        if isinstance(found, Dataset) and datasets.get(connection, found.id) is None:
            raise no_such_dataset(found.name, field)
    if submission.source is not None and jobs.get(connection, submission.source.id) is None:
        message = f"Job {submission.source.id} was deleted, so there are no weights to start from."
        raise UnprocessableError(message, code="warm_start_not_found", field="warm_start")
    dataset = submission.dataset
    if isinstance(dataset, Import):
        dataset = add_import(connection, dataset, project, actor)
    job = jobs.add(
        connection,
        project=project,
        actor=actor,
        dataset_id=dataset.id,
        requested=submission.requested,
        spec={**submission.spec.model_dump(), "dataset": dataset.id},
        resolved=submission.resolved,
        warnings=submission.warnings,
        block_rows=_block_rows(submission),
    )
    if not submission.resolved:
        reason = {"code": "waiting_for_data", "message": BEING_READ}
        jobs.change(connection, job, status_reason=reason)
    return jobs.required(connection, job.id)


def plan_of(submission: Submission, slots: int) -> Plan:
    """How the job would be spread, as far as that is known before the rows are split."""
    dataset = submission.dataset
    if isinstance(dataset, Import):
        message = (
            f"What is at the URI is not known before it is fetched, and a dry run fetches nothing. Register it, then "
            f"name it: gradsum dataset add {shown(dataset.uri)} --name {dataset.name}"
        )
        raise UnprocessableError(message, code="dataset_not_fetched", field="dataset.uri")
    if not submission.resolved:
        message = f"Dataset '{dataset.name}' is still being read, so there is no plan yet. Try again."
        raise ConflictError(message, code="dataset_not_ready", headers={"Retry-After": "1"})
    spec, rows = submission.spec, dataset.rows or 0
    n_training, n_own = expected_rows(spec.split, rows)
    n_validation = n_own if submission.validation is None else submission.validation.rows or 0
    return make_plan(
        spec,
        n_inputs=_n_inputs(submission),
        n_outputs=_n_outputs(submission),
        n_training=n_training,
        n_validation=n_validation,
        slots=slots,
        notes=[*submission.notes, f"Estimated for about {n_training:,} training rows of {rows:,}."],
    )


def fingerprint(body: object) -> str:
    """The same for bodies that say the same, whatever their blanks and the order of their keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _check_missing(spec: JobSpec, dataset: Dataset, validation: Dataset | None) -> None:
    """Refuse what the building of the matrix would refuse."""
    for check, found in ((check_features, dataset), (check_validation, validation)):
        if found is not None:
            check(spec, {column["name"]: column for column in found.columns or []}, found.rows or 0)


def _check_start(submission: Submission, settings: Settings, storage: Storage | None) -> None:
    """Refuse a start that can't fit; what depends on the training rows is seen when the matrix is there."""
    spec = submission.spec
    inputs = None if _has_categories(submission) else list(spec.features)
    if spec.initial_parameters is not None:
        _, *sizes = layer_sizes(spec, 0, _n_outputs(submission))
        n_inputs = None if inputs is None else len(inputs)
        check_shapes(spec.initial_parameters, [n_inputs, *sizes], bias=spec.network.bias)
    if submission.source is None:
        return
    model = model_directory(settings.storage, submission.source)
    if storage is not None:
        storage.bring(model)
    if storage is not None or model.is_dir() or not settings.has_bucket:
        trained = read_description(model)
        check_same(trained, spec, inputs, spec.targets, classes(spec, _columns(submission)))


def _with_clean_names(spec: JobSpec) -> JobSpec:
    changes: dict[str, Any] = {}
    if spec.name is not None:
        changes["name"] = clean_name(spec.name)
    if spec.tracking.registered_model is not None:
        model = clean_name(spec.tracking.registered_model, "tracking.registered_model")
        changes["tracking"] = spec.tracking.model_copy(update={"registered_model": model})
    return spec.model_copy(update=changes)


def _block_rows(submission: Submission) -> int | None:
    """None where it depends on the rows: categories become inputs by what the training rows hold."""
    if not submission.resolved or _has_categories(submission):
        return None
    sizes = layer_sizes(submission.spec, _n_inputs(submission), _n_outputs(submission))
    return block_rows(sizes, np.dtype(submission.spec.training.dtype))


def _features(submission: Submission) -> list[dict[str, Any]]:
    return [column for column in submission.columns if column["name"] in submission.spec.features]


def _n_inputs(submission: Submission) -> int:
    """One a number; one a category, and one for those that are unknown."""
    most = submission.spec.preprocessing.max_categories
    return sum(
        1 if column["type"] == "number" else min(len(column["categories"] or []), most) + 1
        for column in _features(submission)
    )


def _n_outputs(submission: Submission) -> int:
    return len(classes(submission.spec, _columns(submission)) or submission.spec.targets)


def _columns(submission: Submission) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in submission.columns}


def _has_categories(submission: Submission) -> bool:
    return any(column["type"] == "category" for column in _features(submission))
