"""The laws of L-BFGS, seen from outside: from the points it asks for, and from what it says its solution is."""

import io
import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from tests.objectives import Objective, logistic_regression, quadratic, regression_network, rosenbrock, softmax_network
from workers.lbfgs import _accept, two_loop_recursion
from workers.line_search import CURVATURE, MOST_EVALUATIONS, SUFFICIENT_DECREASE
from workers.optimizers import Optimizer, State, optimizer

Array = NDArray[Any]

LBFGS = optimizer({"name": "lbfgs"})
NETWORKS = (logistic_regression, regression_network, softmax_network)
DTYPES = st.sampled_from([np.float32, np.float64])
SEEDS = st.integers(0, 2**32)
RATES = st.floats(1e-4, 1e4)


def in_dtype(objective: Objective, dtype: DTypeLike) -> Objective:
    """The same function, its arithmetic in `dtype`."""

    @np.errstate(over="ignore", invalid="ignore")
    def value_and_gradient(x: Array) -> tuple[float, Array]:
        value, gradient = objective.value_and_gradient(x.astype(np.float64))
        return value, gradient.astype(dtype)

    return Objective(value_and_gradient, objective.start.astype(dtype))


OBJECTIVES: st.SearchStrategy[Objective] = st.one_of(
    st.builds(in_dtype, st.builds(rosenbrock, st.integers(2, 12), SEEDS), DTYPES),
    st.builds(in_dtype, st.builds(quadratic, st.integers(1, 12), st.floats(1, 1e6), SEEDS), DTYPES),
    st.builds(lambda kind, seed, dtype: kind(seed, dtype), st.sampled_from(NETWORKS), SEEDS, DTYPES),
)


class Evaluation(NamedTuple):
    """A point that was asked for, what was found there, and what had become of the method then."""

    point: Array
    loss: float
    gradient: Array
    solution: Array
    state: State


def run(method: Optimizer, objective: Objective, evaluations: int, rate: float = 1.0) -> list[Evaluation]:
    """All evaluations until the method has finished, as the epoch loop has them: it refuses what is not finite."""
    parameters, found = objective.start, []
    state = method.init(parameters)
    while len(found) < evaluations and not method.finished(state):
        loss, gradient = objective.value_and_gradient(parameters)
        assert method.tolerates_nonfinite(state) or (math.isfinite(loss) and np.isfinite(gradient).all())
        point = parameters
        parameters, state = method.update(loss, gradient, parameters, state, rate)
        found.append(Evaluation(point, loss, gradient, method.solution(parameters, state), state))
    return found


def accepted_points(evaluations: list[Evaluation]) -> list[Evaluation]:
    """The initial point, and those that became the solution."""
    found = [evaluations[0]]
    for evaluation in evaluations[1:]:
        if not np.array_equal(evaluation.solution, found[-1].point):
            np.testing.assert_array_equal(evaluation.solution, evaluation.point)
            found.append(evaluation)
    return found


@settings(max_examples=150)
@given(objective=OBJECTIVES, rate=RATES)
def test_the_strong_wolfe_conditions_hold_at_every_accepted_point_and_losses_never_rise(
    objective: Objective, rate: float
) -> None:
    accepted = accepted_points(run(LBFGS, objective, 60, rate))
    assert len(accepted) > 1
    for last, this in pairwise(accepted):
        before, after = (
            float(np.vdot(point.gradient.astype(float), this.point - last.point)) for point in (last, this)
        )
        rounding = 4 * float(np.finfo(this.point.dtype).eps)  # of the point: the step is not quite along the direction
        slack = [rounding * float(np.abs(point.gradient.astype(float)) @ np.abs(this.point)) for point in (last, this)]
        assert before < slack[0]
        assert this.loss <= last.loss
        assert this.loss <= last.loss + SUFFICIENT_DECREASE * (before + slack[0])
        assert abs(after) <= CURVATURE * (abs(before) + slack[0]) + slack[1]


@pytest.mark.parametrize("network", [logistic_regression, softmax_network])  # with one minimum that both get to
@pytest.mark.parametrize("seed", range(3))
def test_float32_gets_as_far_as_float64(network: Callable[..., Objective], seed: int) -> None:
    narrow, wide = (run(LBFGS, network(seed, dtype), 300)[-1].solution for dtype in (np.float32, np.float64))
    loss = network(seed).value_and_gradient
    assert loss(narrow.astype(np.float64))[0] <= 1.001 * loss(wide)[0]


@settings(max_examples=50)
@given(objective=OBJECTIVES, rate=RATES)
def test_the_first_trial_goes_down_the_gradient_by_at_most_the_learning_rate(objective: Objective, rate: float) -> None:
    first, second = run(LBFGS, objective, 2, rate)
    gradient = first.gradient.astype(float)
    expected = first.point - rate * min(1.0, 1 / float(np.abs(gradient).sum())) * gradient
    np.testing.assert_allclose(second.point, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(first.solution, objective.start)


@settings(max_examples=60)
@given(n=st.integers(1, 6), n_pairs=st.integers(1, 10), seed=SEEDS)
def test_the_two_loop_recursion_is_the_inverse_hessian_of_bfgs(n: int, n_pairs: int, seed: int) -> None:
    """Against (6.17) of Nocedal & Wright, with whole matrices: H⁺ = (I − ρsyᵀ) H (I − ρysᵀ) + ρssᵀ."""
    random = np.random.default_rng(seed)
    root = random.normal(size=(n, n))
    S = random.normal(size=(n_pairs, n))
    Y = S @ (root @ root.T + np.eye(n))
    H = np.eye(n) * (S[-1] @ Y[-1]) / (Y[-1] @ Y[-1])
    for s, y in zip(S, Y, strict=True):
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    gradient = random.normal(size=n)
    np.testing.assert_allclose(two_loop_recursion(gradient, S, Y), H @ gradient, rtol=1e-7, atol=1e-9)


def barrier(n: int, seed: int, *, only_the_gradient: bool) -> Objective:
    """Σ cx − ln x: its minimum is at 1/c, and nothing is finite where an x is not positive."""
    random = np.random.default_rng(seed)
    slopes = random.uniform(0.01, 10, n)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        if (x <= 0).any() or not np.isfinite(x).all():
            return -1e9 if only_the_gradient else math.nan, np.full_like(x, np.nan)
        return float(slopes @ x - np.log(x).sum()), slopes - 1 / x

    return Objective(value_and_gradient, random.uniform(0.01, 10, n))


@settings(max_examples=60)
@given(n=st.integers(1, 8), seed=SEEDS, rate=st.floats(1e-3, 1e9), only_the_gradient=st.booleans())
def test_a_trial_that_is_not_finite_is_too_far_and_nothing_else(
    n: int, seed: int, rate: float, *, only_the_gradient: bool
) -> None:
    objective = barrier(n, seed, only_the_gradient=only_the_gradient)
    last = run(LBFGS, objective, 300, rate)[-1]
    value, gradient = objective.value_and_gradient(last.solution)
    assert math.isfinite(value)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_a_learning_rate_beyond_the_range_of_the_dtype_does_no_harm() -> None:
    evaluations = run(LBFGS, in_dtype(quadratic(3, 10, 0), np.float32), 200, 1e39)
    np.testing.assert_array_equal(evaluations[-1].solution, evaluations[0].point)
    assert not any(np.isfinite(evaluation.point).all() for evaluation in evaluations[1:2])


def checkpointed(state: State) -> State:
    """The state after a round through .npz and strict JSON."""
    arrays, plain = io.BytesIO(), {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    np.savez(arrays, **{name: value for name, value in state.items() if isinstance(value, np.ndarray)})
    arrays.seek(0)
    with np.load(arrays) as stored:
        return json.loads(json.dumps(plain, allow_nan=False)) | dict(stored)


@settings(max_examples=100)
@given(
    objective=OBJECTIVES | st.builds(lambda seed: barrier(3, seed, only_the_gradient=False), SEEDS),
    rate=RATES,
    before=st.integers(0, 40),
)
def test_a_resumed_run_visits_the_same_bits(objective: Objective, rate: float, before: int) -> None:
    """In the middle of line searches too: n evaluations are k and, from a checkpoint, n − k."""
    evaluations = run(LBFGS, objective, 50, rate)
    parameters, state = objective.start, LBFGS.init(objective.start)
    for place, evaluation in enumerate(evaluations):
        if place == before:
            parameters, state = parameters.copy(), checkpointed(state)
        assert parameters.tobytes() == evaluation.point.tobytes()
        parameters, state = LBFGS.update(*objective.value_and_gradient(parameters), parameters, state, rate)
        assert LBFGS.solution(parameters, state).tobytes() == evaluation.solution.tobytes()


@settings(max_examples=50)
@given(objective=OBJECTIVES, rate=RATES)
def test_an_update_writes_to_no_array_that_it_was_given(objective: Objective, rate: float) -> None:
    def frozen(array: Array) -> Array:
        array.flags.writeable = False
        return array

    def freeze(state: State) -> State:
        return {name: frozen(value) if isinstance(value, np.ndarray) else value for name, value in state.items()}

    parameters = frozen(objective.start)
    state = freeze(LBFGS.init(parameters))
    for _ in range(40):
        loss, gradient = objective.value_and_gradient(parameters)
        reused = gradient.copy()
        parameters, state = LBFGS.update(loss, frozen(reused), frozen(parameters), state, rate)
        reused.flags.writeable = True
        reused.fill(np.nan)  # a caller may use its buffer again: the state keeps no view of it
        freeze(state)
        assert all(np.isfinite(value).all() for value in state.values() if isinstance(value, np.ndarray))
        assert all(value.dtype == parameters.dtype for value in state.values() if isinstance(value, np.ndarray))


@pytest.mark.parametrize("history", [1, 3, 10])
def test_no_more_pairs_are_kept_than_asked_for(history: int) -> None:
    method, objective = optimizer({"name": "lbfgs", "history": history}), rosenbrock(5, 0)
    evaluations = run(method, objective, 40)
    assert max(len(evaluation.state["displacements"]) for evaluation in evaluations) == history
    assert evaluations[-1].state["displacements"].shape == evaluations[-1].state["gradient_changes"].shape


@pytest.mark.parametrize(
    "objective", [rosenbrock(6, 0), quadratic(10, 100, 0), logistic_regression(0), softmax_network(0)]
)
def test_it_finishes_at_a_minimum_and_stays_there(objective: Objective) -> None:
    last = run(LBFGS, objective, 1000)[-1]
    assert LBFGS.finished(last.state)
    assert np.linalg.norm(objective.value_and_gradient(last.solution)[1]) <= 1e-6
    parameters, state = LBFGS.update(math.nan, last.gradient, last.point, last.state, 1.0)
    np.testing.assert_array_equal(parameters, last.solution)
    assert LBFGS.finished(state)
    assert LBFGS.solution(parameters, state) is last.solution


def test_it_finishes_without_another_search_where_the_loss_could_not_show_a_decrease() -> None:
    objective = quadratic(10, 100, 0)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        value, gradient = objective.value_and_gradient(x)
        return 1 + value, gradient

    last = run(LBFGS, Objective(value_and_gradient, objective.start), 100)[-1]
    assert LBFGS.finished(last.state)
    np.testing.assert_array_equal(last.solution, last.point)
    np.testing.assert_allclose(last.gradient, 0, atol=1e-6)


@pytest.mark.parametrize(("y", "kept"), [((0.5, 3.0), 1), ((-0.5, 1.0), 0), ((1e-20, 1.0), 0), ((0.0, 0.0), 0)])
def test_a_pair_without_positive_curvature_is_left_out(y: tuple[float, float], kept: int) -> None:
    state = LBFGS.init(np.zeros(2)) | {"gradient": np.array([1.0, 2.0])}
    accepted = _accept(state, np.array([1.0, 0.0]), state["gradient"] + y, 10)
    assert len(accepted["displacements"]) == len(accepted["gradient_changes"]) == kept
    np.testing.assert_array_equal(accepted["accepted"], [1, 0])


def test_it_finishes_at_once_where_the_gradient_is_zero() -> None:
    start = np.ones(3)
    (only,) = run(LBFGS, Objective(lambda x: (0.0, np.zeros_like(x)), start), 10)
    assert LBFGS.finished(only.state)
    np.testing.assert_array_equal(only.solution, start)


def test_it_finishes_where_it_started_if_no_step_goes_down() -> None:
    """A gradient that points the wrong way, as a wrong derivative would."""
    objective = Objective(lambda x: (float(x @ x), -x), np.ones(2))
    evaluations = run(LBFGS, objective, 1000)
    assert LBFGS.finished(evaluations[-1].state)
    assert len(evaluations) < MOST_EVALUATIONS  # soon the steps are so short that rounding swallows them
    np.testing.assert_array_equal(evaluations[-1].solution, [1, 1])


def test_a_search_that_fails_is_followed_by_one_down_the_gradient_without_the_history() -> None:
    """|x₀| + ½ Σ x²: no point near its kink meets the curvature condition."""
    kink = Objective(lambda x: (float(abs(x[0]) + 0.5 * x @ x), x + np.sign(x) * [1, 0]), np.array([3.0, 2.0]))
    evaluations = run(LBFGS, kink, 1000)
    n_pairs = [len(evaluation.state["displacements"]) for evaluation in evaluations]
    forgotten = evaluations[n_pairs.index(0, 1)]
    accepted = accepted_points(evaluations)[-1]
    np.testing.assert_array_equal(forgotten.state["direction"], -accepted.gradient)
    assert max(n_pairs) > 0
    assert n_pairs[-1] == 0
    assert LBFGS.finished(evaluations[-1].state)
    assert accepted.loss < 0.1 * evaluations[0].loss
    assert len(evaluations) <= n_pairs.index(0, 1) + 1 + MOST_EVALUATIONS


def test_it_goes_on_after_a_search_that_failed() -> None:
    """For a while, nothing is finite; from the search down the gradient on, everything is again."""
    objective = rosenbrock(4, 0)
    before = run(LBFGS, objective, 20)[-1]
    state = before.state
    while len(state["displacements"]):
        parameters, state = LBFGS.update(math.nan, before.gradient, before.point, state, 1.0)
        np.testing.assert_array_equal(LBFGS.solution(parameters, state), before.solution)
    while not LBFGS.finished(state):
        parameters, state = LBFGS.update(*objective.value_and_gradient(parameters), parameters, state, 1.0)
    assert objective.value_and_gradient(before.solution)[0] > 1e-3
    assert objective.value_and_gradient(LBFGS.solution(parameters, state))[0] < 1e-12
