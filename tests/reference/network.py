"""Networks, their losses and penalties as PyTorch has them: written from docs/MATH.md, not from workers/."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.network import Network

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda z: z,
    "softmax": lambda z: torch.softmax(z, dim=1),
}


def reference_loss(
    network: Network,
    parameters: Sequence[tuple[Tensor, Tensor]],
    X: Tensor,
    T: Tensor,
    row_weights: Tensor | None,
    masks: Sequence[Tensor] | None = None,
    *,
    bias: bool = True,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Tensor:
    """Σ_i w_i E_i / Σ_i w_i + l2/2 Σ W² + l1 Σ |W|, from which autograd takes the gradient.

    `parameters` are weights (n_out, n_in) and biases (n_out,) of each layer; without `bias`, biases are ignored.
    `masks` (rows, n) multiply the outputs of each hidden layer: 0 for what drops out, 1/(1 − p) for the rest.
    """
    inputs = X
    for place, (weights, biases) in enumerate(parameters):
        z = functional.linear(inputs, weights, biases if bias else None)
        if place < len(parameters) - 1:
            inputs = ACTIVATIONS[network.activation](z)
            inputs = inputs if masks is None else inputs * masks[place]
    errors = row_errors(network, z, T)
    w = torch.ones_like(errors) if row_weights is None else row_weights
    penalty = sum(l2 / 2 * weights.square().sum() + l1 * weights.abs().sum() for weights, _ in parameters)
    return (w * errors).sum() / w.sum() + penalty


def row_errors(network: Network, z: Tensor, T: Tensor) -> Tensor:
    """E_i (rows,) from the output layer's z (rows, n_outputs)."""
    if network.loss == "squared_error":
        return 0.5 * (ACTIVATIONS[network.output_activation](z) - T).square().sum(dim=1)
    if network.output_activation == "softmax":
        return functional.cross_entropy(z, T, reduction="none")
    return functional.binary_cross_entropy_with_logits(z, T, reduction="none").sum(dim=1)
