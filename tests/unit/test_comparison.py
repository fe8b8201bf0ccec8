"""The statistics behind the check and the gate: what chance makes of few rows is no shift and no difference."""

import numpy as np
import pytest

from service.column_statistics import counts_as, statistics_of
from service.comparison import bundled, compare_data, difference, shift
from service.data_check import drifted, problems, shifted
from tests.columns import numbers, texts


def test_the_index_of_equal_counts_is_zero_and_that_of_a_shift_is_known() -> None:
    counts = np.array([1000.0, 1000.0, 1000.0, 1000.0])
    assert shift(counts, counts)["psi"] == 0.0
    found = shift(counts * 1000, counts[::-1] * [1000, 1000, 1000, 3000])
    p, q = np.array([0.25] * 4), np.array([1, 1, 1, 3]) / 6
    assert found["psi"] == pytest.approx(float(((p - q) * np.log(p / q)).sum()), abs=1e-4)
    assert not found["by_chance"]


@pytest.mark.parametrize("rows", [30, 100, 1000])
def test_samples_of_one_population_shift_by_chance_only(rows: int) -> None:
    random = np.random.default_rng(rows)
    found = [shift(*random.multinomial(rows, [0.1] * 10, 2)) for _ in range(500)]
    assert sum(not each["by_chance"] for each in found) == 0
    assert np.mean([each["psi"] for each in found]) < 0.6 * 9 * 2 / rows


def test_a_small_shift_of_many_rows_is_no_finding_below_the_threshold() -> None:
    measured = {"used": ["a"], "uncomparable": [], "shifts": {"a": {"psi": 0.1, "by_chance": False}}}
    assert shifted(0.2, measured) is None
    found = shifted(0.05, measured)
    assert found is not None
    assert "'a'" in found.message


def test_counts_are_those_of_the_bins_of_the_reference() -> None:
    described = statistics_of([numbers("a", *range(100)), texts("c", *("xy" * 50))])["columns"]
    assert sum(described[0]["counts"]) == 100
    assert described[0]["counts"][-1] == 0
    later = counts_as(described[0], numbers("a", -5.0, 1000.0, None))
    assert later is not None
    assert (later[0], later[-2], later[-1]) == (1, 1, 1)
    renamed = counts_as(described[1], texts("c", "x", "Y", None))
    assert renamed is not None
    assert renamed.tolist() == [1, 0, 1, 1]
    assert counts_as(described[0], texts("a", "1")) is None


def test_a_column_that_is_mostly_one_value_shows_a_change_of_unit() -> None:
    random = np.random.default_rng(0)
    before = np.where(random.random(2000) < 0.9, 0.0, random.exponential(100, 2000))
    reference = statistics_of([numbers("gain", *before)])
    measured = compare_data(reference, [numbers("gain", *(before * 1000))], ["gain"])
    assert [finding.code for finding in problems({"max_psi": 0.2}, measured)] == ["shifted"]


def test_repeated_rows_are_found_where_their_number_alone_is_fine() -> None:
    reference = statistics_of([numbers("a", *range(100))])
    measured = compare_data(reference, [numbers("a", *range(60), *range(60))], ["a"])
    assert [finding.code for finding in problems({"rows_vs_last": [0.5, 2]}, measured)] == ["repeated_rows"]


@pytest.mark.parametrize("mode", ["suggest", "run"])
def test_drift_does_what_its_schedule_says_and_nothing_where_there_is_none(mode: str) -> None:
    rule = {"dataset": "live", "max_psi": 0.25, "mode": mode}
    random = np.random.default_rng(3)
    reference = statistics_of([numbers("a", *random.normal(0, 1, 500))])
    same, moved = (compare_data(reference, [numbers("a", *random.normal(mean, 1, 500))], ["a"]) for mean in (0, 1))
    assert drifted(rule, same).step == "none"
    assert drifted(rule, moved).step == mode


def test_what_is_not_asked_for_is_not_checked() -> None:
    reference = statistics_of([numbers("a", *range(100))])
    measured = compare_data(reference, [texts("b", "x", None)], ["a"])
    assert problems({}, measured) == []
    codes = {"min_rows": 3, "same_columns": True, "max_psi": 0.2}
    assert [finding.code for finding in problems(codes, measured)] == ["too_few_rows", "columns", "shifted"]


def test_the_difference_of_equal_models_contains_zero_as_often_as_its_confidence_says() -> None:
    random = np.random.default_rng(1)
    outside = 0
    for seed in range(300):
        found = difference(random.exponential(1, 200), random.exponential(1, 200), 0.9, seed, resamples=299)
        outside += not found.lower <= 0 <= found.upper
    assert 15 <= outside <= 48


def test_the_same_job_draws_the_same_and_another_one_does_not() -> None:
    costs, others = np.random.default_rng(2).random((2, 50))
    assert difference(costs, others, 0.95, 3) == difference(costs, others, 0.95, 3)
    assert difference(costs, others, 0.95, 3) != difference(costs, others, 0.95, 4)


def test_equal_answers_and_a_single_row_have_no_spread() -> None:
    assert difference(np.ones(5), np.ones(5), 0.95, 0) == (0.0, 0.0, 0.0, 0.0)
    assert difference(np.ones(1), np.zeros(1), 0.95, 0) == (1.0, 1.0, 1.0, 0.0)


def test_bundles_of_many_rows_keep_mean_and_standard_error() -> None:
    values = np.random.default_rng(4).exponential(1, 123_457)
    found = bundled(values)
    assert len(found) == 2000
    assert found.mean() == pytest.approx(values.mean())
    assert found.std() / np.sqrt(2000) == pytest.approx(values.std() / np.sqrt(len(values)), rel=0.1)
