"""Layers, blocks and buffers: what a network computes must not depend on how its rows are cut."""

import math

import numpy as np
import pytest

from workers.activations import ACTIVATIONS, Array
from workers.losses import LOSSES
from workers.network import (
    Network,
    Workspace,
    block_rows,
    layer_views,
    n_parameters,
    outputs_and_error,
    shard_share,
)

SIZES = (3, 4, 2)
NETWORK = Network(SIZES, "sigmoid", "sigmoid", "squared_error")


def activated(name: str, z: Array) -> Array:
    output = np.array(z)
    ACTIVATIONS[name].apply(output, np.empty_like(output))
    return output


def test_parameters_are_weights_and_biases_of_each_layer_in_order() -> None:
    flat = np.arange(n_parameters(NETWORK), dtype=np.float32)
    (hidden, hidden_biases), (last, last_biases) = layer_views(NETWORK, flat)
    assert (hidden.shape, hidden_biases.shape, last.shape, last_biases.shape) == ((4, 3), (4,), (2, 4), (2,))
    np.testing.assert_array_equal(np.concatenate([hidden.ravel(), hidden_biases, last.ravel(), last_biases]), flat)
    last_biases[1] = -1  # views: writing to a layer writes to the vector
    assert flat[-1] == -1


def test_the_functions_are_those_of_the_textbook() -> None:
    z = np.linspace(-6, 6, 25).reshape(5, 5)
    np.testing.assert_allclose(activated("sigmoid", z), 1 / (1 + np.exp(-z)), rtol=1e-13)
    np.testing.assert_array_equal(activated("tanh", z), np.tanh(z))
    np.testing.assert_array_equal(activated("relu", z), np.where(z > 0, z, 0))
    np.testing.assert_array_equal(activated("identity", z), z)
    np.testing.assert_allclose(activated("softmax", z), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-13)


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    delta, output = np.ones((1, 4)), activated("relu", np.array([[-1.0, -0.0, 0.0, 1.0]]))
    ACTIVATIONS["relu"].multiply_by_derivative(delta, output, np.empty_like(output))
    np.testing.assert_array_equal(delta, [[0, 0, 0, 1]])


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_no_finite_z_makes_a_function_warn_or_leave_its_range(name: str) -> None:
    largest = np.finfo(np.float32).max
    for size in (0, 1e-38, 88, 89, 104, 1e4, 1e30, largest):
        z = np.array([[1, -1, 0], [-1, -1, 1]], np.float32) * np.float32(size)
        output = activated(name, z)
        assert output.dtype == np.float32
        assert np.isfinite(output).all()
        if name in {"sigmoid", "softmax"}:
            assert ((output >= 0) & (output <= 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_outputs_are_those_of_a_layer_by_layer_calculation(dtype: type) -> None:
    network = Network((3, 5, 4, 2), "tanh", "softmax", "cross_entropy")
    random = np.random.default_rng(0)
    parameters: Array = random.normal(0, 1, n_parameters(network)).astype(dtype)
    X: Array = random.normal(0, 1, (7, 3)).astype(dtype)
    a = X.astype(np.float64)
    for place, (weights, biases) in enumerate(layer_views(network, parameters.astype(np.float64))):
        z = a @ weights.T + biases
        a = np.tanh(z) if place < 2 else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    T = np.zeros((7, 2), dtype)
    found, _ = outputs_and_error(network, parameters, X, T, None, Workspace(network, dtype, 16))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, a, rtol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize(("loss", "output_activation"), sorted(LOSSES))
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_blocks_of_any_size_add_up_to_the_same_gradient(loss: str, output_activation: str, rows: int) -> None:
    network = Network((3, 5, 4, 2), "sigmoid", output_activation, loss)
    random = np.random.default_rng(3)
    parameters, X = random.normal(0, 1, n_parameters(network)), random.normal(0, 1, (31, 3))
    T, w = np.eye(2)[random.integers(0, 2, 31)], random.uniform(0, 2, 31)
    expected_loss, expected = shard_share(network, parameters, X, T, w, 10.0, Workspace(network, np.float64, 31))
    loss_share, gradient = shard_share(network, parameters, X, T, w, 10.0, Workspace(network, np.float64, rows))
    assert loss_share == pytest.approx(expected_loss, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


def test_a_used_workspace_gives_the_same_bits_as_a_new_one() -> None:
    random = np.random.default_rng(4)
    parameters = random.normal(0, 1, n_parameters(NETWORK)).astype(np.float32)
    X, T = random.normal(0, 1, (50, 3)).astype(np.float32), random.uniform(0, 1, (50, 2)).astype(np.float32)
    workspace = Workspace(NETWORK, np.float32, 16)
    loss, gradient = shard_share(NETWORK, parameters, X, T, None, 50, workspace)
    shard_share(NETWORK, parameters, 100 * X[:5], T[:5], None, 5, workspace)
    out = np.full_like(gradient, np.nan)
    again, same = shard_share(NETWORK, parameters, X, T, None, 50, workspace, out=out)
    assert same is out
    assert (loss, gradient.tobytes()) == (again, same.tobytes())


def test_the_error_is_that_of_training() -> None:
    random = np.random.default_rng(6)
    parameters, X, T = random.normal(0, 1, n_parameters(NETWORK)), random.normal(0, 1, (6, 3)), np.ones((6, 2))
    workspace, w = Workspace(NETWORK, np.float64, 6), random.uniform(0, 1, 6)
    _, error = outputs_and_error(NETWORK, parameters, X, T, w, workspace)
    assert error == shard_share(NETWORK, parameters, X, T, w, 1.0, workspace)[0]


def test_a_shard_without_rows_has_a_share_of_nothing() -> None:
    parameters, workspace = np.ones(n_parameters(NETWORK)), Workspace(NETWORK, np.float64, 4)
    loss, gradient = shard_share(NETWORK, parameters, np.empty((0, 3)), np.empty((0, 2)), None, 9, workspace)
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize(("loss", "output_activation"), sorted(LOSSES))
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_parameters_out_of_all_bounds_raise_no_warning(activation: str, loss: str, output_activation: str) -> None:
    network = Network((3, 4, 2), activation, output_activation, loss)
    X, T = np.full((5, 3), 1e30, np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]]
    for size in (1e10, -1e38):
        parameters = np.full(n_parameters(network), size, np.float32)
        shard_share(network, parameters, X, T, None, 5, Workspace(network, np.float32, 2))


def test_the_loss_is_finite_whenever_z_is() -> None:
    network = Network((1, 2), "sigmoid", "softmax", "cross_entropy")
    X, T = np.ones((2, 1), np.float32), np.eye(2, dtype=np.float32)
    parameters = np.array([1e30, -1e30, 0, 0], np.float32)
    loss, gradient = shard_share(network, parameters, X, T, None, 2, Workspace(network, np.float32, 2))
    assert math.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_block_rows_are_a_power_of_two_that_only_layer_sizes_and_dtype_decide() -> None:
    """Part of the arithmetic: another number of rows a block is another numerics.version."""
    assert block_rows((64, 30, 10), np.float32) == 2048
    assert block_rows((784, 30, 10), np.float32) == 1024
    assert block_rows((64, 30, 10), np.float64) == 2048
    assert block_rows((1, 1), np.float32) == 2048
    assert block_rows((10_000, 5_000, 1_000), np.float64) == 1024


def test_masks_multiply_what_hidden_layers_give_and_what_comes_back_to_them() -> None:
    """Against a layer-by-layer calculation, in blocks: each block has the masks of its own rows."""
    network = Network((3, 4, 2), "tanh", "identity", "squared_error")
    random = np.random.default_rng(8)
    parameters, X = random.normal(size=n_parameters(network)), random.normal(size=(9, 3))
    T, mask = random.normal(size=(9, 2)), random.choice([0.0, 2.0], (9, 4))
    (W, b), (V, c) = layer_views(network, parameters)
    hidden = np.tanh(X @ W.T + b)
    outputs_ = (hidden * mask) @ V.T + c
    delta = outputs_ - T
    back = (delta @ V) * mask * (1 - hidden**2)
    expected = np.concatenate([(back.T @ X).ravel(), back.sum(0), (delta.T @ (hidden * mask)).ravel(), delta.sum(0)])
    for rows in (2, 4, 9):
        workspace = Workspace(network, np.float64, rows)
        loss, gradient = shard_share(network, parameters, X, T, None, 9.0, workspace, masks=lambda block: [mask[block]])
        assert loss == pytest.approx(0.5 * (delta**2).sum() / 9, rel=1e-13)
        np.testing.assert_allclose(gradient, expected / 9, rtol=1e-12, atol=1e-15)


def test_masks_of_ones_give_the_bits_of_none() -> None:
    random = np.random.default_rng(4)
    parameters = random.normal(0, 1, n_parameters(NETWORK)).astype(np.float32)
    X, T = random.normal(0, 1, (50, 3)).astype(np.float32), random.uniform(0, 1, (50, 2)).astype(np.float32)
    workspace, ones = Workspace(NETWORK, np.float32, 16), np.ones((50, 4), np.float32)
    loss, gradient = shard_share(NETWORK, parameters, X, T, None, 50, workspace)
    again, same = shard_share(NETWORK, parameters, X, T, None, 50, workspace, masks=lambda block: [ones[block]])
    assert (loss, gradient.tobytes()) == (again, same.tobytes())


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_without_biases_they_are_neither_used_nor_have_a_gradient(activation: str) -> None:
    network = Network((3, 5, 4, 2), activation, "softmax", "cross_entropy", bias=False)
    random = np.random.default_rng(5)
    parameters, X = random.normal(size=n_parameters(network)), random.normal(size=(7, 3))
    T = np.eye(2)[random.integers(0, 2, 7)]
    unbiased = parameters.copy()
    for _, biases in layer_views(network, unbiased):
        biases[...] = 0
    workspace = Workspace(network, np.float64, 4)
    loss, gradient = shard_share(network, parameters, X, T, None, 7, workspace)
    gradient = gradient.copy()
    expected_loss, expected = shard_share(network._replace(bias=True), unbiased, X, T, None, 7, workspace)
    assert loss == expected_loss
    for (found, zeros), (weights, _) in zip(
        layer_views(network, gradient), layer_views(network, expected), strict=True
    ):
        np.testing.assert_array_equal(found, weights)
        assert not zeros.any()
