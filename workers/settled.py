"""The shards of a job before its rows are split: where the number of training rows that comes out can't change them.

The plan counts the rows and decides; what is said here is what it will say, unless fewer than 8 rows train.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from workers.shards import FEWEST_SHARDS, auto_shards
from workers.spec import JobSpec, Split

DEVIATIONS = 6
"""Rows drawn by their hash are as many more or fewer, in standard deviations, once in five hundred million splits."""


class Expected(NamedTuple):
    """So many rows of a dataset train and validate, about."""

    training: int
    validation: int


def expected_rows(split: Split, rows: int) -> Expected:
    """The shares of the split, rounded to the nearest row; at least one row trains."""
    validation, test = (int(rows * share + 0.5) for share in (split.validation, split.test))
    return Expected(max(rows - validation - test, 1), validation)


def settled_shards(spec: JobSpec, rows: int) -> int | None:
    """The shards of a job on a dataset of `rows` rows; None where the split of its rows has to say.

    Where fewer rows than that are left for training, the plan has one shard a row.
    """
    asked = spec.resources.shards
    if asked != "auto":
        return asked
    fewest, most = _training_rows(spec.split, rows)
    surely = max(fewest, min(FEWEST_SHARDS, most))
    return auto_shards(surely) if auto_shards(surely) == auto_shards(most) else None


def resources_without_plan(spec: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """What stands for `auto` where a job ends before it is planned: the shards expected, and one worker."""
    expected = expected_rows(Split.model_validate(spec["split"]), rows)
    values = {"workers": 1, "shards": auto_shards(expected.training)}
    return {name: values[name] if value == "auto" else value for name, value in spec["resources"].items()}


def _training_rows(split: Split, rows: int) -> tuple[int, int]:
    """Their number at least and at most."""
    held_out = split.validation + split.test
    expected = expected_rows(split, rows).training
    if split.by == "row" or held_out == 0:
        return expected, expected
    if split.by == "hash" and split.column is None and not split.stratify:
        margin = math.ceil(DEVIATIONS * math.sqrt(rows * held_out * (1 - held_out))) + 1
        return max(expected - margin, 1), min(expected + margin, rows)
    return 1, rows  # how large groups, times and strata are is not known
