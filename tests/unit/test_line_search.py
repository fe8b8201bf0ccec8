"""The line search on functions of one variable whose minimum is known."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.line_search import (
    CURVATURE,
    MOST_EVALUATIONS,
    SUFFICIENT_DECREASE,
    Outcome,
    Search,
    advance,
    begin,
    from_numbers,
    to_numbers,
)

Function = Callable[[float], tuple[float, float]]
"""step → (loss, slope)"""


def steps(function: Function, first: float) -> tuple[list[float], Outcome]:
    """The steps that a search asks for, and how it ends."""
    search: Search | Outcome = begin(*function(0.0), first)
    asked = []
    while isinstance(search, Search):
        assert to_numbers(from_numbers(to_numbers(search))) == to_numbers(search)
        asked.append(search.step)
        search = advance(search, *function(search.step))
    return asked, search


def parabola(step: float) -> tuple[float, float]:
    """Lowest at 1."""
    return 0.5 * (step - 1) ** 2, step - 1


@given(first=st.floats(1e-12, 1e12), scale=st.floats(1e-6, 1e6))
def test_a_parabola_is_accepted_within_the_limit_wherever_the_search_begins(first: float, scale: float) -> None:
    def function(step: float) -> tuple[float, float]:
        loss, slope = parabola(step / scale)
        return loss, slope / scale

    asked, outcome = steps(function, first * scale)
    loss, slope = function(asked[-1])
    assert outcome is Outcome.ACCEPTED
    assert loss <= 0.5 - SUFFICIENT_DECREASE * asked[-1] / scale
    assert abs(slope) <= CURVATURE / scale


def test_an_accepted_first_step_is_the_only_one() -> None:
    assert steps(parabola, 0.5) == ([0.5], Outcome.ACCEPTED)


def test_a_step_that_is_a_little_too_far_is_followed_by_the_minimum_of_the_cubic() -> None:
    def cubic(step: float) -> tuple[float, float]:
        return step**3 - 3 * step, 3 * step**2 - 3  # lowest at 1

    assert steps(cubic, 1.9) == (pytest.approx([1.9, 1.0]), Outcome.ACCEPTED)


def test_a_longer_step_that_is_higher_than_the_one_before_closes_the_interval() -> None:
    longer = advance(begin(1.0, -1.0, 1.0), -1.0, -0.95)
    assert isinstance(longer, Search)
    assert longer.high is None
    closed = advance(longer, -0.5, -2.0)  # it decreases enough, and the slope says that more is to come
    assert isinstance(closed, Search)
    assert closed.high is not None
    assert closed.low.step == 1 < closed.step < closed.high.step == longer.step


def test_steps_get_at_most_ten_times_longer() -> None:
    asked, outcome = steps(lambda step: (-(step**1.1), -1.1 * step**0.1 - 1e-3), 1.0)
    assert outcome is Outcome.FAILED
    assert len(asked) == MOST_EVALUATIONS
    assert all(last < this <= 10 * last for last, this in pairwise(asked))


@pytest.mark.parametrize("beyond", [(math.nan, math.nan), (math.inf, 1.0), (0.0, math.nan), (-math.inf, -1.0)])
def test_what_is_not_finite_is_too_far(beyond: tuple[float, float]) -> None:
    asked, outcome = steps(lambda step: parabola(step) if step < 0.05 else beyond, 1.0)
    assert asked[:2] == [1.0, 0.1]
    assert outcome is Outcome.FAILED  # the slope is steep up to where nothing is finite
    assert asked[-1] == pytest.approx(0.05)


def test_a_search_that_nothing_satisfies_ends() -> None:
    asked, outcome = steps(lambda step: (step, -1.0), 1.0)
    assert outcome is Outcome.FAILED
    assert len(asked) <= MOST_EVALUATIONS
