"""Which job a warm start names."""

import re
import unicodedata

from service.errors import UnprocessableError
from service.store import jobs, models
from service.store.database import Transaction
from service.store.jobs import Job
from workers.errors import FieldError

MODEL = re.compile(r"(?P<name>.+)(?:@(?P<alias>champion)|/(?P<version>[0-9]{1,9}))", re.DOTALL)
FORMS = "a job's id, a model's champion such as digits@champion, or its version such as digits/3"


def source_job(connection: Transaction, project: str, reference: str) -> Job:
    """The job whose weights `reference` names; UnprocessableError where there is none, or it has no weights."""
    job = jobs.get(connection, _job_id(connection, project, reference))
    if job is None or job.project != project:
        raise _refusal(f"There is no job '{reference}'. Name {FORMS}.")
    if not job.has_weights:
        raise _refusal(f"Job {job.id} is {job.status}, so there are no weights to start from.")
    return job


def _job_id(connection: Transaction, project: str, reference: str) -> str:
    named = MODEL.fullmatch(unicodedata.normalize("NFC", reference.strip()))
    if named is None and reference.startswith("job_"):
        return reference
    if named is None:
        only_scheduled = reference in {"champion", "last_success"}
        hint = "That is for schedules; here, name" if only_scheduled else "Name"
        raise _refusal(f"'{reference}' can't be started from. {hint} {FORMS}.")
    version = int(named["version"]) if named["version"] else models.champion_version(connection, project, named["name"])
    found = None if version is None else models.get(connection, project, named["name"], version)
    if found is None:
        raise _refusal(f"There is no model '{reference}'. gradsum model list shows those that there are.")
    return found.job_id


def _refusal(message: str) -> UnprocessableError:
    return UnprocessableError(message, code="warm_start_not_found", errors=[FieldError("warm_start", message)])
