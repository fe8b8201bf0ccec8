"""What is wrong with the parameters of a request: a sentence each, which says what they may be."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic.fields import FieldInfo

from service.errors import UnprocessableError
from workers.counting import counted
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
    name = _place(found)
    if found["loc"][0] == "query" and name in known:
        return f"must be {expected(known[name])}, not {shown(found['input'])}"
    return str(found["msg"]).replace("Input should be", "must be").replace("Value should", "must")


def hint(name: str, known: Collection[str]) -> str:
    """Which of the known names may have been meant; empty where none is near."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def expected(info: FieldInfo) -> str:
    """What a parameter may be: `a whole number from 1 to 1000`."""
    kind: Any = info.annotation
    if get_origin(kind) is not Literal and get_args(kind):  # it may be left out: null is no choice
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f"'{choice}'" for choice in get_args(kind))
    if kind is bool:
        return "true or false"
    bounds: dict[str, Any] = {}
    for bound in info.metadata:
        bounds |= {name: getattr(bound, name) for name in ("ge", "le", "max_length") if hasattr(bound, name)}
    if kind is int:
        return "a whole number" + _range(bounds.get("ge"), bounds.get("le"))
    return f"at most {counted(bounds['max_length'], 'character')} long" if "max_length" in bounds else "text"


def _range(lowest: int | None, highest: int | None) -> str:
    if lowest is not None and highest is not None:
        return f" from {lowest} to {highest}"
    if lowest is not None:
        return f" of at least {lowest}"
    return "" if highest is None else f" of at most {highest}"
