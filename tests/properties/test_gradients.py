"""Backpropagation against differences of the loss, for every combination of functions and depths."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.losses import LOSSES
from workers.network import Network, Workspace, layer_views, n_parameters, outputs_and_error, shard_share

Floats = NDArray[np.float64]

STEP = 1e-3  # fourth-order differences: truncation and rounding are both near 1e-13 here
ROWS = 5
HIDDEN = ("sigmoid", "tanh", "relu", "identity")
PLAIN: dict[str, Callable[[Floats], Floats]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}
CASES = list(product(HIDDEN, sorted(LOSSES), range(5), (False, True)))  # 280 networks


class Case(NamedTuple):
    """A network, where it stands, and its rows."""

    network: Network
    parameters: Floats
    X: Floats
    T: Floats
    row_weights: Floats | None


def draw(case: tuple[str, tuple[str, str], int, bool], random: np.random.Generator) -> Case:
    """A random network with hidden layers of 1 to 8 nodes, and rows for it."""
    activation, (loss, output_activation), depth, weighted = case
    fewest_outputs = 2 if output_activation == "softmax" else 1  # softmax over one output is constant
    sizes = (*random.integers(1, 9, depth + 1).tolist(), int(random.integers(fewest_outputs, 9)))
    network = Network(sizes, activation, output_activation, loss)
    parameters = np.zeros(n_parameters(network))
    for weights, biases in layer_views(network, parameters):
        weights[...] = random.normal(0, 1.5 / np.sqrt(weights.shape[1]), weights.shape)
        biases[...] = random.normal(0, 0.3, biases.shape)
    T = np.eye(sizes[-1])[random.integers(0, sizes[-1], ROWS)]
    if loss == "squared_error" or output_activation == "sigmoid":
        T = random.uniform(0, 1, T.shape)
    row_weights = random.uniform(0.1, 3, ROWS) if weighted else None
    return Case(network, parameters, random.normal(0, 1, (ROWS, sizes[0])), T, row_weights)


def relu_pattern(case: Case, parameters: Floats) -> bytes:
    """Which relu nodes are active for which rows: where it changes between two points, there is a kink between them."""
    found, inputs, layers = [], case.X, layer_views(case.network, parameters)
    for place, (weights, biases) in enumerate(layers):
        z = inputs @ weights.T + biases
        activation = case.network.output_activation if place == len(layers) - 1 else case.network.activation
        found.append(z > 0 if activation == "relu" else z == np.inf)
        inputs = PLAIN[activation](z) if activation in PLAIN else z
    return b"".join(active.tobytes() for active in found)


def differences(case: Case) -> Floats | None:
    """(8 (E(+h) − E(−h)) − (E(+2h) − E(−2h))) / 12h for each parameter; None where a relu's kink lies in between."""
    total_weight = ROWS if case.row_weights is None else case.row_weights.sum()
    workspace = Workspace(case.network, np.float64, ROWS)
    pattern, slopes = relu_pattern(case, case.parameters), np.empty_like(case.parameters)
    for place in range(len(slopes)):
        losses = {}
        for steps in (-2, -1, 1, 2):
            moved = case.parameters.copy()
            moved[place] += steps * STEP
            if relu_pattern(case, moved) != pattern:
                return None
            losses[steps] = outputs_and_error(case.network, moved, case.X, case.T, case.row_weights, workspace)[1]
        slopes[place] = (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * STEP)
    return slopes / total_weight


def layer_norms(network: Network, flat: NDArray[Any]) -> list[float]:
    return [float(np.hypot(np.linalg.norm(w), np.linalg.norm(b))) for w, b in layer_views(network, flat)]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_gradient_equals_central_differences_of_the_loss(number: int) -> None:
    random = np.random.default_rng(number)
    for _ in range(1000):  # another draw where a kink is near, or all of a layer's relus are off or a unit is saturated
        case = draw(CASES[number], random)
        expected = differences(case)
        if expected is not None and min(layer_norms(case.network, expected)) > 1e-5:
            break
    else:
        pytest.fail("No network without a kink was drawn.")
    total_weight = ROWS if case.row_weights is None else case.row_weights.sum()
    workspace = Workspace(case.network, np.float64, 2)  # three blocks
    _, gradient = shard_share(
        case.network, case.parameters, case.X, case.T, case.row_weights, float(total_weight), workspace
    )
    errors = layer_norms(case.network, gradient - expected)
    for error, norm in zip(errors, layer_norms(case.network, expected), strict=True):
        assert error / norm <= 1e-7
