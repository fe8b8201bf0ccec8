"""Strict JSON: what a body must be before anything looks at what it means. Nothing here knows a field by name."""

import json
import math
import re
import unicodedata
from collections import Counter
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import BadRequestError, UnprocessableError
from workers.errors import FieldError
from workers.field_errors import field_errors

DEEPEST = 64
LONGEST_INTEGER = 300  # digits; what still fits a float64
LONG_INTEGER = re.compile(rb"[0-9]{%d}" % (LONGEST_INTEGER + 1))
MOST_ERRORS = 20
LONGEST_NAME = 200
PREFIXES_OF_IDS = ("job_", "ds_", "sch_")

Body = TypeVar("Body", bound=BaseModel)
Path = tuple[Any, str | int] | None
"""The place of a value: its parent's place and its key, so that a path costs nothing until it is needed."""


def parse_json(raw: bytes) -> object:
    """The value in `raw`.

    BadRequestError: not JSON in UTF-8 (says where), a key twice, deeper than 64 levels, an integer of over 300 digits.
    UnprocessableError: a number that is not finite (NaN, Infinity, 1e999), a lone surrogate or NUL in a text.
    """
    try:
        parse_int = _integer if LONG_INTEGER.search(raw) else None
        value = json.loads(raw.decode(), object_pairs_hook=_object, parse_int=parse_int)
    except UnicodeDecodeError as error:
        message = f"The body is not valid JSON: it is not UTF-8 at byte {error.start}."
        raise BadRequestError(message, code="invalid_json") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise BadRequestError(f"The body is not valid JSON: {error.msg} at {where}.", code="invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    _check_values(value)
    return value


def read(model: type[Body], body: object) -> Body:
    """The request in `body`; UnprocessableError with every field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        errors = field_errors(error, model)
        raise UnprocessableError("; ".join(" ".join(found) for found in errors) + ".", errors=errors) from None


def clean_name(name: str, field: str = "name") -> str:
    """The name as it is kept: without blanks around it, in NFC; UnprocessableError where it can't be a name."""
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(cleaned) <= LONGEST_NAME:
        raise _wrong_name(field, f"must have 1 to {LONGEST_NAME} characters, not {len(cleaned)}", "invalid_name")
    strange = next((letter for letter in cleaned if unicodedata.category(letter) in {"Cc", "Cs"}), None)
    strange = strange or next((letter for letter in cleaned if _changes_direction(letter)), None)
    if strange is not None:
        raise _wrong_name(field, f"has a character that a name can't have: U+{ord(strange):04X}", "invalid_characters")
    return cleaned


def clean_dataset_name(name: str, field: str = "name") -> str:
    """The same for a dataset's name, which must not look like an id, a path or a version."""
    cleaned = clean_name(name, field)
    if "@" in cleaned or "/" in cleaned:
        raise _wrong_name(field, "must not have @ or / in it", "invalid_name")
    if cleaned.startswith(PREFIXES_OF_IDS):
        raise _wrong_name(field, f"must not begin like an id ({', '.join(PREFIXES_OF_IDS)})", "invalid_name")
    return cleaned


def _changes_direction(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _wrong_name(field: str, message: str, code: str) -> UnprocessableError:
    return UnprocessableError(f"{field} {message}.", code=code, errors=[FieldError(field, message)])


def _too_deep() -> BadRequestError:
    return BadRequestError(f"The body is nested too deep; the limit is {DEEPEST} levels.", code="too_deep")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadRequestError(f"The key '{twice}' stands more than once in one object.", code="duplicate_key")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        message = f"An integer of {len(digits)} digits is too long; the limit is {LONGEST_INTEGER}."
        raise BadRequestError(message, code="invalid_number")
    return int(digits)


def _check_values(body: object) -> None:
    infinite: list[FieldError] = []
    unprintable: list[FieldError] = []
    waiting: list[tuple[Any, Path, int]] = [([body], None, 0)]
    while waiting and len(infinite) + len(unprintable) < MOST_ERRORS:
        container, path, depth = waiting.pop()
        if depth > DEEPEST:
            raise _too_deep()
        inner = []
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(key, str) and not _is_text(key):
                unprintable.append(FieldError(_spelled(path), "has a key with NUL or half a character"))
            if isinstance(value, dict | list):
                inner.append((value, (path, key), depth + 1))
            elif isinstance(value, float) and not math.isfinite(value):
                infinite.append(FieldError(_spelled((path, key)), "must be a finite number"))
            elif isinstance(value, str) and not _is_text(value):
                unprintable.append(FieldError(_spelled((path, key)), "has NUL or half a character in it"))
        waiting.extend(reversed(inner))
    errors = infinite or unprintable
    if errors:
        detail = "; ".join(" ".join(found) for found in errors) + "."
        raise UnprocessableError(detail, code="nonfinite_number" if infinite else "invalid_characters", errors=errors)


def _is_text(text: str) -> bool:
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _spelled(path: Path) -> str:
    """`training.hidden_layers[0]`, or `body` for the whole."""
    parts: list[str] = []
    while path is not None:
        path, key = path
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    parts.pop()  # the list of one that holds the body
    return "".join(reversed(parts)).removeprefix(".") or "body"
