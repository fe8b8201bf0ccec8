"""The shards that a job shows before its split are those of its plan, if 8 rows train or more; or it shows none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.dataset import Column
from workers.settled import expected_rows, resources_without_plan, settled_shards
from workers.shards import auto_shards
from workers.spec import JobSpec, Split, parse
from workers.split import split_by_hash, split_by_row


def spec_of(shards: Any = "auto", **split: Any) -> JobSpec:
    return parse({"dataset": "d", "target": "y", "split": split, "resources": {"shards": shards}})


@pytest.mark.parametrize("rows", [100, 1797, 32_768, 36_411, 60_000, 150_000])
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.1, 0.0), (0.2, 0.15)])
def test_settled_shards_are_those_of_the_rows_that_train(
    rows: int, shares: tuple[float, float], tmp_path: Path
) -> None:
    validation, test = shares
    column = Column("x", "number", np.arange(rows) / 7, None, None)
    by_hash = split_by_hash([column], rows, validation, test, scratch=tmp_path)
    by_row = split_by_row(rows, validation, test, scratch=tmp_path)
    for kind, split in (("hash", by_hash), ("row", by_row)):
        settled = settled_shards(spec_of(by=kind, validation=validation, test=test), rows)
        found = auto_shards(split.training_rows)
        assert settled == found or (kind == "hash" and settled is None and rows == 36_411)


def test_a_split_by_hash_is_settled_unless_it_may_go_beyond_a_number_of_shards() -> None:
    assert [settled_shards(spec_of(), rows) for rows in (1797, 35_900, 60_000, 72_820, 10**6)] == [8, 8, 16, None, 64]


@pytest.mark.parametrize("split", [{"by": "group", "column": "g"}, {"by": "time", "column": "t"}, {"stratify": True}])
def test_groups_times_and_strata_are_settled_where_all_rows_fit_the_fewest_shards(split: dict[str, Any]) -> None:
    assert [settled_shards(spec_of(**split), rows) for rows in (5, 32_768, 32_769)] == [5, 8, None]


def test_shards_that_are_given_stay_and_are_not_more_than_the_plan_makes_of_them() -> None:
    assert settled_shards(spec_of(shards=3, by="group", column="g"), 10**6) == 3


def test_a_job_that_ends_before_its_plan_has_the_resources_that_were_expected() -> None:
    assert resources_without_plan(spec_of(by="group", column="g").model_dump(), 60_000) == {"workers": 1, "shards": 16}
    given = {**spec_of().model_dump(), "resources": {"workers": 2, "shards": "auto"}}
    assert resources_without_plan(given, 4) == {"workers": 2, "shards": 4}


def test_expected_rows_are_rounded_halves_up_and_one_is_left() -> None:
    assert expected_rows(Split(validation=0.25, test=0.25), 10) == (4, 3)
    assert expected_rows(Split(validation=0.5, test=0.45), 1) == (1, 1)
