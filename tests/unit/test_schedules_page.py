"""docs/SCHEDULES.md has every field of a schedule, with its values and its default as in the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from service.schedule_schemas import Check, Drift, Promotion, ScheduleRequest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "SCHEDULES.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (.* \| .*) \|$", PAGE.split("## When it is due")[0], re.MULTILINE))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, list[str]]]:
    """Of each field its name, its default as the page writes it, and the texts that it may be."""
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else field.get_default(call_default_factory=True)
        written = default if isinstance(default, str) else json.dumps(default)
        yield prefix + name, written, list(literals(field.annotation))


def literals(annotation: object) -> Iterator[str]:
    for argument in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield argument
        else:
            yield from literals(argument)


FIELDS = [
    *fields(ScheduleRequest), *fields(Drift, "drift."), *fields(Check, "check."), *fields(Promotion, "promotion.")
]  # fmt: skip


@pytest.mark.parametrize(("name", "default", "texts"), FIELDS, ids=str)
def test_the_table_has_the_values_and_the_default_of_each_field(name: str, default: str, texts: list[str]) -> None:
    values, _, documented = ROWS[name].rpartition(" | ")
    assert documented == default
    assert all(f"`{text}`" in values for text in texts)


def test_the_table_has_no_other_fields() -> None:
    assert set(ROWS) == {name for name, _, _ in FIELDS}
