"""Backpropagation against differences of the objective: every combination of functions and depths, and every option."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.losses import LOSSES
from workers.network import Masks, Network, Workspace, layer_views, n_parameters, shard_share
from workers.objective import Penalty, norm, objective

Floats = NDArray[np.float64]

STEP = 1e-3  # fourth-order differences: truncation and rounding are both near 1e-13 here
ROWS = 5
HIDDEN = ("sigmoid", "tanh", "relu", "identity")
PLAIN: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}
OPTIONS = ("plain", "row weights", "dropout", "no biases", "penalties", "all")
CASES = list(product(HIDDEN, sorted(LOSSES), range(5), ("plain", "row weights"))) + list(
    product(HIDDEN, sorted(LOSSES), (1, 3), OPTIONS[2:])
)  # 280 networks, and 224 with options


class Case(NamedTuple):
    """A network, where it stands, its rows, and what is minimised."""

    network: Network
    parameters: Floats
    X: Floats
    T: Floats
    row_weights: Floats | None
    masks: Masks | None
    penalty: Penalty


def draw(case: tuple[str, tuple[str, str], int, str], random: np.random.Generator) -> Case:
    """A random network with hidden layers of 1 to 8 nodes, and rows for it."""
    activation, (loss, output_activation), depth, option = case
    weighted, dropout, unbiased, penalised = (option in {name, "all"} for name in OPTIONS[1:5])
    fewest_outputs = 2 if output_activation == "softmax" else 1  # softmax over one output is constant
    sizes = (*random.integers(1, 9, depth + 1).tolist(), int(random.integers(fewest_outputs, 9)))
    network = Network(sizes, activation, output_activation, loss, bias=not unbiased)
    parameters = np.zeros(n_parameters(network))
    for weights, biases in layer_views(network, parameters):
        weights[...] = random.normal(0, 1.5 / np.sqrt(weights.shape[1]), weights.shape)
        biases[...] = 0 if unbiased else random.normal(0, 0.3, biases.shape)
    T = np.eye(sizes[-1])[random.integers(0, sizes[-1], ROWS)]
    if loss == "squared_error" or output_activation == "sigmoid":
        T = random.uniform(0, 1, T.shape)
    row_weights = random.uniform(0.1, 3, ROWS) if weighted else None
    X = random.normal(0, 1, (ROWS, sizes[0]))
    masks = [random.choice([0.0, 1.25], (ROWS, size), p=[0.2, 0.8]) for size in sizes[1:-1]] if dropout else None
    penalty = Penalty(0.02, 0.3, None) if penalised else Penalty(0.0, 0.0, None)
    return Case(network, parameters, X, T, row_weights, masks, penalty)


def minimised(case: Case, parameters: Floats, block: int = ROWS) -> tuple[float, Floats]:
    """The objective and its gradient, computed in blocks of so many rows."""
    total_weight = ROWS if case.row_weights is None else case.row_weights.sum()
    masks, workspace = case.masks, Workspace(case.network, np.float64, block)
    loss, gradient = shard_share(
        case.network,
        parameters,
        case.X,
        case.T,
        case.row_weights,
        float(total_weight),
        workspace,
        masks=None if masks is None else lambda rows: [mask[rows] for mask in masks],
    )
    return objective(case.network, case.penalty, loss, gradient, norm(gradient), parameters)


def kinks(case: Case, parameters: Floats) -> bytes:
    """Which relu nodes are active for which rows, and the signs of weights with an l1 penalty.

    Where it changes between two points, there is a kink between them.
    """
    found, inputs, layers = [], case.X, layer_views(case.network, parameters)
    for place, (weights, biases) in enumerate(layers):
        z = inputs @ weights.T + biases
        activation = case.network.output_activation if place == len(layers) - 1 else case.network.activation
        found.append(z > 0 if activation == "relu" else z == np.inf)
        inputs = PLAIN[activation](z) if activation in PLAIN else z
        if case.masks is not None and place < len(case.masks):
            inputs = inputs * case.masks[place]
        found += [np.signbit(weights)] if case.penalty.l1 > 0 else []
    return b"".join(active.tobytes() for active in found)


def differences(case: Case) -> Floats | None:
    """(8 (E(+h) − E(−h)) − (E(+2h) − E(−2h))) / 12h for each parameter; None where a kink lies in between."""
    pattern, slopes = kinks(case, case.parameters), np.empty_like(case.parameters)
    for place in range(len(slopes)):
        losses = {}
        for steps in (-2, -1, 1, 2):
            moved = case.parameters.copy()
            moved[place] += steps * STEP
            if kinks(case, moved) != pattern:
                return None
            losses[steps] = minimised(case, moved)[0]
        slopes[place] = (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * STEP)
    return slopes


def layer_norms(network: Network, flat: NDArray[Any]) -> list[float]:
    return [float(np.hypot(np.linalg.norm(w), np.linalg.norm(b))) for w, b in layer_views(network, flat)]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_gradient_equals_central_differences_of_what_is_minimised(number: int) -> None:
    random = np.random.default_rng(number)
    for _ in range(1000):  # another draw where a kink is near, or all of a layer's relus are off or a unit is saturated
        case = draw(CASES[number], random)
        expected = differences(case)
        if expected is not None and min(layer_norms(case.network, expected)) > 1e-5:
            break
    else:
        pytest.fail("No network without a kink was drawn.")
    _, gradient = minimised(case, case.parameters, 2)  # three blocks
    errors = layer_norms(case.network, gradient - expected)
    for error, size in zip(errors, layer_norms(case.network, expected), strict=True):
        assert error / size <= 1e-7
