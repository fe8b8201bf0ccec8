"""The spec refuses what it can't mean, field by field."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from service.schedule_schemas import Check
from workers.errors import SpecError
from workers.field_errors import field_errors
from workers.spec import JobSpec, parse

SMALLEST = {"dataset": "digits", "target": "digit"}


def errors_of(body: object) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        parse(body)
    return {error.field: error.message for error in caught.value.errors}


def test_dataset_and_target_are_all_that_is_required() -> None:
    assert parse(SMALLEST) == JobSpec(**SMALLEST)
    assert errors_of({}) == {"dataset": "is required", "target": "is required"}


def test_a_misspelt_field_is_told_its_nearest_name() -> None:
    assert errors_of({**SMALLEST, "trainning": {}})["trainning"] == "is not a known field (did you mean 'training'?)"
    assert "did you mean 'learning_rate'" in errors_of({**SMALLEST, "training": {"lr": 0.1}})["training.lr"]
    assert "did you mean 'epochs'" in errors_of({**SMALLEST, "training": {"epoch": 3}})["training.epoch"]


@pytest.mark.parametrize(
    ("group", "field", "value", "message"),
    [
        ("training", "learning_rate", math.nan, "must be a finite number, not NaN"),
        ("training", "learning_rate", math.inf, "must be a finite number, not Infinity"),
        ("training", "learning_rate", 0, "must be greater than 0, not 0"),
        ("training", "learning_rate", None, "must be a number or 'auto', not null"),
        ("training", "epochs", 2.5, "must be a whole number or 'auto', not 2.5"),
        ("training", "epochs", True, "must be a whole number or 'auto', not true"),
        ("training", "epochs", "5", "must be a whole number or 'auto', not \"5\""),
        ("training", "batch_size", 0, "must be at least 1, not 0"),
        ("training", "loss", "hinge", "must be 'auto', 'squared_error' or 'cross_entropy', not \"hinge\""),
        ("network", "hidden_layers", "many", "must be a list or 'auto', not \"many\""),
        ("split", "validation", 1, "must be less than 1, not 1"),
    ],
)
def test_a_wrong_value_is_told_what_is_expected(group: str, field: str, value: Any, message: str) -> None:
    assert errors_of({**SMALLEST, group: {field: value}}) == {f"{group}.{field}": message}


def test_a_layer_of_size_zero_is_named_by_its_place() -> None:
    errors = errors_of({**SMALLEST, "network": {"hidden_layers": [30, 0]}})
    assert errors == {"network.hidden_layers[1]": "must be at least 1, not 0"}


def test_an_optimizer_may_be_a_name_or_an_object() -> None:
    by_name = parse({**SMALLEST, "training": {"optimizer": "adam"}})
    assert by_name == parse({**SMALLEST, "training": {"optimizer": {"name": "adam"}}})
    errors = errors_of({**SMALLEST, "training": {"optimizer": {"name": "momentum", "beta": 1.5}}})
    assert errors == {"training.optimizer.beta": "must be less than 1, not 1.5"}


def test_every_wrong_field_is_told_at_once() -> None:
    errors = errors_of({**SMALLEST, "training": {"epochs": 0, "seed": -1}, "priority": "high"})
    assert set(errors) == {"training.epochs", "training.seed", "priority"}


def test_an_option_that_is_not_there_yet_is_refused_and_not_ignored() -> None:
    errors = errors_of({**SMALLEST, "checkpoint": {"keep": 5, "every_epochs": 10}})
    assert set(errors) == {"checkpoint.keep", "checkpoint.every_epochs"}
    assert parse({**SMALLEST, "checkpoint": {"keep": 3, "every_epochs": None}}).checkpoint.every_epochs is None


def test_a_spec_survives_json() -> None:
    spec = parse({**SMALLEST, "training": {"optimizer": "momentum"}, "network": {"hidden_layers": [3]}})
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert JobSpec.model_validate(spec.model_dump()) == spec


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"tags": {"a": {"b": 1}}}, {"tags.a": 'must be text, not {"b": 1}'}),
        ({"tags": {"team": "x", "name": 3}}, {"tags.name": "must be text, not 3"}),
        ({"class_weight": {"fraud": -1.0}}, {"class_weight.fraud": "must be at least 0, not -1.0"}),
        ({"class_weight": "even"}, {"class_weight": "must be 'balanced' or an object, not \"even\""}),
        ({"tags": {"a\n": "x"}}, {"tags": 'can\'t have control characters in it, as "a\\n" has'}),
        (
            {"tracking": {"registered_model": "a/b"}},
            {"tracking.registered_model": 'can\'t have @ / : . or control characters in it, as "a/b" has'},
        ),
    ],
)
def test_what_is_wrong_is_named_down_to_the_key_and_the_characters(changes: Any, errors: dict[str, str]) -> None:
    assert errors_of({**SMALLEST, **changes}) == errors


def test_the_words_of_a_validator_of_ours_are_a_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        Check.model_validate({"rows_vs_last": [2.0, 0.5]})
    assert field_errors(caught.value, Check) == (
        ("rows_vs_last", "must be two numbers, the smaller one first, not [2.0, 0.5]"),
    )
