"""Functions to minimise: each gives its value (float64) and gradient at flat parameters, and where to start."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workers.initialization import drawn_parameters
from workers.network import Network, Workspace, layer_views, shard_share

Array = NDArray[Any]


class Objective(NamedTuple):
    """A function to minimise."""

    value_and_gradient: Callable[[Array], tuple[float, Array]]
    start: Array


def rosenbrock(n: int, seed: int) -> Objective:
    """The sum of 100 (x_{i+1} − x_i²)² + (1 − x_i)²: a curved valley whose floor hardly falls. Its minimum is 0."""

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        across, along = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        gradient = np.zeros_like(x)
        gradient[:-1] = -400 * x[:-1] * across - 2 * along
        gradient[1:] += 200 * across
        return float(np.sum(100 * across**2 + along**2)), gradient

    return Objective(value_and_gradient, np.random.default_rng(seed).normal(0, 1, n))


def quadratic(n: int, condition: float, seed: int) -> Objective:
    """½ (x − x*)ᵀA(x − x*), the eigenvalues of A spread evenly in their logarithm. Its minimum is 0."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(n, n)))[0]
    A = rotation * np.geomspace(1, condition, n) @ rotation.T
    minimum = random.normal(size=n)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        slope = A @ (x - minimum)
        return 0.5 * float((x - minimum) @ slope), slope

    return Objective(value_and_gradient, np.zeros(n))


def of_network(network: Network, X: Array, T: Array, l2: float, seed: int, dtype: DTypeLike = np.float64) -> Objective:
    """The mean error of a network over rows, and l2/2 Σ W²."""
    X, T = X.astype(dtype), T.astype(dtype)
    workspace = Workspace(network, dtype, len(X))

    def value_and_gradient(parameters: Array) -> tuple[float, Array]:
        loss, gradient = shard_share(network, parameters, X, T, None, len(X), workspace)
        for (weights, _), (slope, _) in zip(
            layer_views(network, parameters), layer_views(network, gradient), strict=True
        ):
            loss += 0.5 * l2 * float(np.sum(weights.astype(np.float64) ** 2))
            np.add(slope, np.asarray(l2, dtype) * weights, out=slope)
        return loss, gradient

    return Objective(value_and_gradient, drawn_parameters(network, seed, ["glorot"] * (len(network.sizes) - 1), dtype))


def clusters(n_rows: int, n_inputs: int, n_classes: int, seed: int) -> tuple[Array, Array]:
    """Rows around one centre a class, which overlap, and their one-hot classes."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, n_classes, n_rows)
    centres = random.normal(0, 1, (n_classes, n_inputs))
    return centres[classes] + random.normal(0, 1, (n_rows, n_inputs)), np.eye(n_classes)[classes]


def logistic_regression(seed: int, dtype: DTypeLike = np.float64) -> Objective:
    """Convex: softmax over 20 inputs of very different scales, with l2."""
    X, T = clusters(200, 20, 5, seed)
    return of_network(
        Network((20, 5), "tanh", "softmax", "cross_entropy"), X * np.geomspace(0.1, 10, 20), T, 1e-3, seed, dtype
    )


def regression_network(seed: int, dtype: DTypeLike = np.float64) -> Objective:
    """Eight tanh units for a noisy function of three inputs."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(200, 3))
    T = np.sin(2 * X[:, :1]) + X[:, 1:2] * X[:, 2:] + random.normal(0, 0.3, (200, 1))
    return of_network(Network((3, 8, 1), "tanh", "identity", "squared_error"), X, T, 0, seed, dtype)


def softmax_network(seed: int, dtype: DTypeLike = np.float64) -> Objective:
    """A sigmoid layer and a softmax for overlapping clusters, with l2."""
    X, T = clusters(200, 6, 4, seed)
    return of_network(Network((6, 10, 4), "sigmoid", "softmax", "cross_entropy"), X, T, 1e-2, seed, dtype)
