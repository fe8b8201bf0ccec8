"""Updates against torch.optim, on the same sequence of gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.objectives import Objective, logistic_regression, quadratic, regression_network, rosenbrock, softmax_network
from workers.optimizers import optimizer

Floats = NDArray[np.float64]

STEPS, N_PARAMETERS = 50, 20
RATES = (0.003, 0.1, 2.0)
METHODS: list[tuple[dict[str, Any], type[torch.optim.Optimizer], dict[str, Any]]] = [
    ({"name": "gradient_descent"}, torch.optim.SGD, {}),
    *(
        (
            {"name": "momentum", "beta": beta, "nesterov": nesterov},
            torch.optim.SGD,
            {"momentum": beta, "nesterov": nesterov},
        )
        for beta in (0.5, 0.9, 0.99)
        for nesterov in (False, True)
    ),
    *(
        (
            {"name": "adam", "beta1": beta1, "beta2": beta2, "epsilon": epsilon},
            torch.optim.Adam,
            {"betas": (beta1, beta2), "eps": epsilon},
        )
        for beta1, beta2, epsilon in ((0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-8))
    ),
    ({"name": "rprop"}, torch.optim.Rprop, {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50)}),
]
PROBLEMS: list[tuple[str, Objective, int]] = [
    *((f"Rosenbrock, 10 dimensions, seed {seed}", rosenbrock(10, seed), 200) for seed in range(3)),
    *((f"quadratic of condition 10⁴, seed {seed}", quadratic(30, 1e4, seed), 1000) for seed in range(3)),
    *((f"logistic regression, seed {seed}", logistic_regression(seed), 300) for seed in range(3)),
    *((f"regression network, seed {seed}", regression_network(seed), 100) for seed in range(3)),
    *((f"softmax network, seed {seed}", softmax_network(seed), 300) for seed in range(3)),
]


def gradients(seed: int) -> list[Floats]:
    """As a descent might meet them: of all magnitudes, some zero, with signs that often stay and often change."""
    random = np.random.default_rng(seed)
    trend = random.normal(size=N_PARAMETERS) * 10.0 ** random.integers(-4, 3, N_PARAMETERS)
    noise = random.normal(size=(STEPS, N_PARAMETERS)) * np.abs(trend)
    zeros = random.uniform(size=noise.shape) < 0.05
    return list(np.where(zeros, 0.0, trend + noise))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("options", "reference", "reference_options"), METHODS)
def test_an_optimizer_moves_as_that_of_pytorch_does(
    options: dict[str, Any],
    reference: type[torch.optim.Optimizer],
    reference_options: dict[str, Any],
    rate: float,
    seed: int,
) -> None:
    """PyTorch's Rprop is iRprop⁻ too: where a sign has changed, it takes and keeps 0 for the gradient."""
    parameters = np.random.default_rng(seed).normal(size=N_PARAMETERS)
    tensor = torch.from_numpy(parameters.copy()).requires_grad_()
    method, theirs = optimizer(options), reference([tensor], lr=rate, **reference_options)  # type: ignore[call-arg]
    state = method.init(parameters)
    for gradient in gradients(seed):
        parameters, state = method.update(0.0, gradient, parameters, state, rate)
        tensor.grad = torch.from_numpy(gradient.copy())
        theirs.step()
        expected = tensor.detach().numpy()
        assert np.linalg.norm(parameters - expected) <= 1e-10 * np.linalg.norm(expected)


def minimum_of_the_reference(objective: Objective, evaluations: int) -> tuple[float, int]:
    """What torch.optim.LBFGS arrives at, and after how many evaluations (it ends with a whole line search)."""
    tensor = torch.from_numpy(objective.start.copy()).requires_grad_()
    used = 0

    def closure() -> float:
        nonlocal used
        used += 1
        value, gradient = objective.value_and_gradient(tensor.detach().numpy())
        tensor.grad = torch.from_numpy(gradient.copy())
        return value

    theirs = torch.optim.LBFGS(
        [tensor],
        lr=1,
        max_iter=evaluations,
        max_eval=evaluations,
        tolerance_grad=0,
        tolerance_change=0,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    theirs.step(closure)
    return objective.value_and_gradient(tensor.detach().numpy())[0], used


def minimum(objective: Objective, evaluations: int) -> float:
    """What lbfgs arrives at after so many evaluations."""
    method, parameters = optimizer({"name": "lbfgs"}), objective.start
    state = method.init(parameters)
    for _ in range(evaluations):
        parameters, state = method.update(*objective.value_and_gradient(parameters), parameters, state, 1.0)
    return objective.value_and_gradient(method.solution(parameters, state))[0]


@pytest.mark.parametrize(
    ("objective", "evaluations"), [rest for _, *rest in PROBLEMS], ids=[name for name, *_ in PROBLEMS]
)
def test_lbfgs_gets_as_far_as_that_of_pytorch_in_as_many_evaluations(objective: Objective, evaluations: int) -> None:
    theirs, used = minimum_of_the_reference(objective, evaluations)
    assert minimum(objective, used) <= 1.001 * theirs + 1e-12  # where the minimum is 0, both are at rounding
