"""The line search of L-BFGS: a step α along a direction at which the loss φ(α) meets the strong Wolfe conditions.

Nocedal & Wright, Numerical Optimization, 2nd edition (2006), algorithms 3.5 (a longer step until an interval brackets a
good one) and 3.6 (zoom), with the cubic interpolation (3.59). Written as a state machine over plain numbers, because
each evaluation of φ is an epoch: `advance` is told φ at the step that it asked for and answers with what follows.
"""

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

SUFFICIENT_DECREASE = 1e-4  # c₁ of (3.7a)
CURVATURE = 0.9  # c₂ of (3.7b), as for (quasi-)Newton directions
MOST_EVALUATIONS = 25
LONGEST_EXTENSION = 10.0  # times the step before
SHORTEST_EXTENSION = 0.01  # of the distance between the last two steps, beyond the last
MARGIN = 0.1  # of an interval: no closer to its ends
NARROWEST = 1e-9  # an interval relative to its far end, below which it has collapsed


class Point(NamedTuple):
    """What is known of φ at one step."""

    step: float
    """α"""
    loss: float
    """φ(α)"""
    slope: float
    """φ′(α)"""


class Search(NamedTuple):
    """Where a line search stands. It waits for φ at `step`."""

    start: Point
    """φ at α = 0; its slope is negative."""
    low: Point
    """The lowest point so far with sufficient decrease; the start before there is one."""
    high: Point | None
    """The other end of an interval that contains good steps. None while steps are still getting longer."""
    step: float
    evaluations: int


class Outcome(Enum):
    """How a line search ends."""

    ACCEPTED = "the last point meets the strong Wolfe conditions"
    FAILED = "no step was found"


def begin(loss: float, slope: float, step: float) -> Search:
    """A search from a point with this loss and slope φ′(0) < 0, which tries `step` first."""
    start = Point(0.0, loss, slope)
    return Search(start, start, None, step, 0)


def advance(search: Search, loss: float, slope: float) -> Search | Outcome:
    """What follows from φ(α) = `loss` and φ′(α) = `slope` at the step that the search asked for.

    A point where either is not finite counts as too far. Any point that meets both conditions is accepted at once.
    """
    trial = Point(search.step, loss, slope)
    if meets_wolfe_conditions(search.start, trial):
        return Outcome.ACCEPTED
    low, high = _interval(search, trial)
    evaluations = search.evaluations + 1
    if evaluations == MOST_EVALUATIONS or _has_collapsed(low, high):
        return Outcome.FAILED
    step = _step_beyond(search.low, trial) if high is None else _step_between(low, high)
    return Search(search.start, low, high, step, evaluations)


def meets_wolfe_conditions(start: Point, trial: Point) -> bool:
    """(3.7): φ(α) ≤ φ(0) + c₁αφ′(0) and |φ′(α)| ≤ c₂|φ′(0)|."""
    return _decreases_enough(start, trial) and abs(trial.slope) <= -CURVATURE * start.slope


def to_numbers(search: Search) -> list[float | None]:
    """The search as a flat list for a checkpoint; None stands for what is missing or not finite."""
    high = (None,) * 3 if search.high is None else search.high
    numbers = (*search.start, *search.low, *high, search.step, search.evaluations)
    return [number if number is not None and math.isfinite(number) else None for number in numbers]


def from_numbers(numbers: Sequence[float | None]) -> Search:
    """The search that `to_numbers` gave as a list."""
    *values, evaluations = (math.nan if number is None else number for number in numbers)
    start, low, high = (Point(*values[first : first + 3]) for first in (0, 3, 6))
    return Search(start, low, None if math.isnan(high.step) else high, values[9], int(evaluations))


def _decreases_enough(start: Point, trial: Point) -> bool:
    return _is_finite(trial) and trial.loss <= start.loss + SUFFICIENT_DECREASE * trial.step * start.slope


def _is_finite(point: Point) -> bool:
    return math.isfinite(point.loss) and math.isfinite(point.slope)


def _interval(search: Search, trial: Point) -> tuple[Point, Point | None]:
    """The next low and high: both algorithms choose alike, 3.5 from an interval that is still open."""
    low = search.low
    is_above_low = low.step > 0 and trial.loss >= low.loss
    if is_above_low or not _decreases_enough(search.start, trial):
        return low, trial
    if trial.slope * (trial.step - low.step) >= 0:
        return trial, low
    return trial, search.high


def _has_collapsed(low: Point, high: Point | None) -> bool:
    return high is not None and abs(high.step - low.step) <= NARROWEST * max(low.step, high.step)


def _step_beyond(previous: Point, last: Point) -> float:
    """The next step of algorithm 3.5: longer, and as long as it may be where the cubic falls for ever."""
    shortest = last.step + SHORTEST_EXTENSION * (last.step - previous.step)
    longest = LONGEST_EXTENSION * last.step
    step = _minimizer_of_cubic(previous, last)
    return min(max(step, shortest), longest) if step > last.step else longest


def _step_between(low: Point, high: Point) -> float:
    """The next step of algorithm 3.6: by interpolation, but well inside.

    Where `high` is not finite, a tenth of it while nothing shorter is known, then by halves.
    """
    width = high.step - low.step
    if not _is_finite(high):
        return low.step + (0.5 if low.step > 0 else MARGIN) * width
    step = _minimizer_of_cubic(low, high)
    if math.isnan(step):
        return low.step + 0.5 * width
    near_low, near_high = low.step + MARGIN * width, high.step - MARGIN * width
    return min(max(step, min(near_low, near_high)), max(near_low, near_high))


def _minimizer_of_cubic(a: Point, b: Point) -> float:
    """(3.59): where the cubic with these two losses and slopes has its minimum; NaN if it has none."""
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    radicand = d1 * d1 - a.slope * b.slope
    if not radicand >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(radicand), b.step - a.step)
    divisor = b.slope - a.slope + 2 * d2
    return b.step - (b.step - a.step) * (b.slope + d2 - d1) / divisor if divisor else math.nan
