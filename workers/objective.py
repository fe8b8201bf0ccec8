"""What is minimised: the loss of the data, and penalties on the weights. The order of a step is fixed here."""

import math
from typing import NamedTuple

import numpy as np

from workers.activations import Array
from workers.network import Network, layer_views


class Penalty(NamedTuple):
    """l2/2 Σ W² + l1 Σ |W| over weights, not biases; the data's gradient is clipped to a norm before, if at all."""

    l1: float
    l2: float
    clip_gradient_norm: float | None


@np.errstate(over="ignore", invalid="ignore")  # a line search may look at a point that is not finite
def objective(
    network: Network, penalty: Penalty, loss: float, gradient: Array, gradient_norm: float, parameters: Array
) -> tuple[float, Array]:
    """Loss and gradient with everything that a step adds: the data's gradient is clipped, then penalties are added.

    The arguments stay as they are; without penalties and clipping they are the answer.
    """
    limit = penalty.clip_gradient_norm
    if limit is not None and gradient_norm > limit:
        gradient = gradient * gradient.dtype.type(limit / gradient_norm)
    if penalty.l1 == 0 and penalty.l2 == 0:
        return loss, gradient
    gradient = gradient.copy()
    for (weights, _), (slope, _) in zip(layer_views(network, parameters), layer_views(network, gradient), strict=True):
        loss += 0.5 * penalty.l2 * norm(weights) ** 2 + penalty.l1 * float(np.abs(weights).sum(dtype=np.float64))
        np.add(slope, slope.dtype.type(penalty.l2) * weights, out=slope)
        np.add(slope, slope.dtype.type(penalty.l1) * np.sign(weights), out=slope)
    return loss, gradient


def norm(array: Array) -> float:
    """The Euclidean norm of all numbers, summed in float64."""
    flat = array.ravel()
    return math.sqrt(float(np.einsum("i,i->", flat, flat, dtype=np.float64)))
