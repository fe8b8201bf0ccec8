"""L-BFGS: Newton's method with the curvature that the last few steps have shown. It works on the whole objective.

Nocedal & Wright, Numerical Optimization, 2nd edition (2006): algorithm 7.5 with the two-loop recursion 7.4 and the
scaling (7.20). `update` is told loss and gradient at the point that it asked for last, so the line search of one step
(workers.line_search) spans several calls, and everything in between is in the state:

accepted, gradient (n,): the last accepted point, whose loss is the lowest so far, and the gradient there.
direction (n,): along which the line search goes from there.
displacements, gradient_changes (pairs, n): s = x⁺ − x and y = ∇f⁺ − ∇f of the latest accepted steps, oldest first.
search: the line search, as a list of numbers; None before the first evaluation.
finished: there is nothing more to gain.

Where a line search finds no step, the history is forgotten and the next one goes down the gradient; where that finds
none either, the method has finished. Vectors keep the parameters' dtype; inner products are in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.line_search import Outcome, Search, advance, begin, from_numbers, to_numbers

Array = NDArray[Any]
State = dict[str, Any]


def initial_state(parameters: Array) -> State:
    """Nothing is known yet but where to start."""
    no_pairs = np.empty((0, len(parameters)), parameters.dtype)
    return {
        "accepted": parameters.copy(),
        "gradient": np.zeros_like(parameters),
        "direction": np.zeros_like(parameters),
        "displacements": no_pairs,
        "gradient_changes": no_pairs,
        "search": None,
        "finished": False,
    }


@np.errstate(all="ignore")  # a point that is not finite is too far, and the line search sees that
def update(
    loss: float, gradient: Array, parameters: Array, state: State, learning_rate: float, history: int
) -> tuple[Array, State]:
    """The next point to evaluate, and the state. The last `history` pairs are kept.

    The learning rate scales the first trial step down the gradient. Once finished, the answer is the accepted point.
    """
    if state["finished"]:
        return solution(state), state
    if state["search"] is None:
        return _go_down_the_gradient(state | {"gradient": gradient.copy()}, loss, learning_rate)
    search = from_numbers(state["search"])
    after = advance(search, loss, inner(gradient, state["direction"]))
    if isinstance(after, Search):
        return _try_step(state, after, learning_rate)
    if after is Outcome.ACCEPTED:
        return _go_on(_accept(state, parameters, gradient, history), loss, learning_rate)
    return _start_again(state, search.start.loss, learning_rate)


def solution(state: State) -> Array:
    """The last accepted point: accepted losses never rise."""
    accepted: Array = state["accepted"]
    return accepted


def is_finished(state: State) -> bool:
    """Whether no further evaluation would change the solution."""
    return bool(state["finished"])


def is_trial(state: State) -> bool:
    """Whether the next evaluation is one that a line search asked for: it may turn out not to be finite."""
    return state["search"] is not None


def two_loop_recursion(gradient: Array, displacements: Array, gradient_changes: Array) -> Array:
    """Algorithm 7.4: H∇f (n,). H is γI, with γ = sᵀy/yᵀy of the latest pair, updated by all pairs s, y (pairs, n)."""
    pairs = [(s, y, inner(s, y)) for s, y in zip(displacements, gradient_changes, strict=True)]
    q, factors = gradient, []
    for s, y, curvature in reversed(pairs):
        alpha = inner(s, q) / curvature
        q = q - _as(q, alpha) * y
        factors.append(alpha)
    latest_y, latest_curvature = pairs[-1][1:]
    r: Array = _as(q, latest_curvature / inner(latest_y, latest_y)) * q
    for (s, y, curvature), alpha in zip(pairs, reversed(factors), strict=True):
        beta = inner(y, r) / curvature
        r = r + _as(r, alpha - beta) * s
    return r


def inner(a: Array, b: Array) -> float:
    """aᵀb, summed in float64."""
    return float(np.einsum("i,i->", a, b, dtype=np.float64))


def _accept(state: State, parameters: Array, gradient: Array, history: int) -> State:
    """The state at a new accepted point, with a new pair unless sᵀy is not positive beyond rounding."""
    s, y = parameters - state["accepted"], gradient - state["gradient"]
    accepted = state | {"accepted": parameters.copy(), "gradient": gradient.copy()}
    if not inner(s, y) > np.finfo(s.dtype).eps * np.sqrt(inner(s, s) * inner(y, y)):
        return accepted
    return accepted | {
        "displacements": np.concatenate([state["displacements"], s[None]])[-history:],
        "gradient_changes": np.concatenate([state["gradient_changes"], y[None]])[-history:],
    }


def _go_on(state: State, loss: float, learning_rate: float) -> tuple[Array, State]:
    """A new search from the accepted point, along the quasi-Newton direction: its natural step is 1."""
    if not len(state["displacements"]):
        return _go_down_the_gradient(state, loss, learning_rate)
    direction = -two_loop_recursion(state["gradient"], state["displacements"], state["gradient_changes"])
    slope = inner(direction, state["gradient"])
    if not -np.inf < slope < 0:
        return _start_again(state, loss, learning_rate)
    if -slope <= np.finfo(np.float64).eps * abs(loss):  # the step would gain half of that, which the loss can't show
        return _finish(state)
    return _try_step(state | {"direction": direction}, begin(loss, slope, 1.0), learning_rate)


def _go_down_the_gradient(state: State, loss: float, learning_rate: float) -> tuple[Array, State]:
    """A new search from the accepted point, which moves no parameter by more than the learning rate at first."""
    gradient = state["gradient"]
    slope = -inner(gradient, gradient)
    if not -np.inf < slope < 0:
        return _finish(state)
    step = learning_rate * min(1.0, 1 / float(np.sum(np.abs(gradient), dtype=np.float64)))
    return _try_step(state | {"direction": -gradient}, begin(loss, slope, step), learning_rate)


def _start_again(state: State, loss: float, learning_rate: float) -> tuple[Array, State]:
    """Down the gradient without the history; without a history, that is what has failed just now."""
    if not len(state["displacements"]):
        return _finish(state)
    no_pairs = state["displacements"][:0].copy()
    forgotten = state | {"displacements": no_pairs, "gradient_changes": no_pairs}
    return _go_down_the_gradient(forgotten, loss, learning_rate)


def _try_step(state: State, search: Search, learning_rate: float) -> tuple[Array, State]:
    """The point at the step that the search asks for; a step that rounding swallows has failed."""
    accepted = solution(state)
    trial = accepted + _as(accepted, search.step) * state["direction"]
    if np.array_equal(trial, accepted):
        return _start_again(state, search.start.loss, learning_rate)
    return trial, state | {"search": to_numbers(search)}


def _finish(state: State) -> tuple[Array, State]:
    return solution(state), state | {"finished": True}


def _as(vector: Array, value: float) -> Any:  # noqa: ANN401 - a scalar of the vector's dtype
    """The number in the vector's dtype, so that no vector is widened."""
    return vector.dtype.type(value)
