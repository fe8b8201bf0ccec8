"""Standardised targets: equally good models in every unit, which answer and are told of in the target's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gate.nights import Trained, ingested, trained
from tests.local_training import problem_in_memory, train_locally
from workers.errors import DataError, Diverged, SpecError
from workers.matrix import open_matrix
from workers.model import columns_from_arrays, load, predict
from workers.resolve import DatasetFacts, Limits, resolve
from workers.spec import JobSpec, parse
from workers.start import write_start
from workers.target_scaling import TargetScaling, fit_targets

ROWS = 600
SPLIT = {"validation": 0.1, "test": 0.2, "column": "row"}
FIELD = "preprocessing.standardize_target"


def prices(unit: float = 1.0, offset: float = 0.0) -> tuple[str, Any, Any]:
    """A table, its features and its target."""
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, 2))
    y = offset + unit * (3 * X[:, 0] - X[:, 1] ** 2 + 0.2 * random.normal(size=ROWS))
    lines = [
        f"{number},{a!r},{b!r},{price!r}" for number, (a, b, price) in enumerate([*map(list, np.c_[X, y].tolist())])
    ]
    return "\n".join(["row,a,b,price", *lines]) + "\n", X, y


def model_of(directory: Path, text: str, **changes: Any) -> Trained:
    body = {"target": "price", "features": ["a", "b"], "split": SPLIT, **changes}
    return trained(directory, ingested(directory, text), body)


@pytest.mark.parametrize(("unit", "offset"), [(1e-3, 0.0), (1e4, 0.0), (1.0, 1e4), (1e6, -1e7)])
def test_the_unit_and_the_offset_of_a_target_change_no_score(tmp_path: Path, unit: float, offset: float) -> None:
    plain = model_of(tmp_path / "plain", prices()[0]).result
    other = model_of(tmp_path / "other", prices(unit, offset)[0]).result
    assert plain["test_r2"] > 0.9
    assert other["test_r2"] == pytest.approx(plain["test_r2"], abs=1e-3)
    assert other["test_loss"] == pytest.approx(plain["test_loss"] * unit**2, rel=0.02)


def test_the_model_answers_in_the_target_s_own_unit_and_so_is_the_loss(tmp_path: Path) -> None:
    text, X, y = prices(1000.0, 5e4)
    made = model_of(tmp_path, text, split={"validation": 0.0, "test": 0.2, "by": "row"})
    columns = columns_from_arrays(model := load(made.candidate.model_directory), {"a": X[-120:, 0], "b": X[-120:, 1]})
    errors = predict(model, columns).prediction - y[-120:]
    assert made.result["test_loss"] == pytest.approx(0.5 * np.mean(errors**2), rel=1e-4)


def test_a_warm_start_begins_with_the_same_answers_whatever_the_unit_was(tmp_path: Path) -> None:
    text, _, _ = prices(1000.0, 5e4)
    before = model_of(tmp_path / "before", text)
    after = model_of(tmp_path / "after", prices(1000.0, 6e4)[0])
    spec, matrix = JobSpec.model_validate(after.candidate.spec), open_matrix(after.matrix)
    assert matrix.target_scaling is not None
    write_start(spec, matrix._asdict() | {"target_scaling": matrix.target_scaling._asdict()},
                before.candidate.model_directory, tmp_path / "start.npz")  # fmt: skip
    model = load(before.candidate.model_directory)
    with np.load(tmp_path / "start.npz") as start:
        weights, biases = matrix.target_scaling.in_own_unit(start["weights_1"], start["biases_1"])
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, model.layers[-1][0], rtol=1e-6)
    np.testing.assert_allclose(biases, model.layers[-1][1], rtol=1e-6)


def test_several_targets_share_one_deviation_so_the_loss_is_that_of_their_own_units(tmp_path: Path) -> None:
    text, X, y = prices(1000.0, 5e4)
    rows = [f"{row},{400 * float(row.split(',')[1]) - 7e3!r}" for row in text.splitlines()[1:]]
    lines = ["row,a,b,price,area", *rows]
    split = {"validation": 0.0, "test": 0.2, "by": "row"}
    made = model_of(tmp_path, "\n".join(lines) + "\n", target=["price", "area"], split=split)
    model = load(made.candidate.model_directory)
    answers = predict(model, columns_from_arrays(model, {"a": X[-120:, 0], "b": X[-120:, 1]})).prediction
    squares = (answers - np.stack([y[-120:], 400 * X[-120:, 0] - 7e3], axis=1)) ** 2
    assert made.result["test_r2"] > 0.9
    assert made.result["test_loss"] == pytest.approx(0.5 * squares.sum(axis=1).mean(), rel=1e-4)


def test_a_row_of_weight_0_touches_nothing(tmp_path: Path) -> None:
    lines = prices()[0].splitlines()
    weighed = [f"{lines[0]},w", *(f"{line},{1 if place else 0}" for place, line in enumerate(lines[1:]))]
    split = {"validation": 0.0, "test": 0.2, "by": "row"}
    before = model_of(tmp_path / "1", "\n".join(weighed) + "\n", weight_column="w", split=split)
    weighed[1] = ",".join([*weighed[1].split(",")[:3], "1e9", "0"])
    after = model_of(tmp_path / "2", "\n".join(weighed) + "\n", weight_column="w", split=split)
    assert after.result == before.result
    assert open_matrix(after.matrix).target_scaling == open_matrix(before.matrix).target_scaling


def test_figures_are_those_of_the_weights_as_they_are_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(ROWS, 2))
    y = 5e4 + 3 * X[:, 0] - X[:, 1]  # a model without error, but for the rounding of its biases near 50 000
    rows = [f"{number},{a!r},{b!r},{t!r}" for number, (a, b, t) in enumerate(np.c_[X, y].tolist())]
    linear = {"hidden_layers": []}
    split = {"validation": 0.0, "test": 0.2, "by": "row"}
    made = model_of(tmp_path, "\n".join(["row,a,b,price", *rows]) + "\n", network=linear, split=split)
    model = load(made.candidate.model_directory)
    answers = predict(model, columns_from_arrays(model, {"a": X[-120:, 0], "b": X[-120:, 1]})).prediction
    assert made.result["test_loss"] == pytest.approx(0.5 * np.mean((answers - y[-120:]) ** 2), rel=0.05)


def test_epochs_and_target_loss_are_told_in_the_target_s_own_unit() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 3))
    training = {"optimizer": "lbfgs", "learning_rate": 1.0, "epochs": 40, "dtype": "float64"}
    t = X @ [1.0, 2.0, 3.0] + 0.1 * random.normal(size=80)
    plain = problem_in_memory(X, t, validation_rows=20, training=training)
    scaled = plain._replace(matrix=plain.matrix._replace(target_scaling=TargetScaling((7.0,), 100.0)))
    (model, figures), (other, told) = train_locally(plain, 1), train_locally(scaled, 2)
    assert told[5]["loss"] == pytest.approx(1e4 * figures[5]["loss"], rel=1e-6)
    assert told[5]["validation_loss"] == pytest.approx(1e4 * figures[5]["validation_loss"], rel=1e-6)
    assert other.loss == pytest.approx(1e4 * model.loss, rel=1e-6)
    limit = 1e4 * figures[9]["loss"]
    spec = scaled.spec.model_copy(update={"training": scaled.spec.training.model_copy(update={"target_loss": limit})})
    stopped, _ = train_locally(scaled._replace(spec=spec), 1)
    assert stopped.stopped_by == "target_loss"
    assert stopped.epochs <= 11


def test_a_divergence_keeps_no_weights_that_are_too_large_in_the_unit_of_the_target() -> None:
    random = np.random.default_rng(0)
    X, y = 10 * random.normal(size=(40, 3)), random.normal(size=40)
    options = {"network": {"activation": "relu"}, "training": {"learning_rate": 1.0, "epochs": 200}}
    steep = problem_in_memory(X, y, validation_rows=10, **options)
    for deviation, kept in ((1.0, True), (1e38, False)):
        matrix = steep.matrix._replace(target_scaling=TargetScaling((0.0,), deviation))
        with pytest.raises(Diverged, match="stopped being finite") as caught:
            train_locally(steep._replace(matrix=matrix), 1)
        assert (caught.value.parameters is not None) is kept
        assert ("are kept" in caught.value.message) is kept


def test_what_the_dtype_can_t_hold_is_said() -> None:
    rough = np.array([1e9 + n for n in range(100)])
    _, (warning,) = fit_targets({"t": lambda: [rough]}, "float32")
    assert "training.dtype to float64" in warning
    assert fit_targets({"t": lambda: [rough]}, "float64")[1] == []
    with pytest.raises(DataError, match="too large to be standardised") as caught:
        fit_targets({"t": lambda: [np.array([1e300, -1e300])]}, "float64")
    assert [error.field for error in caught.value.errors] == ["target"]
    with pytest.raises(DataError, match="too large for float32"):
        TargetScaling((0.0,), 1e38).in_own_unit(np.full((1, 1), 10, np.float32), np.zeros(1, np.float32))
    with pytest.raises(DataError, match="too large for float32"):
        TargetScaling((0.0,), 1e-30).in_deviations(np.full((1, 1), 1e10, np.float32), np.zeros(1, np.float32))


def test_a_constant_target_is_left_in_its_unit() -> None:
    scaling, (warning,) = fit_targets({"t": lambda: [np.full(5, 1e6)]}, "float32")
    assert scaling == TargetScaling((1e6,), 1.0)
    assert "the same value in all training rows" in warning


def standardizes(**request: Any) -> bool | str:
    number = {"type": "number", "min": 0.0, "max": 1e6, "nulls": 0, "categories": None, "distinct_values": None}
    columns = [{"name": name, "whole": False, **number} for name in ("x", "y")]
    columns.append({**columns[0], "name": "kind", "whole": True, "distinct_values": [0.0, 1.0]})
    facts = DatasetFacts("ds_1", "d", 1000, columns)
    limits = Limits(parameters=10_000, epochs=1_000, shards=64, workers=8)
    spec = resolve(parse({"dataset": "d", "target": "y", **request}), facts, limits).spec
    return spec.preprocessing.standardize_target


def test_auto_standardises_the_target_where_nothing_given_is_meant_for_it_as_it_is() -> None:
    assert standardizes() is True
    assert standardizes(training={"optimizer": "adam", "l2": 0.0}) is True
    assert standardizes(target=["y", "x"], features=["kind"]) is True
    for request in (
        {"target": "kind"},
        {"preset": "textbook", "network": {"output_activation": "identity"}},
        {"training": {"learning_rate": 0.1}},
        {"training": {"l2": 0.01}},
        {"training": {"clip_gradient_norm": 1.0, "optimizer": "adam"}},
        {"network": {"output_activation": "sigmoid"}},
        {"network": {"bias": False}},
        {"initial_parameters": {"weights": [[[1.0, 1.0]]]}, "network": {"hidden_layers": []}},
        {"preprocessing": {"standardize_target": False}},
    ):
        assert standardizes(**request) is False, request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"target": "kind"}, "classification"),
        ({"network": {"output_activation": "tanh"}}, "identity outputs with biases, and these are tanh"),
        ({"network": {"bias": False}}, "network.bias is false"),
    ],
)
def test_where_it_can_t_be_it_is_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        standardizes(preprocessing={"standardize_target": True}, **request_)
    assert [error.field for error in caught.value.errors] == [FIELD]
