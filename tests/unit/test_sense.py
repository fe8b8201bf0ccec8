"""Options that contradict each other are refused with their field and a way out; those that don't are accepted."""

from typing import Any

import pytest

from workers.errors import SpecError
from workers.resolve import DatasetFacts, Limits, resolve
from workers.sense import check_sense
from workers.spec import JobSpec, parse

Request = dict[str, Any]


def column(name: str, kind: str = "number", **changes: Any) -> dict[str, Any]:
    plain = {
        "name": name, "type": kind, "min": 0.0, "max": 9.0, "nulls": 0,
        "categories": None, "distinct_values": None, "whole": False,
    }  # fmt: skip
    return {**plain, **changes}


COLUMNS = [
    column("length"),
    column("digit", distinct_values=[0.0, 1.0, 2.0], whole=True),
    column("sex", "category", categories=["F", "M"], min=None, max=None),
    column("sales"),
    column("debt", min=-3.0),
    column("gaps", nulls=4),
    column("zero", max=0.0),
]
DATASET = DatasetFacts("ds_1", "shells", 100, COLUMNS)
LIMITS = Limits(parameters=10_000, epochs=1_000, shards=64, workers=8)


def resolved(request: Request) -> JobSpec:
    return resolve(parse({"dataset": "shells", "target": "digit", **request}), DATASET, LIMITS).spec


def training(**options: Any) -> Request:
    return {"training": options}


RPROP, LBFGS, REGRESSION = {"optimizer": "rprop"}, {"optimizer": "lbfgs"}, {"target": "length"}
NO_VALIDATION = {"split": {"validation": 0.0}}

CONTRADICTIONS: list[tuple[Request, str, str]] = [
    ({**REGRESSION, **training(loss="cross_entropy")}, "training.loss", "Use squared_error"),
    (
        {"network": {"output_activation": "tanh"}, **training(loss="cross_entropy")},
        "network.output_activation",
        "Use squared_error",
    ),
    ({"target": ["sex", "digit"], "task": "classification"}, "target", "Name one target"),
    ({**REGRESSION, "network": {"output_activation": "softmax"}}, "network.output_activation", "Use identity"),
    (training(**RPROP, batch_size=8), "training.batch_size", "use adam"),
    (training(**LBFGS, batch_size=8), "training.batch_size", "use adam"),
    (training(**RPROP, learning_rate_schedule="cosine"), "training.learning_rate_schedule", "use adam"),
    (training(**LBFGS, learning_rate_schedule={"name": "step"}), "training.learning_rate_schedule", "use adam"),
    (
        training(**LBFGS, learning_rate_schedule={"name": "constant", "warmup_epochs": 2}),
        "training.learning_rate_schedule",
        "use adam",
    ),
    (training(**LBFGS, clip_gradient_norm=1.0), "training.clip_gradient_norm", "use adam"),
    ({"network": {"dropout": 0.1}, **training(**LBFGS)}, "network.dropout", "use adam"),
    ({**NO_VALIDATION, **training(early_stopping={})}, "training.early_stopping", "Set split.validation above 0"),
    (
        training(epochs=5, learning_rate_schedule={"name": "cosine", "warmup_epochs": 5}),
        "training.learning_rate_schedule.warmup_epochs",
        "must end before the last of 5",
    ),
    ({"initial_parameters": {"weights": [[[1.0]]]}, "warm_start": "job_1"}, "warm_start", "not both"),
    ({"network": {"hidden_layers": [], "dropout": 0.1}}, "network.dropout", "use training.l2"),
    ({"ignore": ["debt", "digit"]}, "ignore[1]", "is the target, so it can't be ignored"),
    ({"ignore": ["debt"], "features": ["length", "debt"]}, "ignore[0]", "is a feature, so it can't be ignored"),
    ({"network": {"initialization": ["he"]}}, "network.initialization", "names 1 layer; the network has 2"),
    ({"split": {"by": "group"}}, "split.column", "name the column"),
    ({"split": {"by": "time"}}, "split.column", "name the column"),
    ({"split": {"by": "row", "column": "sales"}}, "split.column", "Leave it out"),
    ({"split": {"by": "group", "column": "digit"}}, "split.column", "is the target"),
    ({"split": {"by": "group", "column": "nothing"}}, "split.column", "no column 'nothing'"),
    ({"split": {"by": "time", "column": "gaps"}}, "split.column", "has 4 missing values"),
    ({"split": {"by": "row", "salt": "x"}}, "split.salt", "no effect"),
    ({"split": {"by": "group", "column": "sex", "stratify": True}}, "split.stratify", "split.by hash only"),
    ({**REGRESSION, "split": {"stratify": True}}, "split.stratify", "needs classes"),
    ({"split": {"validation": 0.5, "test": 0.5}}, "split.validation", "leave no row"),
    ({"validation_dataset": "v", "split": {"validation": 0.1}}, "split.validation", "must be 0 or left out"),
    ({**REGRESSION, "class_weight": "balanced"}, "class_weight", "Use weight_column"),
    ({**REGRESSION, "class_weight": {"1": 2.0}}, "class_weight", "Use weight_column"),
    ({"target": "sex", "class_weight": {"Female": 2.0}}, "class_weight", "Its classes are F, M"),
    ({"class_weight": {"0": 0.0, "1": 0.0, "2": 0.0}}, "class_weight", "every class the weight 0"),
    ({"class_weight": {"1.0": 2.0}}, "class_weight", "Its classes are 0, 1, 2"),
    ({"weight_column": "digit"}, "weight_column", "is the target"),
    ({"weight_column": "sex"}, "weight_column", "holds no numbers"),
    ({"weight_column": "gaps"}, "weight_column", "has 4 missing values"),
    ({"weight_column": "debt"}, "weight_column", "values below 0 (down to -3)"),
    ({"weight_column": "zero"}, "weight_column", "is 0 in every row"),
    ({"weight_column": "nothing"}, "weight_column", "no column 'nothing'"),
    ({"weight_column": "sales", "features": ["length", "sales"]}, "features[1]", "is the weight column"),
]


@pytest.mark.parametrize(("request_", "field", "way_out"), CONTRADICTIONS)
def test_what_makes_no_sense_together_is_refused_with_its_field_and_the_way_out(
    request_: Request, field: str, way_out: str
) -> None:
    with pytest.raises(SpecError) as caught:
        resolved(request_)
    assert [error.field for error in caught.value.errors] == [field]
    assert way_out in caught.value.message


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"preset": "textbook"},
        {"preset": "textbook", **training(loss="cross_entropy")},
        {"preset": "textbook", **REGRESSION},
        {"preset": "textbook", "network": {"output_activation": "softmax"}},
        {"network": {"output_activation": "sigmoid"}},
        {"target": ["length", "sales"], "network": {"output_activation": "softmax"}},
        {"target": ["length"]},
        {"network": {"hidden_layers": []}},
        {"network": {"hidden_layers": [3, 2], "initialization": ["he", "zeros", "glorot"]}},
        {"network": {"dropout": 0.5}, **training(**RPROP, clip_gradient_norm=1.0)},
        training(**LBFGS, l1=0.1, l2=0.1, target_loss=0.1, max_runtime_seconds=5.0, early_stopping={}),
        training(batch_size=8, learning_rate_schedule={"name": "step", "warmup_epochs": 3}, clip_gradient_norm=1.0),
        training(early_stopping={"patience": 1}, validate_every_epochs=7),
        {**NO_VALIDATION, **training(early_stopping=None, target_loss=0.0)},
        {"class_weight": "balanced", "weight_column": "sales"},
        {"class_weight": {"1": 20.0}},
        {"target": "sex", "class_weight": {"M": 0.0}},
    ],
)
def test_what_makes_sense_is_accepted(request_: Request) -> None:
    check_sense(resolved(request_))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"network": {"initialization": "zeros"}}, "start at zero"),
        ({"network": {"initialization": ["zeros", "glorot"]}}, "start at zero"),
        ({"network": {"initialization": ["glorot", "zeros"]}}, None),
        ({"network": {"hidden_layers": [], "initialization": "zeros"}}, None),
        (training(**LBFGS, l1=0.1), "kinks"),
        (training(l1=0.1), None),
    ],
)
def test_what_is_rarely_meant_is_warned_about(request_: Request, words: str | None) -> None:
    warnings = resolve(parse({"dataset": "shells", "target": "digit", **request_}), DATASET, LIMITS).warnings
    assert [words in warning for warning in warnings if words] == [True] * len(warnings)
    assert bool(warnings) == bool(words)


def test_every_contradiction_is_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        resolved({"network": {"dropout": 0.2}, **NO_VALIDATION, **training(**LBFGS, batch_size=8, early_stopping={})})
    fields = {error.field for error in caught.value.errors}
    assert fields == {"training.batch_size", "network.dropout", "training.early_stopping"}
