"""Schedules by the formulas of docs/TRAINING.md."""

import math

import pytest

from workers.learning_rate import learning_rate
from workers.spec import ConstantRate, CosineRate, Schedule, StepRate

RATE, EPOCHS = 0.8, 10


def rates(schedule: Schedule) -> list[float]:
    return [learning_rate(schedule, RATE, epoch, EPOCHS) for epoch in range(1, EPOCHS + 1)]


def test_constant_stays() -> None:
    assert rates(ConstantRate(name="constant")) == [RATE] * EPOCHS


def test_step_multiplies_by_the_factor_every_few_epochs() -> None:
    found = rates(StepRate(name="step", every=3, factor=0.5))
    assert found == pytest.approx([0.8] * 3 + [0.4] * 3 + [0.2] * 3 + [0.1])


def test_cosine_begins_at_the_rate_is_half_of_it_in_the_middle_and_comes_close_to_0() -> None:
    found = rates(CosineRate(name="cosine"))
    assert found == pytest.approx([RATE * 0.5 * (1 + math.cos(math.pi * done / EPOCHS)) for done in range(EPOCHS)])
    assert (found[0], found[5]) == (RATE, pytest.approx(RATE / 2))
    assert 0 < found[-1] < 0.03 * RATE


@pytest.mark.parametrize(
    ("schedule", "behind"),
    [
        (ConstantRate(name="constant", warmup_epochs=3), [1, 1, 1, 1, 1, 1, 1]),
        (StepRate(name="step", every=2, factor=0.1, warmup_epochs=3), [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001]),
        (
            CosineRate(name="cosine", warmup_epochs=3),
            [0.5 * (1 + math.cos(math.pi * done / 7)) for done in range(7)],
        ),
    ],
)
def test_a_warm_up_climbs_in_equal_steps_and_the_schedule_starts_behind_it(
    schedule: Schedule, behind: list[float]
) -> None:
    climb = [RATE * epoch / 4 for epoch in (1, 2, 3)]
    assert rates(schedule) == pytest.approx(climb + [RATE * factor for factor in behind])


def test_no_number_of_epochs_makes_a_rate_overflow_or_negative() -> None:
    steep = StepRate(name="step", every=1, factor=1e-300)
    found = [learning_rate(steep, RATE, epoch, 10**7) for epoch in (1, 2, 10**7)]
    assert found == [RATE, RATE * 1e-300, 0]
    assert learning_rate(CosineRate(name="cosine"), RATE, 10**7, 10**7) >= 0
