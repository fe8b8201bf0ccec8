"""Every `auto` gets a value from the preset, the task and the dataset; what does not fit is refused."""

from typing import Any

import pytest

from workers.errors import SpecError
from workers.presets import AUTO, batch_rows
from workers.resolve import DatasetFacts, Limits, Resolution, classes, resolve
from workers.spec import Adam, parse

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
        text("day", "date", None),
    ],
)


def resolved(rows: int = 100, **request: Any) -> Resolution:
    return resolve(parse({"dataset": "shells", "target": "digit", **request}), DATASET._replace(rows=rows), LIMITS)


def test_nothing_is_auto_but_workers_once_a_spec_is_resolved() -> None:
    spec = resolved().spec
    assert "'auto'" not in repr(spec.model_dump(exclude={"resources": True, "preset": True}))
    assert (spec.resources.workers, spec.resources.shards) == ("auto", 8)
    assert spec.checkpoint.every_epochs is None
    assert resolved(rows=36_400).spec.resources.shards == "auto"  # of which about 32 760 train, or 8 more


def test_a_resolved_spec_is_a_request_again() -> None:
    spec = resolved().spec
    assert parse(spec.model_dump(mode="json")) == spec


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
    assert resolution.warnings == [
        f"Column '{name}' holds free text or dates and is not used." for name in ("note", "day")
    ]


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        ({"target": "digitt"}, "target", "did you mean 'digit'"),
        ({"target": "nothing"}, "target", "Its columns are 'length', 'rings'"),
        ({"features": ["length", "digit"]}, "features[1]", "is the target"),
        ({"features": ["note"]}, "features[0]", "free text"),
        ({"ignore": ["foo"]}, "ignore[0]", "no column 'foo'"),
        ({"target": "sex", "task": "regression"}, "target", "holds text"),
        ({"target": "day"}, "target", "'day' holds dates, which can't be a target"),
        ({"target": ["length", "day"]}, "target", "'day' holds dates"),
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
    [("gradient_descent", 0.1), ("momentum", 0.02), ("adam", 0.003), ("rprop", 0.01), ("lbfgs", 1.0)],
)
def test_the_automatic_learning_rate_suits_the_optimizer(optimizer: str, rate: float) -> None:
    assert resolved(training={"optimizer": optimizer}).spec.training.learning_rate == rate
    given = resolved(training={"optimizer": optimizer, "learning_rate": 0.7})
    assert given.spec.training.learning_rate == 0.7


def test_textbook_has_its_learning_rate_with_its_own_optimizer_only() -> None:
    assert resolved(preset="textbook", training={"optimizer": "adam"}).spec.training.learning_rate == 0.003
    own = resolved(preset="textbook", training={"optimizer": "gradient_descent"}).spec
    assert own.training.learning_rate == 1.0


@pytest.mark.parametrize(
    ("network", "initialization"),
    [
        ({}, ["glorot", "zeros"]),
        ({"activation": "relu"}, ["he", "zeros"]),
        ({"hidden_layers": [4]}, "glorot"),
        ({"hidden_layers": []}, "glorot"),
        ({"hidden_layers": [4, 3], "activation": "relu"}, ["he", "he", "glorot"]),
        ({"activation": "relu", "output_activation": "relu"}, "he"),
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


@pytest.mark.parametrize(
    ("target", "rows", "situation"),
    [
        ("digit", 999, "small classification"),
        ("digit", 1000, "classification"),
        ("rings", 499, "small regression"),
        ("rings", 500, "regression"),
    ],
)
def test_the_preset_goes_by_the_task_and_the_rows(target: str, rows: int, situation: str) -> None:
    spec = resolved(rows, target=target).spec
    chosen = spec.model_dump()
    for group, options in AUTO[situation].items():
        for name, value in options.items():
            expected = {"by rows": 32, "by features and rows": 0.0018, "where it can": True}.get(str(value), value)
            if name == "optimizer":
                assert chosen[group][name]["name"] == expected["name"]
            elif name == "early_stopping" and expected is not None:
                assert chosen[group][name] == {"min_improvement": 0.0, **expected}
            else:
                assert chosen[group][name] == expected


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 32), (4096, 32), (4097, 64), (32_561, 256), (131_073, 1024), (10**7, 1024)]
)
def test_an_epoch_has_at_most_128_steps_until_batches_are_at_their_largest(rows: int, size: int) -> None:
    assert batch_rows(rows) == size


@pytest.mark.parametrize("target", ["digit", "rings"])
@pytest.mark.parametrize("rows", [100, 5000])
def test_who_says_how_many_epochs_gets_them(target: str, rows: int) -> None:
    assert resolved(rows, target=target, training={"epochs": 40}).spec.training.early_stopping is None
    assert resolved(rows, target=target, split={"validation": 0.0}).spec.training.early_stopping is None


@pytest.mark.parametrize(
    "request_",
    [
        {"training": {"batch_size": 8}},
        {"training": {"learning_rate_schedule": "cosine"}},
        {"training": {"clip_gradient_norm": 1.0}},
        {"training": {"l1": 0.1}},
        {"network": {"dropout": 0.2}},
    ],
)
@pytest.mark.parametrize("rows", [100, 5000])
def test_what_lbfgs_refuses_makes_a_regression_one_of_adam(request_: dict[str, Any], rows: int) -> None:
    spec = resolved(rows, target="rings", **request_).spec
    assert spec.training.optimizer == Adam(name="adam")
    assert spec.training.epochs == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"network": {"hidden_layers": [3]}},
        {"network": {"activation": "relu"}},
        {"training": {"epochs": 50}},
        {"training": {"optimizer": "lbfgs"}},
    ],
)
def test_the_few_steps_of_a_small_regression_are_for_its_own_network(request_: dict[str, Any]) -> None:
    spec = resolved(100, target="rings", **request_).spec
    asked = request_.get("training", {}).get("epochs", 300)
    assert spec.training.epochs == asked
    assert spec.network.hidden_layers == request_.get("network", {}).get("hidden_layers", [64])


@pytest.mark.parametrize("optimizer", ["gradient_descent", "momentum", "rprop", "lbfgs", "adam"])
@pytest.mark.parametrize("target", ["digit", "rings"])
@pytest.mark.parametrize("rows", [100, 5000])
def test_every_optimizer_gets_values_that_go_with_it(optimizer: str, target: str, rows: int) -> None:
    training = resolved(rows, target=target, training={"optimizer": optimizer}).spec.training
    assert (training.batch_size is None) or optimizer == "adam"


@pytest.mark.parametrize(
    ("request_", "l2"),
    [
        ({}, 0.018),
        ({"ignore": ["sex"]}, 0.012),
        ({"training": {"l2": 0.0}}, 0.0),
        ({"training": {"l2": 0.5}}, 0.5),
        ({"training": {"epochs": 50}}, 0.0),
        ({"training": {"batch_size": 8}}, 0.0),
        ({"network": {"hidden_layers": [3]}}, 0.0),
        ({"network": {"output_activation": "relu"}}, 0.0),
        ({"target": "rings"}, 0.0),
        ({"preset": "textbook"}, 0.0),
    ],
)
def test_only_a_small_classification_that_leaves_all_open_is_penalised(request_: dict[str, Any], l2: float) -> None:
    assert resolved(**request_).spec.training.l2 == l2


@pytest.mark.parametrize("target", ["digit", "rings"])
def test_a_resolved_spec_sent_again_gives_the_same(target: str) -> None:
    spec = resolved(target=target).spec
    assert resolve(spec, DATASET, LIMITS).spec == spec
