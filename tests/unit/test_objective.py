"""What a step adds to the gradient of the data: clipping first, then penalties on weights."""

from typing import Any

import numpy as np
import pytest

from workers.network import Network, layer_views, n_parameters
from workers.objective import Penalty, norm, objective

NETWORK = Network((3, 4, 2), "tanh", "identity", "squared_error")
NOTHING = Penalty(0.0, 0.0, None)


def vectors(dtype: type = np.float64) -> tuple[Any, Any]:
    """Parameters and a gradient."""
    random, n = np.random.default_rng(0), n_parameters(NETWORK)
    return random.normal(size=n).astype(dtype), random.normal(size=n).astype(dtype)


def minimised(penalty: Penalty, gradient: Any, parameters: Any, loss: float = 2.0) -> tuple[float, Any]:
    return objective(NETWORK, penalty, loss, gradient, norm(gradient), parameters)


def weights_only(flat: Any) -> Any:
    """The weights, with 0 in the place of biases."""
    found = np.zeros_like(flat)
    for (weights, _), (taken, _) in zip(layer_views(NETWORK, flat), layer_views(NETWORK, found), strict=True):
        taken[...] = weights
    return found


def test_without_penalties_and_clipping_nothing_changes() -> None:
    parameters, gradient = vectors()
    loss, found = minimised(NOTHING, gradient, parameters)
    assert (loss, found is gradient) == (2.0, True)


def test_penalties_are_l2_half_the_squares_plus_l1_the_sizes_of_weights_and_never_of_biases() -> None:
    parameters, gradient = vectors()
    W = weights_only(parameters)
    loss, found = minimised(Penalty(0.3, 0.7, None), gradient, parameters)
    assert loss == pytest.approx(2.0 + 0.7 / 2 * (W**2).sum() + 0.3 * np.abs(W).sum(), rel=1e-14)
    np.testing.assert_allclose(found, gradient + 0.7 * W + 0.3 * np.sign(W), rtol=1e-14, atol=1e-15)
    for (_, before), (_, after) in zip(layer_views(NETWORK, gradient), layer_views(NETWORK, found), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("penalty", [Penalty(0.3, 0.0, None), Penalty(0.0, 0.7, None), Penalty(0.2, 0.4, None)])
def test_the_gradient_of_the_penalties_equals_central_differences(penalty: Penalty) -> None:
    parameters, _ = vectors()
    nothing, step = np.zeros_like(parameters), 1e-5
    _, found = minimised(penalty, nothing, parameters, 0.0)
    for place in range(len(parameters)):
        moved = [parameters.copy() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        plus, minus = (minimised(penalty, nothing, point, 0.0)[0] for point in moved)
        assert found[place] == pytest.approx((plus - minus) / (2 * step), abs=1e-8)


def test_the_subgradient_of_l1_at_0_is_0() -> None:
    parameters = np.zeros(n_parameters(NETWORK))
    loss, found = minimised(Penalty(0.5, 0.0, None), np.zeros_like(parameters), parameters)
    assert loss == 2.0
    assert not found.any()


def test_a_gradient_above_the_limit_is_scaled_down_to_it_and_one_below_is_left_alone() -> None:
    parameters, gradient = vectors()
    loss, clipped = minimised(Penalty(0.0, 0.0, 0.5), gradient, parameters)
    assert (loss, norm(clipped)) == (2.0, pytest.approx(0.5))
    np.testing.assert_allclose(clipped / norm(clipped), gradient / norm(gradient), rtol=1e-14)
    assert minimised(Penalty(0.0, 0.0, 100.0), gradient, parameters)[1] is gradient


def test_the_gradient_of_the_data_is_clipped_before_penalties_are_added() -> None:
    parameters, gradient = vectors()
    _, clipped = minimised(Penalty(0.0, 0.0, 0.5), gradient, parameters)
    _, found = minimised(Penalty(0.0, 10.0, 0.5), gradient, parameters)
    np.testing.assert_allclose(found, clipped + 10 * weights_only(parameters), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arguments_stay_as_they_are_and_the_dtype_is_theirs(dtype: type) -> None:
    parameters, gradient = vectors(dtype)
    before = parameters.copy(), gradient.copy()
    _, found = minimised(Penalty(0.1, 0.2, 0.5), gradient, parameters)
    np.testing.assert_array_equal((parameters, gradient), before)
    assert found.dtype == dtype


def test_a_point_that_is_not_finite_gives_an_objective_that_is_not_without_a_warning() -> None:
    parameters, gradient = vectors(np.float32)
    parameters[:3] = np.inf, np.nan, 3e38
    loss, _ = minimised(Penalty(0.1, 1e6, None), gradient, parameters)
    assert not np.isfinite(loss)
