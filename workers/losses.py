"""What the outputs of a block of rows cost, and the delta ∂E/∂z of the output layer that backpropagation starts from.

Errors are in float64 whatever the dtype of the job, and finite whenever z are finite float32 values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import Activation, Array

Wide = NDArray[np.float64]

Loss = Callable[[Array, Array, Array | None, Activation, Array, Array, Wide], float]
"""loss(z, targets, row_weights, output_activation, delta, scratch, wide) → Σ_i w_i E_i over the rows of a block.

z (rows, n_outputs) becomes the outputs and delta (rows, n_outputs) becomes w_i ∂E_i/∂z_ij. The weights w (rows,) are 1
where they are None. `scratch`, shaped like z, and the float64 `wide` (2, rows, n_outputs) are overwritten.
"""


def squared_error(
    z: Array,
    targets: Array,
    row_weights: Array | None,
    output_activation: Activation,
    delta: Array,
    scratch: Array,
    wide: Wide,
) -> float:
    """E_i = ½ Σ_j (t_ij − o_ij)² and ∂E_i/∂z = (o − t) · ∂o/∂z."""
    outputs, (difference, weighted) = z, wide
    output_activation.apply(outputs, scratch)
    np.subtract(outputs, targets, out=delta)
    output_activation.multiply_by_derivative(delta, outputs, scratch)
    np.copyto(difference, outputs)
    np.copyto(weighted, targets)
    np.subtract(difference, weighted, out=difference)
    if row_weights is None:
        return 0.5 * float(np.vdot(difference, difference))
    np.multiply(delta, row_weights[:, None], out=delta, casting="same_kind")
    np.multiply(difference, row_weights[:, None], out=weighted)
    return 0.5 * float(np.vdot(difference, weighted))


def softmax_cross_entropy(
    z: Array,
    targets: Array,
    row_weights: Array | None,
    output_activation: Activation,
    delta: Array,
    scratch: Array,
    wide: Wide,
) -> float:
    """E_i = −Σ_j t_ij ln o_ij = ln Σ_k e^(z_ik) − Σ_j t_ij z_ij and ∂E_i/∂z = o − t, where Σ_j t_ij = 1.

    The largest z of a row is subtracted from all of it first, so that no exponent is above 0.
    """
    shifted, product = (buffer.reshape(z.shape[::-1]) for buffer in wide)  # (n_outputs, rows): see softmax
    np.copyto(shifted, z.T)
    np.subtract(shifted, np.maximum.reduce(shifted, axis=0), out=shifted)
    np.multiply(shifted, targets.T, out=product)
    np.exp(shifted, out=shifted)
    errors = np.log(np.add.reduce(shifted, axis=0)) - np.add.reduce(product, axis=0)
    _outputs_and_delta(z, targets, row_weights, output_activation, delta, scratch)
    return _weighted_sum(errors, row_weights)


def sigmoid_cross_entropy(
    z: Array,
    targets: Array,
    row_weights: Array | None,
    output_activation: Activation,
    delta: Array,
    scratch: Array,
    wide: Wide,
) -> float:
    """E_i = −Σ_j (t ln o + (1 − t) ln(1 − o)) = Σ_j (max(z, 0) − t z + ln(1 + e^−|z|)) and ∂E_i/∂z = o − t."""
    linear, other = wide
    np.maximum(z, 0, out=linear)
    np.multiply(z, targets, out=other, dtype=np.float64)
    np.subtract(linear, other, out=linear)
    np.negative(np.abs(z, out=other), out=other)
    np.log1p(np.exp(other, out=other), out=other)
    np.add(linear, other, out=linear)
    _outputs_and_delta(z, targets, row_weights, output_activation, delta, scratch)
    return _weighted_sum(np.einsum("ij->i", linear), row_weights)


def _outputs_and_delta(
    z: Array,
    targets: Array,
    row_weights: Array | None,
    output_activation: Activation,
    delta: Array,
    scratch: Array,
) -> None:
    """For the cross-entropies the derivative of the activation cancels: ∂E_i/∂z = o − t."""
    output_activation.apply(z, scratch)
    np.subtract(z, targets, out=delta)
    if row_weights is not None:
        np.multiply(delta, row_weights[:, None], out=delta, casting="same_kind")


def _weighted_sum(errors: NDArray[Any], row_weights: Array | None) -> float:
    return float(np.add.reduce(errors if row_weights is None else errors * row_weights))


LOSSES: dict[tuple[str, str], Loss] = {
    ("cross_entropy", "softmax"): softmax_cross_entropy,
    ("cross_entropy", "sigmoid"): sigmoid_cross_entropy,
    **{("squared_error", name): squared_error for name in ("sigmoid", "tanh", "relu", "identity", "softmax")},
}
"""By the names of the loss and of the output activation; a pair that is missing makes no sense."""
