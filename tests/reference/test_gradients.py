"""Backpropagation against PyTorch's autograd, which knows nothing of layers, deltas or blocks of rows."""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.reference.network import reference_loss
from workers.losses import LOSSES
from workers.network import Network, Workspace, layer_views, n_parameters, shard_share
from workers.objective import Penalty, objective

Floats = NDArray[np.float64]

HIDDEN = ("sigmoid", "tanh", "relu", "identity")
DEPTHS = range(6)
CASES = list(product(HIDDEN, sorted(LOSSES), DEPTHS, (False, True)))  # 336 networks
BLOCK_ROWS = 8


class Case(NamedTuple):
    """A network, where it stands, and its rows."""

    network: Network
    parameters: Floats
    X: Floats
    T: Floats
    row_weights: Floats | None
    masks: list[Floats] | None  # of dropout, for each hidden layer
    penalty: Penalty


def draw(number: int) -> Case:
    """A random network with hidden layers of 1 to 40 nodes, and 1 to 40 rows for it."""
    activation, (loss, output_activation), depth, weighted = CASES[number]
    random = np.random.default_rng(number)
    sizes = tuple(random.integers(1, 41, depth + 2).tolist())
    network = Network(sizes, activation, output_activation, loss, bias=bool(random.random() < 0.7))
    parameters = np.zeros(n_parameters(network))
    for weights, biases in layer_views(network, parameters):
        weights[...] = random.normal(0, 1.5 / np.sqrt(weights.shape[1]), weights.shape)
        biases[...] = random.normal(0, 0.3, biases.shape) if network.bias else 0
    n_rows = int(random.integers(1, 41))
    X, T = random.normal(0, 1, (n_rows, sizes[0])), random.uniform(0, 1, (n_rows, sizes[-1]))
    if output_activation == "softmax" and loss == "cross_entropy":
        T = random.dirichlet(np.ones(sizes[-1]), n_rows)
    row_weights = random.uniform(0.1, 3, n_rows) if weighted else None
    masks = [random.choice([0.0, 1 / 0.7], (n_rows, n), p=[0.3, 0.7]) for n in sizes[1:-1]]
    l1, l2 = random.choice([0.0, 0.05], 2)
    drops = random.random() < 0.5
    return Case(network, parameters, X, T, row_weights, masks if drops else None, Penalty(l1, l2, None))


def loss_and_gradient(case: Case) -> tuple[float, Floats]:
    """Those of workers/, over several blocks of rows."""
    total_weight = len(case.X) if case.row_weights is None else float(case.row_weights.sum())
    workspace, masks = Workspace(case.network, np.float64, BLOCK_ROWS), case.masks
    of_block = None if masks is None else lambda block: [mask[block] for mask in masks]
    loss, gradient = shard_share(
        case.network, case.parameters, case.X, case.T, case.row_weights, total_weight, workspace, masks=of_block
    )
    return objective(case.network, case.penalty, loss, gradient, float(np.linalg.norm(gradient)), case.parameters)


def loss_and_gradient_of_the_reference(case: Case) -> tuple[float, Floats]:
    """Those of PyTorch; the gradient is flat too."""
    flat = case.parameters.copy()
    layers = [
        (torch.from_numpy(weights).requires_grad_(), torch.from_numpy(biases).requires_grad_())
        for weights, biases in layer_views(case.network, flat)
    ]
    row_weights = None if case.row_weights is None else torch.from_numpy(case.row_weights)
    loss = reference_loss(
        case.network,
        layers,
        torch.from_numpy(case.X),
        torch.from_numpy(case.T),
        row_weights,
        None if case.masks is None else [torch.from_numpy(mask) for mask in case.masks],
        bias=case.network.bias,
        l1=case.penalty.l1,
        l2=case.penalty.l2,
    )
    tensors = [tensor for layer in layers for tensor in layer]
    slopes = torch.autograd.grad(loss, tensors, allow_unused=True)
    zeros = (
        torch.zeros_like(tensor) if slope is None else slope for slope, tensor in zip(slopes, tensors, strict=True)
    )
    return float(loss.detach()), np.concatenate([slope.numpy().ravel() for slope in zeros])


def layer_norms(network: Network, flat: NDArray[Any]) -> list[float]:
    return [float(np.hypot(np.linalg.norm(w), np.linalg.norm(b))) for w, b in layer_views(network, flat)]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_loss_and_gradient_are_those_of_autograd(number: int) -> None:
    case = draw(number)
    loss, gradient = loss_and_gradient(case)
    expected_loss, expected = loss_and_gradient_of_the_reference(case)
    assert loss == pytest.approx(expected_loss, rel=1e-12, abs=1e-15)
    errors = layer_norms(case.network, gradient - expected)
    for error, norm in zip(errors, layer_norms(case.network, expected), strict=True):
        assert error <= 1e-10 * norm + 1e-18  # all relus of a layer may be off


def test_the_networks_that_are_drawn_have_gradients() -> None:
    norms = [layer_norms(case.network, loss_and_gradient(case)[1]) for case in map(draw, range(len(CASES)))]
    assert sum(min(of_layers) > 1e-6 for of_layers in norms) >= 250
