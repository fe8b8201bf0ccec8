"""What pydantic found wrong, as one sentence a field: the path, what it must be, and what came instead."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from workers.counting import counted
from workers.errors import FieldError

LONGEST_VALUE = 40

EXPECTATIONS = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "none_required": "null",
    "string_too_long": "at most {characters} long",
    "string_too_short": "at least {characters} long",
    "string_type": "text",
    "string_unicode": "text in valid Unicode",
    "too_long": "a list of at most {elements}",
    "too_short": "a list of at least {elements}",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "an object with a 'name'",
    "value_error": "{error}",  # a validator of ours says what is expected
}
SHORT_NAMES = {
    "lr": "learning_rate",
    "eta": "learning_rate",
    "bs": "batch_size",
    "wd": "l2",
    "weight_decay": "l2",
    "max_iter": "epochs",
    "iterations": "epochs",
    "y": "target",
}
"""What other programs call a field, where its own name is too different to be found."""
RANGE = {"finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal"}
"""Errors of a value whose type is right: they say more than those of the other branches of a union."""


def field_errors(error: ValidationError, model: type[BaseModel]) -> tuple[FieldError, ...]:
    """One error a field, in the order of the fields."""
    fields = list(_fields(model))
    names = frozenset(name for name, _ in fields)
    mappings = frozenset(name for name, annotation in fields if get_origin(annotation) is dict)
    by_field: dict[str, list[dict[str, Any]]] = {}
    for found in error.errors(include_url=False):
        by_field.setdefault(_path(found, names, mappings) or "body", []).append(dict(found))
    return tuple(
        FieldError(field, _message(field, found, names))
        for field, found in by_field.items()
        if not any(other.startswith((f"{field}.", f"{field}[")) for other in by_field)
    )


def _message(field: str, errors: list[dict[str, Any]], names: frozenset[str]) -> str:
    kinds = {error["type"] for error in errors}
    if "missing" in kinds:
        return "is required"
    if "extra_forbidden" in kinds:
        name = field.rpartition(".")[2]  # which may be one elsewhere, but not here
        nearest = difflib.get_close_matches(name, names - {name}, n=1) or names & {SHORT_NAMES.get(name.lower(), "")}
        return "is not a known field" + (f" (did you mean '{next(iter(nearest))}'?)" if nearest else "")
    if "string_pattern_mismatch" in kinds:
        return _forbidden(next(error for error in errors if error["type"] == "string_pattern_mismatch"))
    value = errors[0]["input"]
    in_range = [error for error in errors if error["type"] in RANGE]
    expected = " or ".join(dict.fromkeys(_expectation(error) for error in in_range or errors))
    return f"must be {expected}, not {shown(value)}"


def _forbidden(error: dict[str, Any]) -> str:
    """What a name can't have in it: our patterns are `^[^…]+$`, with the control characters last."""
    letters = error["ctx"]["pattern"].removeprefix("^[^").removesuffix(r"\x00-\x1f\x7f]+$")
    listed = f"{' '.join(letters)} or " if letters else ""
    return f"can't have {listed}control characters in it, as {shown(error['input'])} has"


def _expectation(error: dict[str, Any]) -> str:
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in error.get("ctx", {}).items()}
    length = int(bounds.get("min_length", bounds.get("max_length", 0)))
    lengths = {"characters": counted(length, "character"), "elements": counted(length, "element")}
    return str(EXPECTATIONS.get(error["type"], error["msg"])).format(**bounds, **lengths)


def shown(value: object) -> str:
    """A value as a message quotes it: as JSON, and not too long."""
    text = json.dumps(value, default=str, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _path(error: dict[str, Any] | Any, names: frozenset[str], mappings: frozenset[str]) -> str:  # noqa: ANN401 - pydantic's own dictionary
    """The path of fields, indices and keys of mappings, without the names of a union's branches."""
    location = error["loc"] or ("",)
    kept = []
    for place, part in enumerate(location):
        is_last = place == len(location) - 1
        is_field = part in names or (is_last and error["type"] in {"extra_forbidden", "missing"})
        if isinstance(part, int) or is_field or (place and _is_key(location, place, mappings)):
            kept.append(part)
    path = ""
    for part in kept:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _is_key(location: tuple[int | str, ...], place: int, mappings: frozenset[str]) -> bool:
    """Whether this part is a key of a mapping, whose value is wrong: where the key is, pydantic says so behind it."""
    before = str(location[place - 1])
    return (before in mappings or before.startswith("dict[")) and location[-1] != "[key]"


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """The name and the type of each field, and of those in it."""
    for name, field in model.model_fields.items():
        yield name, field.annotation
        for inner in _models_in(field.annotation):
            yield from _fields(inner)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type at all
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
