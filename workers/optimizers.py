"""How a gradient becomes an update. Each optimizer is three functions over values; no state is hidden.

init(parameters) → state. update(loss, gradient, parameters, state, learning_rate) → (parameters, state).
solution(parameters, state) → the best accepted point: for all of these the parameters themselves.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
State = dict[str, Any]
"""Arrays and numbers by name, so that a checkpoint can hold it."""

# What stopped being finite is for the caller to see, in the next loss; it needs no warning beside it.
_without_warnings = np.errstate(over="ignore", invalid="ignore")


class Optimizer(NamedTuple):
    """A method of descent. Arrays keep the dtype of the parameters, (n_parameters,)."""

    init: Callable[[Array], State]
    update: Callable[[float, Array, Array, State, float], tuple[Array, State]]
    solution: Callable[[Array, State], Array]


def optimizer(options: Mapping[str, Any]) -> Optimizer:
    """The optimizer that the spec names, with its options."""
    by_name: dict[str, Callable[..., Optimizer]] = {
        "gradient_descent": gradient_descent,
        "momentum": momentum,
        "adam": adam,
    }
    return by_name[options["name"]](**{name: value for name, value in options.items() if name != "name"})


def gradient_descent() -> Optimizer:
    """The source's method: w ← w − ηg."""

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        return parameters - _as(parameters, rate) * gradient, state

    return Optimizer(lambda _parameters: {}, update, _parameters_themselves)


def momentum(beta: float = 0.9, *, nesterov: bool = False) -> Optimizer:
    """Sutskever et al. (2013): v ← βv + g, w ← w − ηv; Nesterov: w ← w − η(g + βv)."""

    def init(parameters: Array) -> State:
        return {"velocity": np.zeros_like(parameters)}

    @_without_warnings
    def update(_loss: float, gradient: Array, parameters: Array, state: State, rate: float) -> tuple[Array, State]:
        velocity = _as(parameters, beta) * state["velocity"] + gradient
        step = gradient + _as(parameters, beta) * velocity if nesterov else velocity
        return parameters - _as(parameters, rate) * step, {"velocity": velocity}

    return Optimizer(init, update, _parameters_themselves)


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

    return Optimizer(init, update, _parameters_themselves)


def _as(parameters: Array, value: float) -> Any:  # noqa: ANN401 - a scalar of the parameters' dtype
    """The number in the parameters' dtype, so that no step is taken in another."""
    return parameters.dtype.type(value)


def _parameters_themselves(parameters: Array, _state: State) -> Array:
    return parameters
