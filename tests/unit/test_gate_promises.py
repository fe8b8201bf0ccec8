"""What the check and the gate promise: planted faults, clean nights, a year of equal models, worse ones.

`python -m tests.gate` has all of it at length; here is as much as takes seconds.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gate.clean import Rows, findings, fresh_rows, growing_rows
from tests.gate.faults import FAULTS, doubled_rows, shuffled_labels
from tests.gate.nights import ingested
from tests.gate.planted import EXAMPLE_TABLES, champion_of, data_of, outcome, outcomes
from tests.gate.real import WORSE, Worsen, equal_nights, worse_night
from tests.gate.simulation import nights, stopped, world

ROWS = 300


@pytest.mark.parametrize("name", EXAMPLE_TABLES)
def test_every_planted_fault_is_held_or_stopped(tmp_path: Path, name: str) -> None:
    found = dict(outcomes(EXAMPLE_TABLES[name], tmp_path))
    assert len(found) == len(FAULTS) >= 10
    assert [fault for fault, how in found.items() if how.by == "nothing"] == []


def test_without_the_check_a_clean_night_and_doubled_rows_pass_and_shuffled_labels_do_not(tmp_path: Path) -> None:
    """The faults above fail for what they are: the same gate lets a good model through."""
    example = EXAMPLE_TABLES["abalone"]
    champion = champion_of(example, tmp_path / "clean")

    def end(name: str, fault: Callable[..., str]) -> str:
        return outcome(example, champion, fault, tmp_path / name, check=False).by

    assert end("same", lambda data, _target: str(data.to_csv(index=False))) == "nothing"
    assert end("doubled", doubled_rows) == "nothing"
    assert end("shuffled", shuffled_labels) == "gate"


@pytest.mark.parametrize("worsen", WORSE)
def test_a_model_that_is_really_worse_is_stopped(tmp_path: Path, worsen: Worsen) -> None:
    champion = champion_of(EXAMPLE_TABLES["abalone"], tmp_path / "champion")
    assert worse_night(EXAMPLE_TABLES["abalone"], champion, worsen, tmp_path / "worse").verdict == "kept"


def test_a_model_of_another_seed_and_a_few_more_rows_is_as_good(tmp_path: Path) -> None:
    verdicts = [verdict.verdict for verdict in equal_nights(EXAMPLE_TABLES["abalone"], tmp_path, 6)]
    assert verdicts.count("promoted") >= 4


@pytest.mark.parametrize(("name", "kind"), [("abalone", fresh_rows), ("adult", fresh_rows), ("abalone", growing_rows)])
def test_of_300_clean_nights_at_most_one_is_held(
    tmp_path: Path, name: str, kind: Callable[[int, int, int], Iterator[Rows]]
) -> None:
    example = EXAMPLE_TABLES[name]
    dataset = ingested(tmp_path, data_of(example).to_csv(index=False))
    assert sum(bool(found) for found in findings(dataset, kind(example.rows, 300, 2))) <= 1


def test_over_a_year_of_equally_good_models_the_champion_is_at_most_two_nights_old() -> None:
    year = list(nights(4, ROWS, [0.0] * 365, resamples=999))
    assert max(night.age for night in year) <= 2
    assert sum(night.verdict.verdict == "promoted" for night in year) > 330


def test_of_models_that_are_worse_by_what_the_rows_can_show_99_in_100_are_stopped() -> None:
    assert stopped(6, ROWS, range(2)) >= 0.99


def test_small_steps_down_that_no_night_can_show_do_not_add_up() -> None:
    """Each model is worse than the last one by a tenth of a standard error of the comparison."""
    error = world(1, ROWS).standard_error()
    slow = list(nights(1, ROWS, [0.1 * error * night for night in range(150)], resamples=499))
    served = [night.worse for night in slow if night.verdict.verdict == "promoted"]
    assert max(served) < 8 * error
    assert len(served) > 20
