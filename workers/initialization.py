"""The weights that training starts from, keyed by (seed, layer): the same on every machine, whoever draws them."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workers.activations import Array
from workers.network import Network, layer_views, n_parameters
from workers.randomness import INITIAL_WEIGHTS, generator

METHODS = ("glorot", "he", "zeros")


def automatic_methods(activation: str, output_activation: str, n_layers: int) -> list[str]:
    """The method of each layer that suits its activation: he for relu, glorot for all others."""
    activations = [activation] * (n_layers - 1) + [output_activation]
    return ["he" if name == "relu" else "glorot" for name in activations]


def drawn_parameters(network: Network, seed: int, methods: Sequence[str], dtype: DTypeLike) -> Array:
    """Flat parameters in `dtype`: biases 0, the weights of layer l by `methods[l]` (glorot, he or zeros)."""
    parameters = np.zeros(n_parameters(network), dtype)
    for layer, (method, (weights, _)) in enumerate(zip(methods, layer_views(network, parameters), strict=True)):
        weights[...] = _draw(method, weights.shape, generator(INITIAL_WEIGHTS, seed, layer))
    return parameters


def saved_parameters(network: Network, file: Path, dtype: DTypeLike) -> Array:
    """The parameters in an `.npz` of `weights_0`, `biases_0`, …, in the network's shapes, as flat ones in `dtype`."""
    parameters = np.zeros(n_parameters(network), dtype)
    with np.load(file, allow_pickle=False) as saved:
        for layer, (weights, biases) in enumerate(layer_views(network, parameters)):
            weights[...], biases[...] = saved[f"weights_{layer}"], saved[f"biases_{layer}"]
    return parameters


def _draw(method: str, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    """Glorot & Bengio (2010): U(±√(6/(n_in + n_out))). He et al. (2015): N(0, 2/n_in)."""
    n_out, n_in = shape
    match method:
        case "glorot":
            limit = math.sqrt(6 / (n_in + n_out))
            return random.uniform(-limit, limit, shape)
        case "he":
            return random.normal(0, math.sqrt(2 / n_in), shape)
        case "zeros":
            return np.zeros(shape)
    raise ValueError(f"weights can't be drawn by {method!r}")
