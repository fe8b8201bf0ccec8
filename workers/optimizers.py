"""How a gradient becomes an update. Each optimizer is a few functions over values; no state is hidden.

init(parameters) → state. update(loss, gradient, parameters, state, learning_rate) → (parameters, state).
solution(parameters, state) → the best accepted point: the parameters themselves, except for lbfgs (workers.lbfgs).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers import lbfgs

Array = NDArray[Any]
State = dict[str, Any]
"""Arrays, numbers and lists of numbers by name, so that a checkpoint can hold it."""

RPROP_FACTORS = 0.5, 1.2  # η⁻ and η⁺
RPROP_STEP_SIZES = 1e-6, 50.0  # the smallest and the largest

# What stopped being finite is for the caller to see, in the next loss; it needs no warning beside it.
_without_warnings = np.errstate(over="ignore", invalid="ignore")


def _parameters_themselves(parameters: Array, _state: State) -> Array:
    return parameters


def _never(_state: State) -> bool:
    return False


def _always(_parameters: Array, _state: State) -> bool:
    return True


class Optimizer(NamedTuple):
    """A method of descent. Arrays keep the dtype of the parameters, (n_parameters,)."""

    init: Callable[[Array], State]
    update: Callable[[float, Array, Array, State, float], tuple[Array, State]]
    solution: Callable[[Array, State], Array] = _parameters_themselves
    finished: Callable[[State], bool] = _never
    """Whether there is nothing more to gain: from then on the solution stays."""
    accepted: Callable[[Array, State], bool] = _always
    """Whether the parameters that `update` was given last are the solution, or led to it: not so for a trial point."""
    tolerates_nonfinite: Callable[[State], bool] = _never
    """Whether the point that `update` gave with this state is a trial, whose loss and gradient need not be finite."""


def optimizer(options: Mapping[str, Any]) -> Optimizer:
    """The optimizer that the spec names, with its options."""
    by_name: dict[str, Callable[..., Optimizer]] = {
        "gradient_descent": gradient_descent,
        "momentum": momentum,
        "adam": adam,
        "rprop": rprop,
        "lbfgs": limited_memory_bfgs,
    }
    return by_name[options["name"]](**{name: value for name, value in options.items() if name != "name"})


def gradient_descent() -> Optimizer:
    """The source's method: w ← w − ηg."""

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        return parameters - _as(parameters, rate) * gradient, state

    return Optimizer(lambda _parameters: {}, update)


def momentum(beta: float = 0.9, *, nesterov: bool = False) -> Optimizer:
    """Sutskever et al. (2013): v ← βv + g, w ← w − ηv; Nesterov: w ← w − η(g + βv)."""

    def init(parameters: Array) -> State:
        return {"velocity": np.zeros_like(parameters)}

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        velocity = _as(parameters, beta) * state["velocity"] + gradient
        step = gradient + _as(parameters, beta) * velocity if nesterov else velocity
        return parameters - _as(parameters, rate) * step, {"velocity": velocity}

    return Optimizer(init, update)


def adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Kingma & Ba (2015), algorithm 1: with bias correction, ε outside the root."""

    def init(parameters: Array) -> State:
        return {"step": 0, "first": np.zeros_like(parameters), "second": np.zeros_like(parameters)}

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        step = state["step"] + 1
        first = _as(parameters, beta1) * state["first"] + _as(parameters, 1 - beta1) * gradient
        second = _as(parameters, beta2) * state["second"] + _as(parameters, 1 - beta2) * np.square(gradient)
        first_unbiased = first / _as(parameters, 1 - beta1**step)
        second_unbiased = second / _as(parameters, 1 - beta2**step)
        change = _as(parameters, rate) * first_unbiased / (np.sqrt(second_unbiased) + _as(parameters, epsilon))
        return parameters - change, {"step": step, "first": first, "second": second}

    return Optimizer(init, update)


def rprop() -> Optimizer:
    """iRprop⁻ of Igel & Hüsken (2000): each parameter has a step size of its own, and only the gradient's sign counts.

    The learning rate is the first step size. Where the sign has changed, the gradient counts as 0 this time and next.
    """
    decrease, increase = RPROP_FACTORS

    def init(parameters: Array) -> State:
        return {"step": 0, "signs": np.zeros_like(parameters), "step_sizes": np.zeros_like(parameters)}

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        step_sizes = state["step_sizes"] if state["step"] else np.full_like(parameters, rate)
        signs = np.sign(gradient)
        agreement = signs * state["signs"]
        factors = np.where(agreement > 0, _as(parameters, increase), _as(parameters, 1))
        factors = np.where(agreement < 0, _as(parameters, decrease), factors)
        step_sizes = np.clip(step_sizes * factors, *(_as(parameters, limit) for limit in RPROP_STEP_SIZES))
        signs = np.where(agreement < 0, _as(parameters, 0), signs)
        return parameters - signs * step_sizes, {"step": state["step"] + 1, "signs": signs, "step_sizes": step_sizes}

    return Optimizer(init, update)


def limited_memory_bfgs(history: int = 10) -> Optimizer:
    """Liu & Nocedal (1989), with a line search for the strong Wolfe conditions: see workers.lbfgs."""

    def update(loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        return lbfgs.update(loss, gradient, parameters, state, rate, history)

    return Optimizer(
        lbfgs.initial_state,
        update,
        solution=lambda _parameters, state: lbfgs.solution(state),
        finished=lbfgs.is_finished,
        accepted=lambda parameters, state: np.array_equal(parameters, lbfgs.solution(state)),
        tolerates_nonfinite=lbfgs.is_trial,
    )


def _as(parameters: Array, value: float) -> Any:  # noqa: ANN401 - a scalar of the parameters' dtype
    """The number in the parameters' dtype, so that no step is taken in another."""
    return parameters.dtype.type(value)
