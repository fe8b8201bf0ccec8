"""docs/TRAINING.md documents every option of the spec, and its fragments are job files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from service.commands.job_files import read_body
from workers.activations import ACTIVATIONS
from workers.losses import LOSSES
from workers.presets import AUTO, TEXTBOOK
from workers.spec import EarlyStopping, JobSpec, NetworkOptions, Options, PreprocessingOptions, Split, TrainingOptions

PAGE = (Path(__file__).parent.parent.parent / "docs" / "TRAINING.md").read_text(encoding="utf-8")
MENTIONED = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"\w+", code)}
FRAGMENTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
VARIANTS = [
    options
    for options in Options.__subclasses__()
    if "name" in options.model_fields and get_origin(options.model_fields["name"].annotation) is Literal
]
"""Optimizers and schedules: what is told apart by its name."""

ELSEWHERE = {"name", "dataset", "preset", "checkpoint", "tracking", "tags"}
"""Fields of a job that are no options of training, or have a section of another name."""


def literals(annotation: object) -> Iterator[str]:
    """Every text that a type names as a value."""
    for argument in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield from [argument] if isinstance(argument, str) else []
        else:
            yield from literals(argument)


@pytest.mark.parametrize(
    "options", [NetworkOptions, TrainingOptions, EarlyStopping, Split, PreprocessingOptions, *VARIANTS]
)
def test_every_option_and_each_of_its_names_is_documented(options: type[Options]) -> None:
    names = set(options.model_fields)
    for field in options.model_fields.values():
        names |= set(literals(field.annotation))
    assert names <= MENTIONED


def test_every_activation_and_loss_is_documented() -> None:
    assert len(VARIANTS) >= 8
    assert {*ACTIVATIONS, *(loss for loss, _ in LOSSES)} <= MENTIONED


@pytest.mark.parametrize("name", sorted({*JobSpec.model_fields} - ELSEWHERE))
def test_the_options_beside_them_have_a_text(name: str) -> None:
    assert re.search(rf"^(#+ .*`{name}[`.]|\*\*`{name}`|`{name}` is |\| `{name}` \|)", PAGE, re.MULTILINE)


def test_the_table_of_presets_is_that_of_the_code() -> None:
    heading = re.search(r"^\| option \| `auto`: (.*) \|$", PAGE, re.MULTILINE)
    assert heading
    assert heading[1].split(" | ") == [*AUTO, "`textbook`"]
    for column, preset in enumerate((*AUTO.values(), TEXTBOOK)):
        for group, values in preset.items():
            for option, value in values.items():
                found = re.search(rf"^\| `{group}\.{option}` \| (.*) \|$", PAGE, re.MULTILINE)
                assert found, f"{group}.{option}"
                assert found[1].split(" | ")[column] == written(value), f"{group}.{option}"


def written(value: Any) -> str:
    named = value["name"] if isinstance(value, dict) and set(value) == {"name"} else value
    return named if isinstance(named, str) else json.dumps(named)


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_fragment_is_part_of_a_job_file(fragment: str, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("dataset: people\n" + ("" if "target:" in fragment else "target: species\n") + fragment)
    JobSpec.model_validate(read_body(str(file)))


def test_every_link_leads_to_a_heading() -> None:
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in PAGE.splitlines()}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
