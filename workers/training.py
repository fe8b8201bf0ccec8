"""The epoch loop: from initial parameters to trained ones, one update an epoch or one a batch."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from workers.activations import Array
from workers.batches import NO_TRAINING, Step
from workers.errors import DataError, Diverged
from workers.learning_rate import learning_rate
from workers.network import layer_views
from workers.objective import norm, objective
from workers.optimizers import Optimizer, optimizer
from workers.problem import Problem
from workers.spec import ConstantRate
from workers.stopping import Best, has_stalled, judged, stop_reason

Figures = dict[str, Any]
"""Numbers (or null) by the names of the contract."""


class Sum(NamedTuple):
    """The average loss over a step's rows, its gradient (flat), and the rows' Σw."""

    loss: float
    gradient: Array
    total_weight: float


class Callbacks(NamedTuple):
    """What the loop asks of whoever runs it."""

    sum_of_shard_gradients: Callable[[Array, Step], Sum]
    """The sum over all shards at these parameters."""
    validate: Callable[[Array], Figures]
    """`validation_loss` and more; nothing without validation rows."""
    on_epoch: Callable[[Figures], None]
    """Gets the figures of each epoch. It may raise to end training."""


class State(NamedTuple):
    """Everything that the next epoch depends on."""

    epoch: int
    parameters: Array
    optimizer_state: dict[str, Any]
    best: Best
    good: Array | None
    """The newest parameters whose loss was finite, if any was."""
    seconds: float
    """What training took so far."""


class Trained(NamedTuple):
    """What training came to: the parameters that are kept, their loss, and why it ended."""

    parameters: Array
    epochs: int
    best_epoch: int | None
    stopped_by: str
    loss: float


def train(
    problem: Problem, initial: Array, callbacks: Callbacks, clock: Callable[[], float] = time.perf_counter
) -> Trained:
    """Train from `initial` (flat) on. Raises Diverged, with the last good parameters, where numbers leave the finite.

    Of an epoch's figures, `loss` and `gradient_norm` belong to the parameters that entered it (with batches they are
    the means over its steps, weighted by their rows), `validation_*` and the weight norms to those that left it.
    """
    options, method = problem.spec.training, optimizer(problem.optimizer)
    state, reason = State(0, initial, method.init(initial), Best(), None, 0.0), None
    while reason is None and state.epoch < problem.epochs:
        started, entered = clock(), state.parameters
        state, figures = next_epoch(problem, method, state, callbacks.sum_of_shard_gradients)
        solution = method.solution(state.parameters, state.optimizer_state)
        accepted = method.accepted(entered, state.optimizer_state)
        reason = stop_reason(
            loss=figures["loss"] if accepted else None,
            target_loss=options.target_loss,
            exhausted=method.finished(state.optimizer_state),
            seconds=state.seconds + clock() - started,
            max_runtime_seconds=options.max_runtime_seconds,
        )
        is_last = reason is not None or state.epoch == problem.epochs
        if is_last or state.epoch % options.validate_every_epochs == 0:
            figures |= callbacks.validate(solution)
        seconds = clock() - started
        state = state._replace(seconds=state.seconds + seconds)
        if accepted:  # else the solution is that of the epoch before, and was judged there
            state = judge(problem, state, figures, solution)
        callbacks.on_epoch({**figures, "seconds": seconds})
        if not is_last and has_stalled(state.best, problem.early_stopping):
            reason = "early_stopping"
    kept = state.best.parameters
    if kept is None:
        kept = method.solution(state.parameters, state.optimizer_state)
    kept = problem.as_kept(kept)
    loss = callbacks.sum_of_shard_gradients(kept, NO_TRAINING).loss
    if not math.isfinite(loss):
        raise diverged(problem, "loss", state.epoch, state.good)
    return Trained(kept, state.epoch, state.best.epoch or None, reason or "epochs", loss * problem.loss_unit)


def next_epoch(
    problem: Problem, method: Optimizer, state: State, sum_of_shard_gradients: Callable[[Array, Step], Sum]
) -> tuple[State, Figures]:
    """The state after one more epoch, and its figures."""
    epoch = state.epoch + 1
    rate = learning_rate(problem.spec.training.learning_rate_schedule, problem.learning_rate, epoch, problem.epochs)
    parameters, optimizer_state, good = state.parameters, state.optimizer_state, state.good
    losses = norms = weights = 0.0
    for number in range(problem.steps):
        loss, gradient, weight = sum_of_shard_gradients(parameters, Step(epoch, number))
        gradient_norm = norm(gradient)
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            good = parameters
        elif not method.tolerates_nonfinite(optimizer_state):
            raise diverged(problem, "loss" if not math.isfinite(loss) else "gradient", epoch, good)
        loss_and_penalty, slope = objective(problem.network, problem.penalty, loss, gradient, gradient_norm, parameters)
        parameters, optimizer_state = method.update(loss_and_penalty, slope, parameters, optimizer_state, rate)
        losses, norms, weights = losses + weight * loss, norms + weight * gradient_norm, weights + weight
    weight_norms = norms_of_weights(problem, method.solution(parameters, optimizer_state))
    if not all(math.isfinite(value) for value in weight_norms.values()):
        raise diverged(problem, "weights", epoch, good)
    if problem.steps > 1:
        loss, gradient_norm = losses / weights, norms / weights
    figures = {"epoch": epoch, "loss": _finite(loss * problem.loss_unit), "gradient_norm": _finite(gradient_norm)}
    if problem.spec.training.learning_rate_schedule != ConstantRate(name="constant"):
        figures["learning_rate"] = rate
    state = state._replace(epoch=epoch, parameters=parameters, optimizer_state=optimizer_state, good=good)
    return state, figures | weight_norms


def judge(problem: Problem, state: State, figures: Figures, solution: Array) -> State:
    """The state with what is known of the best epoch, after one whose figures these are."""
    name, early_stopping = "validation_loss" if problem.matrix.validation_rows else "loss", problem.early_stopping
    if name not in figures:  # not an epoch that is validated
        return state
    keeps, minimum = (None, 0.0) if early_stopping is None else (solution, early_stopping.min_improvement)
    return state._replace(best=judged(state.best, figures[name], state.epoch, keeps, minimum))


def diverged(problem: Problem, what: str, epoch: int, good: Array | None) -> Diverged:
    """The error, with what to try and the last good parameters, if there were any that can be kept."""
    if good is not None:
        try:
            problem.in_own_unit(good)
        except DataError:  # too large in the unit of the target
            good = None
    kept = "" if good is None else " The last good weights are kept."
    return Diverged(
        f"The {what} stopped being finite in epoch {epoch}. Try a smaller training.learning_rate "
        f"(it is {problem.learning_rate:g}), "
        f"training.clip_gradient_norm, or preprocessing.standardize.{kept}",
        epoch=epoch,
        parameters=good,
    )


def norms_of_weights(problem: Problem, parameters: Array) -> Figures:
    """The norm of each layer's weights."""
    layers = layer_views(problem.network, parameters)
    return {f"weight_norm/layer_{place}": norm(weights) for place, (weights, _) in enumerate(layers)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
