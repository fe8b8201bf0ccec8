"""What a row's outputs cost, and the delta ∂E/∂z of the output layer that backpropagation starts from.

Errors are in float64 whatever the dtype of the job, and finite whenever z are finite float32 values.
"""

from collections.abc import Callable

import numpy as np

from .activations import Activation, Array, sum_of_row

Loss = Callable[[Array, Array, Activation, Array, Array, Array], Array]
"""loss(z, targets, output_activation, delta, scratch, wide) → E_i of each row, (rows,) float64.

z (rows, n_outputs) becomes the outputs and delta becomes ∂E/∂z. `scratch` (rows, n_outputs) in the dtype of the job and
`wide` (2, rows, n_outputs) in float64 are overwritten.
"""


def squared_error(
    z: Array, targets: Array, output_activation: Activation, delta: Array, scratch: Array, wide: Array
) -> Array:
    """E_i = ½ Σ_j (t_ij − o_ij)² and ∂E/∂z = (o − t) · ∂o/∂z."""
    outputs, difference = z, wide[0]
    output_activation.apply(outputs, scratch)
    np.subtract(outputs, targets, out=difference, dtype=np.float64)
    np.copyto(delta, difference, casting="same_kind")
    output_activation.multiply_by_derivative(delta, outputs, scratch)
    np.multiply(difference, difference, out=difference)
    return 0.5 * sum_of_row(difference)


def softmax_cross_entropy(
    z: Array, targets: Array, output_activation: Activation, delta: Array, scratch: Array, wide: Array
) -> Array:
    """E_i = −Σ_j t_ij ln o_ij = ln Σ_k e^(z_ik) − Σ_j t_ij z_ij for targets that sum to 1, and ∂E/∂z = o − t."""
    shifted, product = wide
    np.copyto(product.reshape(z.shape[::-1]), z.T)  # the largest of each row: long reductions are the fast ones
    largest = np.maximum.reduce(product.reshape(z.shape[::-1]), axis=0)
    np.subtract(z, largest[:, None], out=shifted)
    np.multiply(shifted, targets, out=product)
    np.exp(shifted, out=shifted)
    errors = np.log(sum_of_row(shifted)) - sum_of_row(product)
    _outputs_and_delta(z, targets, output_activation, delta, scratch)
    return np.asarray(errors)


def sigmoid_cross_entropy(
    z: Array, targets: Array, output_activation: Activation, delta: Array, scratch: Array, wide: Array
) -> Array:
    """E_i = −Σ_j (t ln o + (1 − t) ln(1 − o)) = Σ_j (max(z, 0) − t z + ln(1 + e^−|z|)), and ∂E/∂z = o − t."""
    linear, other = wide
    np.maximum(z, 0, out=linear)
    np.multiply(z, targets, out=other, dtype=np.float64)
    np.subtract(linear, other, out=linear)
    np.negative(np.abs(z, out=other), out=other)
    np.log1p(np.exp(other, out=other), out=other)
    np.add(linear, other, out=linear)
    _outputs_and_delta(z, targets, output_activation, delta, scratch)
    return sum_of_row(linear)


def _outputs_and_delta(z: Array, targets: Array, output_activation: Activation, delta: Array, scratch: Array) -> None:
    """For the cross-entropies the derivative of the activation cancels: ∂E/∂z = o − t."""
    output_activation.apply(z, scratch)
    np.subtract(z, targets, out=delta)


LOSSES: dict[tuple[str, str], Loss] = {
    ("cross_entropy", "softmax"): softmax_cross_entropy,
    ("cross_entropy", "sigmoid"): sigmoid_cross_entropy,
    **{("squared_error", name): squared_error for name in ("sigmoid", "tanh", "relu", "identity", "softmax")},
}
"""By the names of the loss and the output activation; a pair that is missing makes no sense."""
