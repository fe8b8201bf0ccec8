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

BLOCK_BYTES = 4 << 20  # what a block's numbers may take of the caches
SMALLEST_BLOCK, LARGEST_BLOCK = 1024, 2048  # rows: fewer make matrix products slow, more leave the cache for nothing


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


class Buffers(NamedTuple):
    """What a block of some rows is computed in: (rows, n) for each layer, if nothing else is said."""

    ones: Array  # (rows,)
    outputs: list[Array]
    dropped: list[Array]
    """What dropout leaves of the outputs of hidden layers."""
    deltas: list[Array]
    scratch: list[Array]
    wide: Array  # float64, (2, rows, n_outputs)


class Workspace:
    """The memory that one thread needs for the blocks of one network: the loop over blocks allocates none."""

    def __init__(self, network: Network, dtype: DTypeLike, rows: int) -> None:
        sizes = network.sizes[1:]
        self.rows = rows
        self.gradient = np.zeros(n_parameters(network), dtype)  # of one block, flat
        self.gradient_views = layer_views(network, self.gradient)
        self._network, self._parameters = network, np.empty(0)
        self._layers: Layers = []
        self._ones = np.ones(rows, dtype)
        self._outputs = [np.empty(rows * n, dtype) for n in sizes]
        self._dropped = [np.empty(rows * n, dtype) for n in sizes[:-1]]  # costs nothing until it is used
        self._deltas = np.empty((2, rows * max(sizes)), dtype)
        self._scratch = np.empty(rows * max(sizes), dtype)
        self._wide = np.empty((2, rows * sizes[-1]), np.float64)
        self._buffers: dict[int, Buffers] = {}

    def layers(self, parameters: Array) -> Layers:
        """The views of `layer_views`, made once for the same array."""
        if parameters is not self._parameters:
            self._parameters, self._layers = parameters, layer_views(self._network, parameters)
        return self._layers

    def buffers(self, rows: int) -> Buffers:
        """The buffers for a block of at most `self.rows` rows. They share memory with those of other blocks."""
        found = self._buffers.get(rows)
        if found is None:
            found = self._buffers[rows] = self._views(rows)
        return found

    def _views(self, rows: int) -> Buffers:
        sizes = self._network.sizes[1:]

        def view(memory: Array, n: int) -> Array:
            return memory[: rows * n].reshape(rows, n)

        return Buffers(
            ones=self._ones[:rows],
            outputs=[view(memory, n) for memory, n in zip(self._outputs, sizes, strict=True)],
            dropped=[view(memory, n) for memory, n in zip(self._dropped, sizes[:-1], strict=True)],
            deltas=[view(self._deltas[layer % 2], n) for layer, n in enumerate(sizes)],  # neighbours' differ
            scratch=[view(self._scratch, n) for n in sizes],
            wide=self._wide[:, : rows * sizes[-1]].reshape(2, rows, sizes[-1]),
        )


def outputs_and_error(
    network: Network, parameters: Array, X: Array, T: Array, row_weights: Array | None, workspace: Workspace
) -> tuple[Array, float]:
    """The outputs (rows, n_outputs) of a block with targets T, and its Σ_i w_i E_i. They last until the next block."""
    with np.errstate(over="ignore", invalid="ignore"):
        buffers = workspace.buffers(len(X))
        z = _forward(network, workspace.layers(parameters), X, buffers)
        return z, _error_and_delta(network, z, T, row_weights, buffers)


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
    layers = workspace.layers(parameters)
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
    buffers = workspace.buffers(len(X))
    z = _forward(network, layers, X, buffers, masks)
    error = _error_and_delta(network, z, T, row_weights, buffers)
    _backward(network, layers, X, buffers, masks, workspace.gradient_views)
    return error


def _forward(network: Network, layers: Layers, X: Array, buffers: Buffers, masks: Masks | None = None) -> Array:
    """The z of the output layer, (rows, n_outputs). The buffers keep the outputs of hidden layers, before dropout."""
    activation, inputs = ACTIVATIONS[network.activation], X
    last = len(layers) - 1
    for layer, ((weights, biases), z) in enumerate(zip(layers, buffers.outputs, strict=True)):
        np.dot(inputs, weights.T, out=z)
        if network.bias:
            np.add(z, biases, out=z)
        if layer < last:
            activation.apply(z, buffers.scratch[layer])
            inputs = z if masks is None else np.multiply(z, masks[layer], out=buffers.dropped[layer])
    return buffers.outputs[last]


def _error_and_delta(network: Network, z: Array, T: Array, row_weights: Array | None, buffers: Buffers) -> float:
    """Σ_i w_i E_i over the block; z become the outputs, and w_i ∂E_i/∂z go to the last layer's delta."""
    loss, output_activation = LOSSES[network.loss, network.output_activation], ACTIVATIONS[network.output_activation]
    return loss(z, T, row_weights, output_activation, buffers.deltas[-1], buffers.scratch[-1], buffers.wide)


def _backward(
    network: Network, layers: Layers, X: Array, buffers: Buffers, masks: Masks | None, gradient: Layers
) -> None:
    """Write the gradient of a block to the views `gradient`, from the last layer's delta ∂E/∂z on."""
    activation = ACTIVATIONS[network.activation]
    inputs = [X, *(buffers.outputs[:-1] if masks is None else buffers.dropped)]
    for layer in reversed(range(len(layers))):
        delta, (weights_gradient, biases_gradient) = buffers.deltas[layer], gradient[layer]
        np.dot(delta.T, inputs[layer], out=weights_gradient)
        if network.bias:
            np.dot(buffers.ones, delta, out=biases_gradient)
        if layer > 0:  # nothing needs the gradient of the rows themselves
            below = layer - 1
            delta_below = buffers.deltas[below]
            np.dot(delta, layers[layer][0], out=delta_below)
            if masks is not None:
                np.multiply(delta_below, masks[below], out=delta_below)
            activation.multiply_by_derivative(delta_below, buffers.outputs[below], buffers.scratch[below])
