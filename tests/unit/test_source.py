"""The source document's own figures, and its pseudo-code, loop by loop, beside the real core."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.network import Network, Workspace, layer_views, n_parameters, outputs_and_error, shard_share
from workers.optimizers import gradient_descent

Floats = NDArray[np.float64]
Layers = list[tuple[list[list[float]], list[float]]]  # weights[node][input] and biases[node] of each layer


def bias_for(output: float, net: float) -> float:
    """The bias with which a sigmoid node whose inputs add up to `net` answers `output`."""
    return math.log(output / (1 - output)) - net


def worked_example() -> tuple[Network, Floats, Floats, Floats]:
    """Figure 4's last node: w_1 = 0.92 is also the hidden output it weighs, the node answers 0.79 and should say 1."""
    network = Network((2, 2, 2), "sigmoid", "sigmoid", "squared_error")
    parameters = np.zeros(n_parameters(network))
    (hidden, hidden_biases), (last, last_biases) = layer_views(network, parameters)
    X = np.array([[1.0, 0.5]])
    hidden[...] = [[0.3, 0.4], [0.1, -0.2]]
    hidden_biases[...] = [bias_for(0.92, 0.3 + 0.2), 0.0]  # the other hidden node answers ½
    last[...] = [[0.92, 0.6], [0.2, 0.7]]
    last_biases[...] = [bias_for(0.79, 0.92 * 0.92 + 0.6 * 0.5), 0.1]
    other_output = 1 / (1 + math.exp(-(0.2 * 0.92 + 0.7 * 0.5 + 0.1)))
    return network, parameters, X, np.array([[1.0, other_output]])


def test_the_worked_example_gives_the_figures_of_the_source() -> None:
    network, parameters, X, T = worked_example()
    workspace = Workspace(network, np.float64, 1)
    assert outputs_and_error(network, parameters, X, T, None, workspace)[0][0, 0] == pytest.approx(0.79, abs=1e-14)
    loss, gradient = shard_share(network, parameters, X, T, None, 1, workspace)
    assert loss == pytest.approx(0.5 * 0.21**2, abs=1e-14)
    assert layer_views(network, gradient)[1][0][0, 0] == pytest.approx(-0.03205188, abs=1e-14)

    method = gradient_descent()
    updated, _ = method.update(loss, gradient, parameters, method.init(parameters), 1.0)
    assert layer_views(network, updated)[1][0][0, 0] == pytest.approx(0.95205188, abs=1e-14)


def predict(layers: Layers, sample: list[float]) -> list[list[float]]:
    """The outputs of all layers; those of the input layer are the sample."""
    found = [sample]
    for weights, biases in layers:
        answers = []
        for node in range(len(weights)):
            net = 0.0
            for place, value in enumerate(found[-1]):
                net += weights[node][place] * value
            answers.append(1 / (1 + math.exp(-(net + biases[node]))))
        found.append(answers)
    return found


def back_propagate(
    affect_on_error: list[float], layer: int, found: list[list[float]], layers: Layers, change: Layers, n_samples: int
) -> None:
    """The source's _BackProp, with biases, and divided by the number of training samples as its text says."""
    if layer == 0:
        return
    weights, before = layers[layer - 1][0], found[layer - 1]
    deltas = [affect * out * (1 - out) for affect, out in zip(affect_on_error, found[layer], strict=True)]
    affect_next = [0.0] * len(before)
    for node, delta in enumerate(deltas):
        for place, value in enumerate(before):
            change[layer - 1][0][node][place] += value * delta / n_samples
            affect_next[place] += delta * weights[node][place]
        change[layer - 1][1][node] += delta / n_samples
    back_propagate(affect_next, layer - 1, found, layers, change, n_samples)


def train_once(layers: Layers, samples: list[list[float]], targets: list[list[float]]) -> Layers:
    """The layers after one update from all samples, at learning rate 1."""
    change: Layers = [([[0.0] * len(row) for row in weights], [0.0] * len(biases)) for weights, biases in layers]
    for sample, target in zip(samples, targets, strict=True):
        found = predict(layers, sample)
        affect = [-(wanted - out) for wanted, out in zip(target, found[-1], strict=True)]
        back_propagate(affect, len(layers), found, layers, change, len(samples))
    return [
        (
            [[w - c for w, c in zip(*rows, strict=True)] for rows in zip(weights, weight_changes, strict=True)],
            [b - c for b, c in zip(biases, bias_changes, strict=True)],
        )
        for (weights, biases), (weight_changes, bias_changes) in zip(layers, change, strict=True)
    ]


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (5, 4, 3, 2), (2, 3, 1, 4, 3), (7, 5, 5, 5, 5, 1)])
def test_the_core_equals_the_pseudo_code_of_the_source_loop_by_loop(sizes: tuple[int, ...]) -> None:
    network = Network(sizes, "sigmoid", "sigmoid", "squared_error")
    random = np.random.default_rng(len(sizes))
    parameters = random.normal(0, 1, n_parameters(network))
    X, T = random.normal(0, 1, (11, sizes[0])), random.uniform(0, 1, (11, sizes[-1]))
    layers: Layers = [(weights.tolist(), biases.tolist()) for weights, biases in layer_views(network, parameters)]
    method = gradient_descent()
    state = method.init(parameters)
    for _ in range(3):
        loss, gradient = shard_share(network, parameters, X, T, None, len(X), Workspace(network, np.float64, 4))
        parameters, state = method.update(loss, gradient, parameters, state, 1.0)
        layers = train_once(layers, X.tolist(), T.tolist())
    for (weights, biases), (expected_weights, expected_biases) in zip(
        layer_views(network, parameters), layers, strict=True
    ):
        np.testing.assert_allclose(weights, expected_weights, rtol=1e-12)
        np.testing.assert_allclose(biases, expected_biases, rtol=1e-12)
