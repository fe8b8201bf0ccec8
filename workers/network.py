"""Forward propagation and backpropagation of feed-forward networks, by blocks of rows.

Parameters and gradients are one flat vector each: weights_0, biases_0, weights_1, biases_1 …, with weights_l of shape
(n_out, n_in). A layer computes z = a·Wᵀ + b and a = σ(z) for all rows of a block at once.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .activations import ACTIVATIONS, Array
from .losses import LOSSES

BLOCK_BYTES = 2 << 20  # what a block's numbers may take of the caches
SMALLEST_BLOCK, LARGEST_BLOCK = 512, 2048  # rows: fewer make matrix products slow, more leave the cache for nothing


class Network(NamedTuple):
    """The shape of a network and the names of its functions."""

    sizes: tuple[int, ...]
    """n_inputs, the sizes of the hidden layers (there may be none), n_outputs."""
    activation: str
    output_activation: str
    loss: str
    bias: bool = True
    """Without, all biases stay 0."""


Layers = list[tuple[Array, Array]]
"""Weights (n_out, n_in) and biases (n_out,) of each layer."""
Masks = Sequence[Array]
"""What each hidden layer's outputs (rows, n) are multiplied by: 0 for those that dropout leaves out."""


def n_parameters(network: Network) -> int:
    """The length of the flat vector: all weights and biases, also those that stay 0."""
    return sum(n_out * (n_in + 1) for n_in, n_out in pairwise(network.sizes))


def layer_views(network: Network, flat: Array) -> Layers:
    """Weights (n_out, n_in) and biases (n_out,) of each layer, as views of the flat vector."""
    views, start = [], 0
    for n_in, n_out in pairwise(network.sizes):
        biases_start = start + n_out * n_in
        end = biases_start + n_out
        views.append((flat[start:biases_start].reshape(n_out, n_in), flat[biases_start:end]))
        start = end
    return views


def block_rows(sizes: Sequence[int], dtype: DTypeLike) -> int:
    """The rows of a block: the largest power of two whose inputs, outputs of layers and deltas fit the cache.

    A function of layer sizes and dtype alone, because the order of a float sum is part of the result.
    """
    bytes_per_row = np.dtype(dtype).itemsize * (sizes[0] + 2 * sum(sizes[1:]))
    rows = 1 << max(BLOCK_BYTES // bytes_per_row, 1).bit_length() - 1
    return min(max(rows, SMALLEST_BLOCK), LARGEST_BLOCK)


class Workspace:
    """The buffers that one thread needs for the blocks of one network: the loop over blocks allocates none."""

    def __init__(self, network: Network, dtype: DTypeLike, rows: int) -> None:
        widest = max(network.sizes[1:])
        self.rows = rows
        self.ones = np.ones(rows, dtype)
        self.gradient = np.zeros(n_parameters(network), dtype)  # of one block, flat
        self.gradient_views = layer_views(network, self.gradient)
        self.activations = [np.empty((rows, n), dtype) for n in network.sizes[1:]]
        self._deltas = np.empty((2, rows * widest), dtype)
        self._scratch = np.empty(rows * widest, dtype)
        self._wide = np.empty((2, rows * network.sizes[-1]), np.float64)
        self._dropped: list[Array] = []

    def delta(self, steps: int, rows: int, n: int) -> Array:
        """A buffer (rows, n) for the delta that is `steps` layers before the last; neighbours have different ones."""
        return self._deltas[steps % 2, : rows * n].reshape(rows, n)

    def scratch(self, rows: int, n: int) -> Array:
        """A buffer (rows, n) for a step of a calculation."""
        return self._scratch[: rows * n].reshape(rows, n)

    def dropped(self, layer: int) -> Array:
        """The buffer for what dropout leaves of a hidden layer's outputs; most networks never need it."""
        if not self._dropped:
            self._dropped = [np.empty_like(outputs) for outputs in self.activations[:-1]]
        return self._dropped[layer]

    def wide(self, rows: int, n: int) -> Array:
        """Two float64 buffers, (2, rows, n)."""
        return self._wide[:, : rows * n].reshape(2, rows, n)


def outputs(network: Network, parameters: Array, X: Array, workspace: Workspace) -> Array:
    """The outputs (rows, n_outputs) for a block of rows X (rows, n_inputs). They last until its next use."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = _forward(network, layer_views(network, parameters), X, workspace)[-1]
        ACTIVATIONS[network.output_activation].apply(z, workspace.scratch(*z.shape))
        return z


def outputs_and_error(
    network: Network, parameters: Array, X: Array, T: Array, row_weights: Array | None, workspace: Workspace
) -> tuple[Array, float]:
    """The outputs of a block, as from `outputs`, and Σ_i w_i E_i over its rows (targets T (rows, n_outputs))."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = _forward(network, layer_views(network, parameters), X, workspace)[-1]
        error, _ = _error_and_delta(network, z, T, row_weights, workspace)
        return z, error


def shard_share(
    network: Network,
    parameters: Array,
    X: Array,
    T: Array,
    row_weights: Array | None,
    total_weight: float,
    workspace: Workspace,
    out: Array | None = None,
    masks: Callable[[slice], Masks] | None = None,
) -> tuple[float, Array]:
    """What a shard contributes to the average loss (float64) and gradient (flat) over all rows of a step.

    The sum over the shard's rows X (rows, n_inputs) with targets T (rows, n_outputs) and weights (rows,), 1 if None,
    block by block in ascending order, divided once by `total_weight`: Σw over the step's rows in all shards. The
    driver only has to add. `masks` gives the dropout masks of a block. What is not finite stays so, without a warning.
    """
    gradient_sum = np.empty_like(workspace.gradient) if out is None else out
    gradient_sum.fill(0)
    error_sum = 0.0
    layers = layer_views(network, parameters)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(X), workspace.rows):
            block = slice(first, first + workspace.rows)
            weights = None if row_weights is None else row_weights[block]
            block_masks = None if masks is None else masks(block)
            error_sum += _differentiate(network, layers, X[block], T[block], weights, block_masks, workspace)
            np.add(gradient_sum, workspace.gradient, out=gradient_sum)
        scale = 1 / total_weight if total_weight > 0 else 0.0  # rows that all weigh nothing contribute nothing
        np.multiply(gradient_sum, scale, out=gradient_sum)
    return error_sum * scale, gradient_sum


def _differentiate(
    network: Network,
    layers: Layers,
    X: Array,
    T: Array,
    row_weights: Array | None,
    masks: Masks | None,
    workspace: Workspace,
) -> float:
    """Σ_i w_i E_i over a block of rows; Σ_i w_i ∂E_i/∂parameters goes to the workspace."""
    outputs = _forward(network, layers, X, workspace, masks)
    error, delta = _error_and_delta(network, outputs[-1], T, row_weights, workspace)
    _backward(network, layers, X, outputs, delta, workspace, masks)
    return error


def _forward(
    network: Network, layers: Layers, X: Array, workspace: Workspace, masks: Masks | None = None
) -> list[Array]:
    """The outputs of each hidden layer before dropout, and z of the output layer: (rows, n) each."""
    activation, rows, inputs = ACTIVATIONS[network.activation], len(X), X
    outputs: list[Array] = []
    for layer, ((weights, biases), buffer) in enumerate(zip(layers, workspace.activations, strict=True)):
        z = buffer[:rows]
        np.dot(inputs, weights.T, out=z)
        if network.bias:
            np.add(z, biases, out=z)
        if layer < len(layers) - 1:
            activation.apply(z, workspace.scratch(*z.shape))
            inputs = z if masks is None else np.multiply(z, masks[layer], out=workspace.dropped(layer)[:rows])
        outputs.append(z)
    return outputs


def _error_and_delta(
    network: Network, z: Array, T: Array, row_weights: Array | None, workspace: Workspace
) -> tuple[float, Array]:
    """Σ_i w_i E_i over the block and w_i ∂E_i/∂z of the output layer, whose z become its outputs."""
    loss, output_activation = LOSSES[network.loss, network.output_activation], ACTIVATIONS[network.output_activation]
    delta, scratch, wide = workspace.delta(0, *z.shape), workspace.scratch(*z.shape), workspace.wide(*z.shape)
    return loss(z, T, row_weights, output_activation, delta, scratch, wide), delta


def _backward(
    network: Network,
    layers: Layers,
    X: Array,
    outputs: list[Array],
    delta: Array,
    workspace: Workspace,
    masks: Masks | None,
) -> None:
    """Write the gradient of a block to the workspace. `outputs[l]` left layer l; `delta` is the last layer's ∂E/∂z."""
    activation, rows = ACTIVATIONS[network.activation], len(delta)
    for steps, layer in enumerate(reversed(range(len(layers))), start=1):
        weights_gradient, biases_gradient = workspace.gradient_views[layer]
        below = layer - 1
        inputs = X if layer == 0 else outputs[below] if masks is None else workspace.dropped(below)[:rows]
        np.dot(delta.T, inputs, out=weights_gradient)
        if network.bias:
            np.dot(workspace.ones[:rows], delta, out=biases_gradient)
        if layer > 0:  # nothing needs the gradient of the rows themselves
            weights = layers[layer][0]
            following, delta = delta, workspace.delta(steps, rows, weights.shape[1])
            np.dot(following, weights, out=delta)
            if masks is not None:
                np.multiply(delta, masks[below], out=delta)
            activation.multiply_by_derivative(delta, outputs[below], workspace.scratch(*delta.shape))
