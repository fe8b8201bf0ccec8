"""The weights that training starts from, keyed by (seed, layer): the same on every machine, whoever draws them."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workers.network import Network, layer_views, n_parameters


def initial_parameters(network: Network, seed: int, initialization: str, dtype: DTypeLike) -> NDArray[Any]:
    """Flat parameters in `dtype`: biases 0, weights by `initialization`, one of glorot, he, zeros and auto.

    `auto` is he for relu layers and glorot for all others.
    """
    parameters = np.zeros(n_parameters(network), dtype)
    layers = layer_views(network, parameters)
    for layer, (weights, _) in enumerate(layers):
        activation = network.output_activation if layer == len(layers) - 1 else network.activation
        method = ("he" if activation == "relu" else "glorot") if initialization == "auto" else initialization
        weights[...] = _draw(method, weights.shape, generator(seed, layer))
    return parameters


def generator(seed: int, layer: int) -> np.random.Generator:
    """A counter-based generator of its own for each (seed, layer)."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, layer], dtype=np.uint64)))


def _draw(method: str, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    """Glorot & Bengio (2010): U(±√(6/(n_in + n_out))). He et al. (2015): N(0, 2/n_in)."""
    n_out, n_in = shape
    match method:
        case "glorot":
            limit = math.sqrt(6 / (n_in + n_out))
            return random.uniform(-limit, limit, shape)
        case "he":
            return random.normal(0, math.sqrt(2 / n_in), shape)
        case _:
            return np.zeros(shape)
