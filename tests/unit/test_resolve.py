"""Every `auto` gets a value from the preset, the task and the dataset; what does not fit is refused."""

from typing import Any

import pytest

from workers.errors import SpecError
from workers.resolve import DatasetFacts, Limits, Resolution, classes, resolve
from workers.spec import parse

LIMITS = Limits(parameters=10_000, epochs=1_000, shards=64, workers=8)


def number(name: str, values: list[float] | None, *, whole: bool = True) -> dict[str, Any]:
    low, high = (min(values), max(values)) if values else (0.0, 1e6)
    return {
        "name": name, "type": "number", "min": low, "max": high, "nulls": 0,
        "categories": None, "distinct_values": values, "whole": whole,
    }  # fmt: skip


def text(name: str, kind: str, categories: list[str] | None) -> dict[str, Any]:
    return {
        "name": name, "type": kind, "min": None, "max": None, "nulls": 0,
        "categories": categories, "distinct_values": None, "whole": False,
    }  # fmt: skip


DATASET = DatasetFacts(
    "ds_1",
    "shells",
    100,
    [
        number("length", None, whole=False),
        number("rings", [float(value) for value in range(1, 30)]),
        number("digit", [float(value) for value in range(10)]),
        text("sex", "category", ["F", "M"]),
        text("note", "text", None),
    ],
)


def resolved(**request: Any) -> Resolution:
    return resolve(parse({"dataset": "shells", "target": "digit", **request}), DATASET, LIMITS)


def test_nothing_is_auto_but_shards_and_workers_once_a_spec_is_resolved() -> None:
    dumped = resolved().spec.model_dump(exclude={"resources": True, "preset": True, "checkpoint": True})
    assert "'auto'" not in repr(dumped)


@pytest.mark.parametrize(
    ("target", "task"),
    [("digit", "classification"), ("rings", "regression"), ("length", "regression"), ("sex", "classification")],
)
def test_the_task_follows_from_the_target_and_the_rule_is_told(target: str, task: str) -> None:
    resolution = resolved(target=target)
    assert resolution.spec.task == task
    assert resolution.notes[0].startswith(f"The task is {task}")


def test_several_targets_are_a_regression() -> None:
    resolution = resolved(target=["length", "rings"])
    assert resolution.spec.task == "regression"
    assert resolution.spec.features == ["digit", "sex"]


def test_textbook_is_the_method_of_the_source() -> None:
    spec = resolved(preset="textbook").spec
    assert spec.network.hidden_layers == [30]
    assert (spec.network.activation, spec.network.output_activation) == ("sigmoid", "sigmoid")
    assert (spec.training.loss, spec.training.learning_rate, spec.training.epochs) == ("squared_error", 1.0, 100)
    assert spec.training.optimizer.model_dump() == {"name": "gradient_descent"}
    assert spec.training.batch_size is None
    assert spec.preprocessing.standardize is False


def test_a_field_that_is_given_wins_over_the_preset() -> None:
    spec = resolved(preset="textbook", training={"epochs": 7}, preprocessing={"standardize": True}).spec
    assert spec.training.epochs == 7
    assert spec.preprocessing.standardize is True


@pytest.mark.parametrize(
    ("target", "output", "loss"), [("digit", "softmax", "cross_entropy"), ("rings", "identity", "squared_error")]
)
def test_output_and_loss_follow_from_the_task(target: str, output: str, loss: str) -> None:
    spec = resolved(target=target).spec
    assert (spec.network.output_activation, spec.training.loss) == (output, loss)


def test_free_text_is_left_out_and_that_is_said() -> None:
    resolution = resolved()
    assert resolution.spec.features == ["length", "rings", "sex"]
    assert resolution.warnings == ["Column 'note' holds free text or dates and is not used."]


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        ({"target": "digitt"}, "target", "did you mean 'digit'"),
        ({"target": "nothing"}, "target", "Its columns are 'length', 'rings'"),
        ({"features": ["length", "digit"]}, "features[1]", "is the target"),
        ({"features": ["note"]}, "features[0]", "free text"),
        ({"ignore": ["foo"]}, "ignore[0]", "no column 'foo'"),
        ({"target": "sex", "task": "regression"}, "target", "holds text"),
        ({"target": "rings", "training": {"loss": "cross_entropy"}}, "training.loss", "needs classes"),
        (
            {"training": {"loss": "cross_entropy"}, "network": {"output_activation": "relu"}},
            "network.output_activation",
            "softmax or sigmoid",
        ),
        ({"target": "length", "task": "classification"}, "target", "more than 1000 classes"),
        ({"training": {"epochs": 1_001}}, "training.epochs", "limit is 1,000"),
        ({"network": {"hidden_layers": [5_000]}}, "network.hidden_layers", "limit is 10,000"),
        ({"resources": {"workers": 9}}, "resources.workers", "limit is 8"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(request_: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        resolved(**request_)
    assert [error.field for error in caught.value.errors] == [field]


def test_sigmoid_outputs_that_can_t_reach_the_targets_are_warned_about() -> None:
    resolution = resolved(preset="textbook", target="rings")
    assert any("sigmoid outputs can't reach" in warning for warning in resolution.warnings)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("gradient_descent", 0.1), ("momentum", 0.02), ("adam", 0.01), ("rprop", 0.01), ("lbfgs", 1.0)],
)
def test_the_automatic_learning_rate_suits_the_optimizer(optimizer: str, rate: float) -> None:
    assert resolved(training={"optimizer": optimizer}).spec.training.learning_rate == rate
    given = resolved(training={"optimizer": optimizer, "learning_rate": 0.7})
    assert given.spec.training.learning_rate == 0.7


def test_textbook_has_its_learning_rate_with_its_own_optimizer_only() -> None:
    assert resolved(preset="textbook", training={"optimizer": "adam"}).spec.training.learning_rate == 0.01
    own = resolved(preset="textbook", training={"optimizer": "gradient_descent"}).spec
    assert own.training.learning_rate == 1.0


@pytest.mark.parametrize(
    ("network", "initialization"),
    [
        ({}, ["he", "glorot"]),
        ({"activation": "tanh"}, "glorot"),
        ({"hidden_layers": []}, "glorot"),
        ({"hidden_layers": [4, 3]}, ["he", "he", "glorot"]),
        ({"output_activation": "relu"}, "he"),
        ({"activation": "tanh", "output_activation": "relu"}, ["glorot", "he"]),
        ({"initialization": "zeros"}, "zeros"),
        ({"initialization": ["glorot", "zeros"]}, ["glorot", "zeros"]),
    ],
)
def test_initialization_becomes_a_name_or_a_name_for_each_layer(
    network: dict[str, Any], initialization: str | list[str]
) -> None:
    assert resolved(network=network).spec.network.initialization == initialization


def test_the_weight_column_is_never_a_feature() -> None:
    assert resolved(weight_column="length").spec.features == ["rings", "sex"]


def test_classes_of_whole_numbers_are_named_without_a_point() -> None:
    assert resolved(class_weight={"1": 20.0}).spec.class_weight == {"1": 20.0}
    columns = {column["name"]: column for column in DATASET.columns}
    found = classes(resolved().spec, columns)
    assert [str(label) for label in found or []] == [str(label) for label in range(10)]
    halves = {**number("half", [0.0, 0.5], whole=False)}
    spec = parse({"dataset": "shells", "target": "half", "task": "classification"})
    assert classes(spec, {"half": halves}) == [0.0, 0.5]
    assert classes(resolved(target="rings").spec, columns) is None
