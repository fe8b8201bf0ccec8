"""What is wrong with the parameters of a request: a sentence each, which says what they may be."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic.fields import FieldInfo

from service.errors import UnprocessableError
from workers.errors import FieldError
from workers.field_errors import shown


def query_parameters(dependant: Dependant) -> Iterator[tuple[str, FieldInfo]]:
    """The name of each parameter in the query that a route takes, and what it may be."""
    yield from ((field.alias, field.field_info) for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from query_parameters(inner)


def wrong_parameters(error: RequestValidationError, dependant: Dependant) -> UnprocessableError:
    """The refusal that names each parameter, or field of a form, that is wrong."""
    known = dict(query_parameters(dependant))
    errors = [FieldError(_place(found), _sentence(found, known)) for found in error.errors()]
    return UnprocessableError("; ".join(" ".join(each) for each in errors) + ".", errors=errors)


def _place(found: Mapping[str, Any]) -> str:
    """`limit` for a parameter, `file` for a form's field."""
    return ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])


def _sentence(found: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> str:
    if found["type"] == "missing":
        return "is required"
    place, name = found["loc"][0], found["loc"][-1]
    if place == "query" and name in known:
        return f"must be {_expected(known[name])}, not {shown(found['input'])}"
    return str(found["msg"]).replace("Input should be", "must be").replace("Value should", "must")


def _expected(info: FieldInfo) -> str:
    """`a whole number from 1 to 1000`."""
    kinds = [kind for kind in get_args(info.annotation) or [info.annotation] if kind is not type(None)]
    kind = info.annotation if get_origin(info.annotation) is Literal else kinds[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f"'{choice}'" for choice in get_args(kind))
    if kind is bool:
        return "true or false"
    bounds: dict[type, Any] = {type(bound): bound for bound in info.metadata}
    if kind is int:
        return f"a whole number from {bounds[Ge].ge} to {bounds[Le].le}"
    return f"at most {bounds[MaxLen].max_length} characters long"
