"""Initial weights: the distributions, and that (seed, layer) alone decides them."""

import math

import numpy as np
import pytest

from workers.initialization import automatic_methods, drawn_parameters
from workers.network import Network, layer_views

NETWORK = Network((400, 300, 200), "sigmoid", "softmax", "cross_entropy")


def drawn(network: Network, seed: int, method: str = "auto", dtype: type = np.float64) -> np.ndarray:
    layers = len(network.sizes) - 1
    automatic = automatic_methods(network.activation, network.output_activation, layers)
    return drawn_parameters(network, seed, automatic if method == "auto" else [method] * layers, dtype)


def weights_of(network: Network, seed: int, method: str = "auto", dtype: type = np.float64) -> list[np.ndarray]:
    return [weights for weights, _ in layer_views(network, drawn(network, seed, method, dtype))]


def test_glorot_is_uniform_within_its_limit() -> None:
    for weights in weights_of(NETWORK, 0, "glorot"):
        limit = math.sqrt(6 / sum(weights.shape))
        assert np.abs(weights).max() == pytest.approx(limit, rel=1e-3)
        assert np.abs(weights).max() <= limit
        assert weights.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
        assert abs(weights.mean()) < 0.01 * limit


def test_he_is_normal_with_a_variance_of_two_over_the_inputs() -> None:
    for weights in weights_of(NETWORK, 0, "he"):
        deviation = math.sqrt(2 / weights.shape[1])
        assert weights.std() == pytest.approx(deviation, rel=0.01)
        assert (np.abs(weights) < deviation).mean() == pytest.approx(0.6827, abs=0.01)


def test_auto_is_he_for_relu_layers_and_glorot_for_all_others() -> None:
    hidden, last = weights_of(NETWORK._replace(activation="relu"), 0)
    np.testing.assert_array_equal(hidden, weights_of(NETWORK, 0, "he")[0])
    np.testing.assert_array_equal(last, weights_of(NETWORK, 0, "glorot")[1])
    for activation in ("sigmoid", "tanh", "identity"):
        found = weights_of(NETWORK._replace(activation=activation), 0)
        np.testing.assert_array_equal(found[0], weights_of(NETWORK, 0, "glorot")[0])


def test_biases_are_zero_and_zeros_are_zeros() -> None:
    for _, biases in layer_views(NETWORK, drawn(NETWORK, 7, "auto", np.float32)):
        assert not biases.any()
    assert not drawn(NETWORK, 7, "zeros", np.float32).any()


def test_a_layer_depends_on_seed_and_place_and_on_no_other_layer() -> None:
    deeper = Network((400, 300, 200, 5), "sigmoid", "softmax", "cross_entropy")
    np.testing.assert_array_equal(weights_of(NETWORK, 3)[0], weights_of(deeper, 3)[0])
    np.testing.assert_array_equal(weights_of(NETWORK, 3)[1], weights_of(deeper, 3)[1])
    square = Network((9, 9, 9), "sigmoid", "sigmoid", "squared_error")
    first, second = weights_of(square, 3)
    assert (first != second).any()
    assert (first != weights_of(square, 4)[0]).any()


def test_float32_weights_are_the_float64_ones_rounded() -> None:
    wide = drawn(NETWORK, 1, "auto", np.float64)
    narrow = drawn(NETWORK, 1, "auto", np.float32)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
