"""The epoch loop: from initial parameters to trained ones, one update an epoch."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.errors import Diverged
from workers.gradients import Share
from workers.initialization import initial_parameters
from workers.network import layer_views
from workers.optimizers import optimizer
from workers.problem import Problem

Parameters = NDArray[Any]
Figures = dict[str, Any]
"""Numbers (or null) by the names of the contract."""


class State(NamedTuple):
    """Everything that the next epoch depends on."""

    epoch: int
    parameters: Parameters
    optimizer_state: dict[str, Any]


def train(
    problem: Problem,
    sum_of_shard_gradients: Callable[[Parameters], Share],
    validate: Callable[[Parameters], Figures],
    on_epoch: Callable[[Figures], None],
) -> Parameters:
    """The parameters after the last epoch. Raises Diverged at the first loss that is not finite.

    `on_epoch` gets the figures of each epoch: `loss` and `gradient_norm` belong to the parameters that entered it,
    what `validate` answers and the weight norms to those that left it.
    """
    training = problem.spec.training
    method = optimizer(problem.optimizer)
    parameters = initial_parameters(problem.network, training.seed, problem.spec.network.initialization, problem.dtype)
    state = State(0, parameters, method.init(parameters))
    for epoch in range(state.epoch + 1, problem.epochs + 1):
        started = time.perf_counter()
        loss, gradient = sum_of_shard_gradients(state.parameters)
        gradient_norm = norm(gradient)
        refuse_if_not_finite(epoch, loss, gradient_norm, problem.learning_rate)
        parameters, optimizer_state = method.update(
            loss, gradient, state.parameters, state.optimizer_state, problem.learning_rate
        )
        refuse_weights_that_are_not_finite(epoch, parameters, problem.learning_rate)
        state = State(epoch, parameters, optimizer_state)
        figures: Figures = {"epoch": epoch, "loss": loss, "gradient_norm": gradient_norm}
        if epoch % training.validate_every_epochs == 0 or epoch == problem.epochs:
            figures |= validate(method.solution(parameters, optimizer_state))
        on_epoch(figures | weight_norms(problem, parameters) | {"seconds": time.perf_counter() - started})
    return method.solution(state.parameters, state.optimizer_state)


def refuse_if_not_finite(epoch: int, loss: float, gradient_norm: float, learning_rate: float) -> None:
    """Raise Diverged where training can't go on, with what to try."""
    if math.isfinite(loss) and math.isfinite(gradient_norm):
        return
    raise diverged("loss" if not math.isfinite(loss) else "gradient", epoch, learning_rate)


def refuse_weights_that_are_not_finite(epoch: int, parameters: Parameters, learning_rate: float) -> None:
    """Raise Diverged where an update went beyond what the dtype can hold."""
    if not math.isfinite(norm(parameters)):
        raise diverged("weights", epoch, learning_rate)


def diverged(what: str, epoch: int, learning_rate: float) -> Diverged:
    """The error, with what to try."""
    return Diverged(
        f"The {what} stopped being finite in epoch {epoch}. Try a smaller training.learning_rate "
        f"(it is {learning_rate:g}), or preprocessing.standardize."
    )


def norm(vector: NDArray[Any]) -> float:
    """The Euclidean norm, summed in float64."""
    return math.sqrt(float(np.einsum("i,i->", vector, vector, dtype=np.float64)))


def weight_norms(problem: Problem, parameters: Parameters) -> Figures:
    """The norm of each layer's weights."""
    layers = layer_views(problem.network, parameters)
    return {f"weight_norm/layer_{place}": norm(weights.ravel()) for place, (weights, _) in enumerate(layers)}
