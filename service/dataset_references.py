"""Which dataset a request means by an id, a name (its newest version) or `name@3`."""

import re

from service.errors import Problem, UnprocessableError
from service.requests import clean_dataset_name
from service.store import datasets
from service.store.database import Transaction
from service.store.datasets import Dataset
from workers.errors import FieldError

REFERENCE = re.compile(r"(?P<name>[^@]+)(?:@(?P<version>[0-9]{1,9}))?", re.DOTALL)
SCHEMES = {"http", "https", "s3", "file"}


def usable_dataset(connection: Transaction, project: str, reference: str, field: str) -> Dataset:
    """The dataset that `field` names; UnprocessableError `dataset_not_found`, or `dataset_failed` where it failed."""
    if reference.startswith("ds_"):
        found = datasets.get(connection, reference)
    else:
        match = REFERENCE.fullmatch(reference)
        version = int(match["version"]) if match and match["version"] else None
        found = datasets.find(connection, project, match["name"], version) if match else None
    if found is None or found.project != project:
        raise no_such_dataset(reference, field)
    if found.status == "failed":
        reason = (found.error or {}).get("message", "its file could not be read.")
        message = f"Dataset '{found.name}@{found.version}' can't be used: {reason} {_way_out(connection, found)}"
        raise UnprocessableError(message, code="dataset_failed", field=field)
    return found


def no_such_dataset(reference: str, field: str) -> UnprocessableError:
    """The refusal of a reference to nothing; an address is not repeated: it may hold keys."""
    scheme, separator, _ = reference.partition("://")
    if separator and scheme.lower() in SCHEMES and field == "dataset":
        message = f'A dataset by its address is an object. Write dataset: {{"uri": "{scheme}://…"}}'
    elif separator and scheme.lower() in SCHEMES:
        message = f"{field} is the name of a dataset, not an address. Add it first: gradsum dataset add {scheme}://…"
    else:
        name = _name_for(reference)
        message = f"There is no dataset '{reference}'. Upload it: gradsum dataset add FILE --name {name}"
    return UnprocessableError(message, code="dataset_not_found", errors=[FieldError(field, message)])


def _name_for(reference: str) -> str:
    """The name that a dataset would have to be meant by `reference`, unless none can have it."""
    try:
        return clean_dataset_name(reference.partition("@")[0])
    except Problem:
        return "NAME"


def _way_out(connection: Transaction, failed: Dataset) -> str:
    itself = f"{failed.name}@{failed.version}"
    ready = datasets.newest_ready(connection, failed.project, failed.name)
    if ready is None:
        return f"Mend it and add it again: gradsum dataset add FILE --name {failed.name}"
    newest = f"{ready.name}@{ready.version}"
    return f"Name '{newest}', which can be used, or remove the one that can't: gradsum dataset rm {itself}"
