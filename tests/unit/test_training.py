"""The epoch loop: which weights a figure belongs to, when training ends, and what it keeps."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.local_training import LocalTeam, initial, problem_in_memory, sha256_of, train_locally
from workers.batches import NO_TRAINING, Step
from workers.errors import Diverged
from workers.evaluation import Evaluation
from workers.network import layer_views
from workers.problem import Problem
from workers.training import Callbacks, Figures, Trained, train

ROWS, VALIDATION_ROWS = 90, 20
FLOAT64 = {"dtype": "float64"}
LIMIT = 0.5  # of the norm of a gradient: near that of most


def classification(*, weights: Any = None, seed: int = 0, **options: Any) -> Problem:
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(ROWS, 4)), random.integers(0, 3, ROWS)
    return problem_in_memory(X, y, n_classes=3, weights=weights, validation_rows=VALIDATION_ROWS, **options)


def steep(**training: Any) -> Problem:
    """A regression whose squared errors grow without bound at a learning rate that is too large."""
    random = np.random.default_rng(0)
    X, y = 10 * random.normal(size=(40, 3)), random.normal(size=40)
    options = {"network": {"activation": "relu"}, "training": {"learning_rate": 1.0, "epochs": 200, **training}}
    return problem_in_memory(X, y, validation_rows=10, **options)


def trained(problem: Problem) -> Trained:
    return train_locally(problem, 2)[0]


def points(problem: Problem) -> tuple[list[tuple[Any, Step]], list[Any], list[Figures]]:
    """What was differentiated where, what was validated, and the figures of the epochs."""
    team, asked, validated, figures = LocalTeam(problem, 1), [], [], []
    validation = Evaluation(problem, problem.matrix.training_rows, len(problem.matrix.X), "validation")

    def differentiate(parameters: Any, step: Step) -> Any:
        asked.append((parameters.copy(), step))
        return team.sum_of_shard_gradients(parameters, step)

    def validate(parameters: Any) -> Figures:
        validated.append(parameters.copy())
        return validation.scores(parameters)

    train(problem, initial(problem), Callbacks(differentiate, validate, figures.append))
    return asked, validated, figures


def norms(problem: Problem, parameters: Any) -> list[float]:
    return [float(np.linalg.norm(weights)) for weights, _ in layer_views(problem.network, parameters)]


def test_the_loss_belongs_to_the_weights_that_enter_an_epoch_and_validation_to_those_that_leave_it() -> None:
    problem = classification(training=FLOAT64)
    asked, validated, figures = points(problem)
    validation = Evaluation(problem, problem.matrix.training_rows, ROWS, "validation")
    np.testing.assert_array_equal(asked[0][0], initial(problem))
    for epoch, (row, (entering, _), (leaving, _)) in enumerate(zip(figures, asked, asked[1:], strict=False), start=1):
        loss, gradient, _ = LocalTeam(problem, 1).sum_of_shard_gradients(entering, NO_TRAINING)
        assert (row["epoch"], row["loss"]) == (epoch, pytest.approx(loss, rel=1e-15))
        assert row["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
        assert row["validation_loss"] == validation.scores(leaving)["validation_loss"]
        assert [row["weight_norm/layer_0"], row["weight_norm/layer_1"]] == pytest.approx(norms(problem, leaving))
        np.testing.assert_array_equal(validated[epoch - 1], leaving)


def test_the_loss_of_the_result_is_that_of_the_weights_that_are_kept() -> None:
    problem = classification(training={"batch_size": 16, "early_stopping": {"patience": 2}, "learning_rate": 3.0})
    found = trained(problem)
    assert found.loss == LocalTeam(problem, 1).sum_of_shard_gradients(found.parameters, NO_TRAINING).loss


def test_the_loss_of_an_epoch_of_batches_is_the_mean_of_its_batches_weighted_by_their_rows() -> None:
    weights = np.random.default_rng(1).uniform(0, 3, ROWS)
    problem = classification(weights=weights, training={"batch_size": 16, **FLOAT64})
    asked, _, figures = points(problem)
    for row in figures:
        steps = [(parameters, step) for parameters, step in asked if step.epoch == row["epoch"]]
        assert [step.number for _, step in steps] == [0, 1, 2, 3, 4]
        sums = [LocalTeam(problem, 1).sum_of_shard_gradients(*point) for point in steps]
        by_weight = [found.total_weight for found in sums]
        assert row["loss"] == pytest.approx(np.average([found.loss for found in sums], weights=by_weight), rel=1e-13)
        batch_norms = [np.linalg.norm(found.gradient) for found in sums]
        assert row["gradient_norm"] == pytest.approx(np.average(batch_norms, weights=by_weight), rel=1e-12)


def test_early_stopping_keeps_the_weights_of_the_best_epoch() -> None:
    options = {"learning_rate": 4.0, "epochs": 200}
    stopped, figures = train_locally(classification(training={**options, "early_stopping": {"patience": 3}}), 2)
    validation_losses = [row["validation_loss"] for row in figures]
    assert stopped.stopped_by == "early_stopping"
    assert stopped.epochs == stopped.best_epoch + 3 < 200
    assert validation_losses[stopped.best_epoch - 1] == min(validation_losses)
    short = classification(training={**options, "epochs": stopped.best_epoch})
    assert sha256_of(short, stopped) == sha256_of(short, trained(short))


@pytest.mark.parametrize("method", [{}, {"optimizer": "lbfgs", "learning_rate": 1.0}, {"batch_size": 16}])
@pytest.mark.parametrize("early_stopping", [None, {"patience": 50}])
def test_a_job_that_reaches_its_target_equals_one_of_that_many_epochs(
    method: dict[str, Any], early_stopping: dict[str, Any] | None
) -> None:
    """Also where that epoch would not have been validated otherwise."""
    options = {**method, "validate_every_epochs": 4, "early_stopping": early_stopping, "epochs": 60}
    _, figures = train_locally(classification(training=options), 2)
    target = figures[5]["loss"]
    reached, rows = train_locally(classification(training={**options, "target_loss": target}), 2)
    assert (reached.stopped_by, reached.epochs) == ("target_loss", len(rows))
    assert rows[-1]["loss"] <= target < min(row["loss"] for row in rows[:-1])
    short = classification(training={**options, "epochs": reached.epochs})
    expected = trained(short)
    assert sha256_of(short, reached) == sha256_of(short, expected)
    assert (reached.best_epoch, reached.loss) == (expected.best_epoch, expected.loss)


def test_lbfgs_reaches_a_target_with_weights_that_it_keeps_and_not_with_a_trial() -> None:
    options = {"optimizer": "lbfgs", "learning_rate": 0.001, "epochs": 20, "target_loss": 0.0}
    _, figures = train_locally(classification(training=options), 2)
    for target in (row["loss"] for row in figures):  # a first step that short is a trial which is too short
        found = trained(classification(training={**options, "target_loss": target}))
        assert found.loss <= target * (1 + 1e-15)


def ticking(seconds: float) -> Iterator[float]:
    moment = 0.0
    while True:
        yield moment
        moment += seconds


@pytest.mark.parametrize("training", [{}, {"early_stopping": {"patience": 50}, "validate_every_epochs": 4}])
def test_a_job_that_runs_out_of_time_equals_one_of_that_many_epochs(training: dict[str, Any]) -> None:
    problem = classification(training={**training, "epochs": 1000, "max_runtime_seconds": 10.5})
    clock, rows = ticking(1), []
    validation = Evaluation(problem, problem.matrix.training_rows, ROWS, "validation")
    callbacks = Callbacks(LocalTeam(problem, 2).sum_of_shard_gradients, validation.scores, rows.append)
    timed = train(problem, initial(problem), callbacks, clock=lambda: next(clock))
    assert (timed.stopped_by, timed.epochs) == ("max_runtime", 6)  # 2 s an epoch, the first half before it is validated
    assert sum(row["seconds"] for row in rows) == 12
    short = classification(training={**training, "epochs": 6})
    expected = trained(short)
    assert sha256_of(short, timed) == sha256_of(short, expected)
    assert (timed.best_epoch, timed.loss) == (expected.best_epoch, expected.loss)


@pytest.mark.parametrize(("epochs", "validated"), [(7, [3, 6, 7]), (6, [3, 6]), (2, [2])])
def test_every_kth_epoch_is_validated_and_the_last(epochs: int, validated: list[int]) -> None:
    _, figures = train_locally(classification(training={"validate_every_epochs": 3, "epochs": epochs}), 2)
    assert [row["epoch"] for row in figures if "validation_loss" in row] == validated
    assert len(figures) == epochs


def test_patience_counts_validations_and_not_epochs() -> None:
    options = {"learning_rate": 4.0, "epochs": 200, "early_stopping": {"patience": 2}, "validate_every_epochs": 5}
    stopped = trained(classification(training=options))
    assert (stopped.stopped_by, stopped.epochs) == ("early_stopping", stopped.best_epoch + 10)


def test_without_early_stopping_the_last_weights_are_kept_and_the_best_epoch_is_told() -> None:
    kept, figures = train_locally(classification(training={"learning_rate": 4.0, "epochs": 60}), 2)
    losses = [row["validation_loss"] for row in figures]
    assert (kept.stopped_by, kept.epochs) == ("epochs", 60)
    assert kept.best_epoch == 1 + losses.index(min(losses)) < 60


@pytest.mark.parametrize("n_workers", [1, 8])
def test_gradients_that_are_not_finite_are_added_without_a_warning(n_workers: int) -> None:
    """1/Σw is beyond float32, so shards have infinities of both signs: their sum is no number."""
    problem = classification(weights=np.full(ROWS, 1e-41))
    with pytest.raises(Diverged, match="The gradient stopped being finite in epoch 1"):
        train_locally(problem, n_workers)


@pytest.mark.parametrize("training", [{}, {"batch_size": 7}, {"optimizer": "momentum"}])
def test_training_that_diverges_names_the_epoch_and_carries_the_last_good_weights(training: dict[str, Any]) -> None:
    problem = steep(**training)
    with pytest.raises(Diverged, match="stopped being finite in epoch") as caught:
        trained(problem)
    error = caught.value
    assert 1 <= error.epoch < 200
    assert f"epoch {error.epoch}." in error.message
    assert np.isfinite(error.parameters).all()
    assert (error.parameters != initial(problem)).any()
    step = NO_TRAINING if not training.get("batch_size") else Step(error.epoch, 0)
    assert math.isfinite(LocalTeam(problem, 1).sum_of_shard_gradients(error.parameters, step).loss)


def test_weights_that_diverge_with_the_last_step_of_all_are_not_kept_either() -> None:
    """No next epoch looks at their loss: the pass for the result does."""
    with pytest.raises(Diverged) as caught:
        trained(steep())
    last = caught.value.epoch - 1
    problem = steep(epochs=last)
    with pytest.raises(Diverged) as caught:
        trained(problem)
    assert caught.value.epoch == last
    assert math.isfinite(LocalTeam(problem, 1).sum_of_shard_gradients(caught.value.parameters, NO_TRAINING).loss)


@pytest.mark.parametrize("penalties", [{}, {"l1": 0.01, "l2": 0.01}])
def test_lbfgs_goes_on_behind_a_trial_that_is_not_finite(penalties: dict[str, float]) -> None:
    """A first step of 1e6 lets the loss overflow; the line search then takes shorter ones."""
    problem = steep(optimizer="lbfgs", learning_rate=1e6, epochs=40, **penalties)
    real = LocalTeam(problem, 1).sum_of_shard_gradients
    calls = []

    def overflowing(parameters: Any, step: Step) -> Any:
        calls.append(step)
        found = real(parameters, step)
        if len(calls) != 2:
            return found
        return found._replace(loss=math.inf, gradient=np.full_like(found.gradient, np.nan))

    figures: list[Figures] = []
    start = initial(problem)
    kept = train(problem, start, Callbacks(overflowing, lambda _: {}, figures.append))
    assert [row["epoch"] for row in figures if row["loss"] is None] == [2]
    assert figures[1]["gradient_norm"] is None
    assert kept.loss < real(start, NO_TRAINING).loss
    for row in figures:
        assert all(value is None or math.isfinite(value) for value in row.values())


def test_without_biases_they_stay_0() -> None:
    for training in ({}, {"optimizer": "adam", "l2": 0.1}, {"optimizer": "rprop"}, {"optimizer": "lbfgs"}):
        problem = classification(network={"bias": False}, hidden_layers=(5, 4), training=training)
        layers = layer_views(problem.network, trained(problem).parameters)
        assert not any(biases.any() for _, biases in layers)
        assert all(weights.any() for weights, _ in layers)


def repeated(weights: Any, *, training: dict[str, Any]) -> tuple[Trained, Trained]:
    """Trained with rows weighted by whole numbers, and with each row as often as its weight says."""
    random = np.random.default_rng(4)
    X, y = random.normal(size=(60, 4)), random.integers(0, 3, 60)
    places = np.repeat(np.arange(60), weights.astype(int))
    held = int(weights[40:].sum())
    options: dict[str, Any] = {"n_classes": 3, "training": {**FLOAT64, "epochs": 30, "learning_rate": 0.5, **training}}
    weighted = problem_in_memory(X, y, weights=weights, validation_rows=20, **options)
    copied = problem_in_memory(X[places], y[places], validation_rows=held, **options)
    (left, left_figures), (right, right_figures) = train_locally(weighted, 2), train_locally(copied, 3)
    for row, same in zip(left_figures, right_figures, strict=True):
        assert row == pytest.approx(same, rel=1e-10)
    return left, right


@pytest.mark.parametrize("training", [{}, {"optimizer": "adam"}, {"l2": 0.1, "clip_gradient_norm": 0.1}])
@pytest.mark.parametrize("values", [(1, 2), (0, 1), (0, 1, 5)])
def test_a_row_of_weight_2_counts_like_two_rows_and_one_of_weight_0_like_none(
    training: dict[str, Any], values: tuple[int, ...]
) -> None:
    weights = np.random.default_rng(7).choice(values, 60).astype(np.float64)
    weighted, copied = repeated(weights, training=training)
    difference = np.linalg.norm(weighted.parameters - copied.parameters)
    assert difference <= 1e-12 * np.linalg.norm(copied.parameters)


@pytest.mark.parametrize("size", [ROWS - VALIDATION_ROWS, 10_000])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_batch_of_all_rows_has_the_bits_of_the_full_batch(size: int, dropout: float) -> None:
    weights = np.random.default_rng(1).uniform(0, 3, ROWS)
    options: dict[str, Any] = {"weights": weights, "network": {"dropout": dropout}}
    full, batch = classification(**options), classification(**options, training={"batch_size": size})
    (expected, figures), (found, same) = train_locally(full, 2), train_locally(batch, 3)
    assert sha256_of(full, expected) == sha256_of(batch, found)
    assert figures == same


def test_dropout_of_0_is_none_and_any_other_changes_training_but_not_how_it_is_judged() -> None:
    plain = classification()
    without, dropped = (classification(network={"dropout": rate}) for rate in (0.0, 0.5))
    assert sha256_of(plain, trained(plain)) == sha256_of(without, trained(without))
    assert sha256_of(plain, trained(plain)) != sha256_of(dropped, trained(dropped))
    kept, figures = train_locally(dropped, 2)
    validation = Evaluation(plain, plain.matrix.training_rows, ROWS, "validation")
    assert figures[-1]["validation_loss"] == validation.scores(kept.parameters)["validation_loss"]
    assert kept.loss == LocalTeam(plain, 1).sum_of_shard_gradients(kept.parameters, NO_TRAINING).loss


def test_validation_weighs_its_loss_by_rows_and_classes_and_its_accuracy_by_rows_alone() -> None:
    weights = np.random.default_rng(1).uniform(0, 3, ROWS)
    problem = classification(weights=weights, class_weight={"0": 10.0, "2": 0.5}, training=FLOAT64)
    parameters, first = initial(problem), problem.matrix.training_rows
    found = Evaluation(problem, first, ROWS, "validation").scores(parameters)
    (hidden, _), (last, _) = layer_views(problem.network, parameters)
    z = np.tanh(problem.matrix.X[first:] @ hidden.T) @ last.T
    y, w = problem.matrix.y[first:], weights[first:]
    errors = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    by_class = np.array([10.0, 1.0, 0.5])[y]
    assert found["validation_loss"] == pytest.approx(np.average(errors, weights=w * by_class), rel=1e-12)
    assert found["validation_accuracy"] == pytest.approx(np.average(z.argmax(axis=1) == y, weights=w), rel=1e-12)


def test_a_report_of_no_rows_has_a_null_for_each_score_and_an_epoch_has_none() -> None:
    for problem, score in ((classification(), "accuracy"), (steep(), "r2")):
        held_out = Evaluation(problem, len(problem.matrix.X), len(problem.matrix.X), "test")
        assert held_out.report(initial(problem)) == {"test_loss": None, f"test_{score}": None}
        assert held_out.scores(initial(problem)) == {}


def test_balanced_classes_train_like_rows_of_that_weight() -> None:
    balanced = classification(class_weight="balanced", training=FLOAT64)
    y = balanced.matrix.y[: balanced.matrix.training_rows]
    weights = (len(y) / (3 * np.bincount(y)))[balanced.matrix.y]
    expected = trained(classification(weights=weights, training=FLOAT64)).parameters
    np.testing.assert_allclose(trained(balanced).parameters, expected, rtol=1e-13)


def test_the_rate_of_an_epoch_is_told_where_it_changes() -> None:
    schedule = {"name": "step", "every": 2, "factor": 0.5}
    _, figures = train_locally(classification(training={"learning_rate_schedule": schedule, "epochs": 5}), 2)
    assert [row["learning_rate"] for row in figures] == [0.1, 0.1, 0.05, 0.05, 0.025]
    assert "learning_rate" not in train_locally(classification(), 2)[1][0]


def test_training_leaves_the_initial_parameters_as_they_are() -> None:
    for name in ("gradient_descent", "momentum", "adam", "rprop", "lbfgs"):
        problem = classification(training={"optimizer": name, "l1": 0.01})
        start = initial(problem)
        before = start.copy()
        team = LocalTeam(problem, 1)
        train(problem, start, Callbacks(team.sum_of_shard_gradients, lambda _: {}, lambda _: None))
        np.testing.assert_array_equal(start, before)


def test_a_step_clips_the_gradient_of_its_batch_then_adds_the_penalties_at_the_weights_it_starts_from() -> None:
    """The whole loop against plain formulas, with a rate that changes by epoch."""
    schedule = {"name": "step", "every": 1, "factor": 0.5}
    options = {"batch_size": 16, "l1": 0.01, "l2": 0.2, "clip_gradient_norm": LIMIT, "learning_rate_schedule": schedule}
    problem = classification(training={**options, "epochs": 3, **FLOAT64})
    team, w = LocalTeam(problem, 1), initial(problem)
    is_weight = np.zeros_like(w)
    for weights, _ in layer_views(problem.network, is_weight):
        weights[...] = 1
    clipped = 0
    for epoch, number in product((1, 2, 3), range(5)):
        g = team.sum_of_shard_gradients(w, Step(epoch, number)).gradient
        clipped += np.linalg.norm(g) > LIMIT
        g = g * min(1, LIMIT / np.linalg.norm(g)) + is_weight * (0.2 * w + 0.01 * np.sign(w))
        w = w - 0.1 * 0.5 ** (epoch - 1) * g
    assert 0 < clipped < 15
    np.testing.assert_allclose(trained(problem).parameters, w, rtol=1e-12, atol=1e-15)
