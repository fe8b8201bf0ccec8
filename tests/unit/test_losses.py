"""The two errors against their definitions, and at the ends of the float32 range."""

import math

import numpy as np
import pytest

from workers.activations import ACTIVATIONS, Array
from workers.losses import LOSSES

LARGEST = float(np.finfo(np.float32).max)


def error_and_delta(
    loss: str, output_activation: str, z: Array, targets: Array, row_weights: Array | None = None
) -> tuple[float, Array]:
    """Σ_i w_i E_i and the delta; z is left alone."""
    delta, scratch, wide = np.empty_like(z), np.empty_like(z), np.empty((2, *z.shape))
    activation = ACTIVATIONS[output_activation]
    error = LOSSES[loss, output_activation](z.copy(), targets, row_weights, activation, delta, scratch, wide)
    return error, delta


def test_squared_error_is_half_the_sum_of_squares_over_outputs() -> None:
    z, targets = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[0.0, 4.0], [0.5, 1.0]])
    error, delta = error_and_delta("squared_error", "identity", z, targets)
    assert error == 0.5 * (1 + 4) + 0.5 * (0 + 4)
    np.testing.assert_array_equal(delta, z - targets)


def test_squared_error_of_softmax_uses_the_whole_jacobian() -> None:
    z, targets = np.array([[0.3, -1.0, 2.0]]), np.array([[0.0, 1.0, 0.0]])
    o = np.exp(z[0]) / np.exp(z[0]).sum()
    jacobian = np.diag(o) - np.outer(o, o)
    error, delta = error_and_delta("squared_error", "softmax", z, targets)
    assert error == pytest.approx(0.5 * ((o - targets[0]) ** 2).sum(), rel=1e-14)
    np.testing.assert_allclose(delta[0], jacobian @ (o - targets[0]), rtol=1e-13)


def test_cross_entropy_of_softmax_is_the_logarithm_of_the_true_class() -> None:
    z, targets = np.array([[0.3, -1.0, 2.0], [1.0, 1.0, 1.0]]), np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    o = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    error, delta = error_and_delta("cross_entropy", "softmax", z, targets)
    assert error == pytest.approx(-math.log(o[0, 1]) - math.log(1 / 3), rel=1e-14)
    np.testing.assert_allclose(delta, o - targets, rtol=1e-13)


def test_cross_entropy_of_sigmoid_is_the_sum_of_the_binary_ones() -> None:
    z, targets = np.array([[0.3, -1.0, 2.0]]), np.array([[0.0, 1.0, 0.25]])
    o = 1 / (1 + np.exp(-z))
    error, delta = error_and_delta("cross_entropy", "sigmoid", z, targets)
    expected = -(targets * np.log(o) + (1 - targets) * np.log(1 - o)).sum()
    assert error == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(delta, o - targets, rtol=1e-13)


@pytest.mark.parametrize(("loss", "output_activation"), sorted(LOSSES))
def test_a_weight_of_two_counts_a_row_twice(loss: str, output_activation: str) -> None:
    random = np.random.default_rng(1)
    z, targets = random.normal(0, 1, (4, 3)), np.eye(3)[[0, 2, 1, 1]]
    weights = np.array([1.0, 2.0, 0.0, 1.0])
    twice = np.array([0, 1, 1, 3])
    error, delta = error_and_delta(loss, output_activation, z, targets, weights)
    expected, expected_delta = error_and_delta(loss, output_activation, z[twice], targets[twice])
    assert error == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(delta.sum(axis=0), expected_delta.sum(axis=0), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0.0, 1e-30, 90.0, 750.0, 1e4, 1e30, LARGEST])
@pytest.mark.parametrize(("loss", "output_activation"), sorted(LOSSES))
def test_the_error_is_finite_for_every_finite_float32_z(
    loss: str, output_activation: str, size: float, dtype: type
) -> None:
    signs: Array = np.array([[1, -1, 0], [-1, 1, 1], [-1, -1, -1], [1, 1, 1]], dtype)
    for wanted in range(3):
        targets: Array = np.eye(3, dtype=dtype)[[wanted] * 4]
        error, delta = error_and_delta(loss, output_activation, signs * dtype(size), targets)
        assert math.isfinite(error)
        assert np.isfinite(delta).all() or size == LARGEST


def test_squared_error_is_finite_where_the_difference_is_no_float32() -> None:
    with np.errstate(over="ignore"):  # the delta, in the job's dtype, is infinite
        error, _ = error_and_delta(
            "squared_error", "identity", np.full((1, 1), LARGEST, np.float32), np.full((1, 1), -LARGEST, np.float32)
        )
    assert error == 0.5 * (2 * LARGEST) ** 2


def test_cross_entropy_of_large_z_is_the_exact_difference_of_z() -> None:
    z = np.array([[1e30, -1e30]], np.float32)
    wrong = np.array([[0, 1]], np.float32)
    assert error_and_delta("cross_entropy", "softmax", z, wrong)[0] == pytest.approx(2e30, rel=1e-6)
    assert error_and_delta("cross_entropy", "sigmoid", z, wrong)[0] == pytest.approx(2e30, rel=1e-6)
    assert error_and_delta("cross_entropy", "softmax", z, 1 - wrong)[0] == 0
    assert error_and_delta("cross_entropy", "sigmoid", z, 1 - wrong)[0] == 0


def test_a_small_cross_entropy_of_float32_keeps_its_digits() -> None:
    z, right = np.array([[30, 0]], np.float32), np.array([[1, 0]], np.float32)
    assert error_and_delta("cross_entropy", "softmax", z, right)[0] == pytest.approx(math.exp(-30), rel=1e-2)
    assert error_and_delta("cross_entropy", "sigmoid", z[:, :1], right[:, :1])[0] == pytest.approx(
        math.exp(-30), rel=1e-12
    )


def test_cross_entropy_makes_sense_only_of_softmax_and_sigmoid() -> None:
    assert {output for loss, output in LOSSES if loss == "cross_entropy"} == {"softmax", "sigmoid"}
    assert {output for loss, output in LOSSES if loss == "squared_error"} == set(ACTIVATIONS)
