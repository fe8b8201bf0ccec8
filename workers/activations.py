"""Activation functions and their derivatives, element by element or, for softmax, row by row.

Everything works in place on a block of rows, so that the epoch loop allocates nothing. Derivatives are taken from the
output of the function, never from its argument: that is all that is left of a layer after its forward pass.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32 or float64, the dtype of the job


class Activation(NamedTuple):
    """A function and its derivative. `scratch` is overwritten: C-order, shape and dtype of the first argument."""

    apply: Callable[[Array, Array], None]
    """apply(z, scratch) replaces z (rows, n) by the output."""

    multiply_by_derivative: Callable[[Array, Array, Array], None]
    """multiply_by_derivative(delta, output, scratch) turns delta from ∂E/∂output (rows, n) into ∂E/∂z."""


def _sigmoid(z: Array, _scratch: Array) -> None:
    """1 / (1 + e⁻ᶻ) = ½ + ½ tanh(½ z). The second form can't overflow, and is the faster one in numpy."""
    np.multiply(z, 0.5, out=z)
    np.tanh(z, out=z)
    np.multiply(z, 0.5, out=z)
    np.add(z, 0.5, out=z)


def _sigmoid_derivative(delta: Array, output: Array, scratch: Array) -> None:
    """σ′ = σ (1 − σ)."""
    np.subtract(1, output, out=scratch)
    np.multiply(scratch, output, out=scratch)
    np.multiply(delta, scratch, out=delta)


def _tanh(z: Array, _scratch: Array) -> None:
    np.tanh(z, out=z)


def _tanh_derivative(delta: Array, output: Array, scratch: Array) -> None:
    """tanh′ = 1 − tanh²."""
    np.multiply(output, output, out=scratch)
    np.subtract(1, scratch, out=scratch)
    np.multiply(delta, scratch, out=delta)


def _relu(z: Array, scratch: Array) -> None:
    """max(z, 0), against an array of zeros: numpy has no vector loop for a maximum with one number."""
    scratch.fill(0)
    np.maximum(z, scratch, out=z)


def _relu_derivative(delta: Array, output: Array, scratch: Array) -> None:
    """1 where the output is positive, else 0: relu′(0) = 0."""
    np.greater(output, 0, out=scratch)
    np.multiply(delta, scratch, out=delta)


def _identity(_z: Array, _scratch: Array) -> None:
    """The output is z."""


def _identity_derivative(_delta: Array, _output: Array, _scratch: Array) -> None:
    """The derivative is 1."""


def _softmax(z: Array, scratch: Array) -> None:
    """e^(z_j − m) / Σ_k e^(z_k − m), m the largest z of the row: no exponent is above 0.

    By columns of the transpose: numpy reduces short rows one at a time, but adds long ones with all its width.
    """
    columns = scratch.reshape(z.shape[::-1])  # (n, rows)
    with np.errstate(over="ignore"):  # z_j − m may be −∞, whose exponential is the right one: 0
        np.copyto(columns, z.T)
        np.subtract(columns, np.maximum.reduce(columns, axis=0), out=columns)
        np.exp(columns, out=columns)
        np.divide(columns, np.add.reduce(columns, axis=0), out=columns)
        np.copyto(z, columns.T)


def _softmax_derivative(delta: Array, output: Array, scratch: Array) -> None:
    """The whole Jacobian ∂o_k/∂z_j = o_k (1[j=k] − o_j): delta_j becomes o_j (delta_j − Σ_k delta_k o_k)."""
    np.multiply(delta, output, out=scratch)
    np.subtract(delta, np.einsum("ij->i", scratch)[:, None], out=delta)
    np.multiply(delta, output, out=delta)


ACTIVATIONS = {
    "sigmoid": Activation(_sigmoid, _sigmoid_derivative),
    "tanh": Activation(_tanh, _tanh_derivative),
    "relu": Activation(_relu, _relu_derivative),
    "identity": Activation(_identity, _identity_derivative),
    "softmax": Activation(_softmax, _softmax_derivative),
}
