"""When training ends, and which epoch was the best."""

from typing import Any

import numpy as np
import pytest

from workers.spec import EarlyStopping
from workers.stopping import Best, has_stalled, judged, stop_reason


def seen(scores: list[float | None], min_improvement: float = 0.0) -> Best:
    best = Best()
    for epoch, score in enumerate(scores, start=1):
        best = judged(best, score, epoch, np.array([epoch]), min_improvement)
    return best


def reason(**changes: Any) -> str | None:
    plain: dict[str, Any] = {
        "loss": 0.5, "target_loss": None, "exhausted": False, "seconds": 10.0, "max_runtime_seconds": None,
    }  # fmt: skip
    return stop_reason(**{**plain, **changes})


def test_the_best_epoch_is_the_first_with_the_lowest_score_and_its_parameters_are_kept() -> None:
    best = seen([3.0, 1.0, 2.0, 1.0])
    assert (best.score, best.epoch, best.stale) == (1.0, 2, 2)
    np.testing.assert_array_equal(best.parameters, [2])


def test_a_score_that_is_not_finite_is_no_improvement() -> None:
    best = seen([None, 3.0, None, 3.5])
    assert (best.epoch, best.stale) == (2, 2)
    assert seen([None, None]).stale == 2


def test_an_improvement_that_is_too_small_counts_as_none_but_its_weights_are_the_better_ones() -> None:
    best = seen([1.0, 0.95, 0.91], min_improvement=0.1)
    assert (best.score, best.epoch, best.stale) == (0.91, 3, 2)
    assert seen([1.0, 0.89], min_improvement=0.1).stale == 0


def test_an_improvement_of_just_the_minimum_is_too_small() -> None:
    assert seen([1.0, 0.5], min_improvement=0.5).stale == 1


def test_training_has_stalled_after_as_many_validations_in_a_row_as_its_patience() -> None:
    patient = EarlyStopping(patience=3)
    scores: list[float | None] = [1.0, 2.0, 2.0, None]
    assert [has_stalled(seen(scores[:n]), patient) for n in range(5)] == [False] * 4 + [True]
    assert not has_stalled(seen([1.0, 2.0, 2.0, 0.5, 2.0, 2.0]), patient)
    assert not has_stalled(seen([1.0] * 100), None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"target_loss": 0.5}, "target_loss"),
        ({"target_loss": 0.49}, None),
        ({"target_loss": 0.5, "loss": None}, None),
        ({"max_runtime_seconds": 10.0}, "max_runtime"),
        ({"max_runtime_seconds": 10.1}, None),
        ({"exhausted": True}, "early_stopping"),
        ({"exhausted": True, "target_loss": 0.5, "max_runtime_seconds": 1.0}, "target_loss"),
        ({"exhausted": True, "max_runtime_seconds": 1.0}, "early_stopping"),
    ],
)
def test_the_reason_is_the_one_that_holds(changes: dict[str, Any], expected: str | None) -> None:
    assert reason(**changes) == expected
