"""Updates against plain formulas, number by number."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workers.optimizers import Array, Optimizer, optimizer

OPTIONS: list[dict[str, Any]] = [
    {"name": "gradient_descent"},
    {"name": "momentum", "beta": 0.8, "nesterov": False},
    {"name": "momentum", "beta": 0.8, "nesterov": True},
    {"name": "adam", "beta1": 0.85, "beta2": 0.99, "epsilon": 1e-7},
    {"name": "rprop"},
]
RATE = 0.3


def slope(w: float) -> float:
    """The derivative of a function worth descending."""
    return math.sin(w) + 0.5 * w


def descend(method: Optimizer, start: float, steps: int) -> list[float]:
    """The points that `method` visits."""
    parameters = np.array([start])
    state, found = method.init(parameters), []
    for _ in range(steps):
        gradient = np.array([slope(float(parameters[0]))])
        parameters, state = method.update(0.0, gradient, parameters, state, RATE)
        found.append(float(method.solution(parameters, state)[0]))
    return found


def gradient_descent(w: float, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        w = w - RATE * slope(w)
        found.append(w)
    return found


def momentum(w: float, steps: int, *, beta: float = 0.8, nesterov: bool = False) -> list[float]:
    v, found = 0.0, []
    for _ in range(steps):
        g = slope(w)
        v = beta * v + g
        w = w - RATE * (g + beta * v if nesterov else v)
        found.append(w)
    return found


def adam(w: float, steps: int) -> list[float]:
    m = v = 0.0
    found = []
    for t in range(1, steps + 1):
        g = slope(w)
        m = 0.85 * m + 0.15 * g
        v = 0.99 * v + 0.01 * g * g
        w = w - RATE * (m / (1 - 0.85**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-7)
        found.append(w)
    return found


def rprop(w: float, steps: int) -> list[float]:
    size, last, found = RATE, 0.0, []
    for _ in range(steps):
        g = slope(w)
        if g * last > 0:
            size = min(1.2 * size, 50)
        elif g * last < 0:
            size, g = max(0.5 * size, 1e-6), 0.0
        if g != 0:
            w = w - math.copysign(size, g)
        last = g
        found.append(w)
    return found


PLAIN: list[Callable[[float, int], list[float]]] = [
    gradient_descent,
    momentum,
    lambda w, steps: momentum(w, steps, nesterov=True),
    adam,
    rprop,
]


@pytest.mark.parametrize(("options", "plain"), list(zip(OPTIONS, PLAIN, strict=True)))
def test_an_optimizer_visits_the_points_of_its_formula(
    options: dict[str, Any], plain: Callable[[float, int], list[float]]
) -> None:
    assert descend(optimizer(options), 2.0, 25) == pytest.approx(plain(2.0, 25), rel=1e-12)


@pytest.mark.parametrize("options", [*OPTIONS, {"name": "lbfgs"}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_and_state_keep_the_dtype_of_the_job(options: dict[str, Any], dtype: type) -> None:
    method = optimizer(options)
    parameters: Array = np.ones(3, dtype)
    state = method.init(parameters)
    for _ in range(3):
        parameters, state = method.update(1.0, np.full(3, 0.1, dtype), parameters, state, 0.01)
    assert parameters.dtype == dtype
    assert all(value.dtype == dtype for value in state.values() if isinstance(value, np.ndarray))


@pytest.mark.parametrize("options", [*OPTIONS, {"name": "lbfgs"}])
def test_an_update_leaves_its_arguments_as_they_were(options: dict[str, Any]) -> None:
    method, parameters, gradient = optimizer(options), np.ones(3), np.full(3, 0.5)
    state = method.init(parameters)
    _, later = method.update(1.0, gradient, parameters, state, 0.1)
    kept = {name: np.copy(value) for name, value in later.items()}
    method.update(1.0, gradient, parameters, later, 0.1)
    np.testing.assert_array_equal(parameters, 1)
    np.testing.assert_array_equal(gradient, 0.5)
    for name, value in kept.items():
        np.testing.assert_array_equal(value, later[name])


@pytest.mark.parametrize("options", [*OPTIONS, {"name": "lbfgs"}])
def test_a_gradient_near_the_end_of_the_range_raises_no_warning(options: dict[str, Any]) -> None:
    method, parameters = optimizer(options), np.ones(2, np.float32)
    state = method.init(parameters)
    for _ in range(2):
        parameters, state = method.update(1.0, np.full(2, 3e38, np.float32), parameters, state, 100.0)


def test_adam_of_the_defaults_moves_by_the_learning_rate_first() -> None:
    method, parameters = optimizer({"name": "adam"}), np.zeros(2)
    moved, _ = method.update(0.0, np.array([5.0, -0.01]), parameters, method.init(parameters), 0.1)
    np.testing.assert_allclose(moved, [-0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize(("rate", "first"), [(1e-9, 1e-6), (0.25, 0.25), (1e6, 50.0)])
def test_a_step_size_of_rprop_stays_within_its_limits(rate: float, first: float) -> None:
    method, parameters = optimizer({"name": "rprop"}), np.zeros(1)
    state = method.init(parameters)
    for place in range(100):
        last, gradient = parameters, np.array([-1.0 if place < 40 else (-1.0) ** place])
        parameters, state = method.update(0.0, gradient, parameters, state, rate)
        assert abs(parameters - last)[0] <= 50 + 1e-12
        assert 1e-6 <= state["step_sizes"][0] <= 50
        if place == 0:
            assert parameters[0] == first


def test_rprop_compares_signs_where_the_product_of_two_gradients_would_vanish() -> None:
    method, parameters = optimizer({"name": "rprop"}), np.zeros(1, np.float32)
    state, tiny = method.init(parameters), np.full(1, -1e-30, np.float32)
    for _ in range(2):
        parameters, state = method.update(0.0, tiny, parameters, state, 1.0)
    assert parameters[0] == pytest.approx(2.2)


@pytest.mark.parametrize("options", OPTIONS)
def test_only_lbfgs_tolerates_trials_and_finishes(options: dict[str, Any]) -> None:
    method, parameters = optimizer(options), np.zeros(2)
    _, state = method.update(0.0, np.zeros(2), parameters, method.init(parameters), 0.1)
    assert not method.finished(state)
    assert not method.tolerates_nonfinite(state)
