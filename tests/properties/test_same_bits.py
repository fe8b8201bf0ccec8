"""The same bits from any number of workers, whatever the options: through the code that the actors run."""

from collections.abc import Mapping
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local_training import OPTIONS, LocalTeam, initial, problem_in_memory, sha256_of, train_locally
from workers.batches import NO_TRAINING, Step
from workers.gradients import Share
from workers.problem import Problem
from workers.shards import Node

WORKERS = (1, 2, 3, 5, 7)


def digits_like(n_rows: int, seed: int, *, weighted: bool = False, **options: Any) -> Problem:
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(n_rows, 6)), random.integers(0, 3, n_rows)
    weights = random.uniform(0, 3, n_rows) if weighted else None
    return problem_in_memory(X, y, n_classes=3, weights=weights, **options)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("weighted", [False, True])
def test_any_number_of_workers_gives_the_same_bits(name: str, *, weighted: bool) -> None:
    problem = digits_like(150, 1, weighted=weighted, validation_rows=30, **OPTIONS[name])
    found = [train_locally(problem, n_workers, seed=n_workers) for n_workers in WORKERS]
    assert len({sha256_of(problem, trained) for trained, _ in found}) == 1
    assert all(figures == found[0][1] for _, figures in found)
    assert len({trained[1:] for trained, _ in found}) == 1


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 70), min_size=9, max_size=14),
    name=st.sampled_from(sorted(OPTIONS)),
    weighted=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_uneven_and_empty_shards_give_the_same_bits_too(
    cuts: list[int], name: str, *, weighted: bool, seed: int
) -> None:
    """Including shards without rows, one row in all, and more workers than shards with rows."""
    ends = sorted(cut - min(cuts) for cut in cuts)
    ends[-1] = max(ends[-1], 1)
    ranges = list(pairwise(ends))
    options = {**OPTIONS[name], "training": {**OPTIONS[name].get("training", {}), "epochs": 3}}
    problem = digits_like(ends[-1] + 5, seed, weighted=weighted, validation_rows=5, ranges=ranges, **options)
    hashes = {sha256_of(problem, train_locally(problem, n_workers, seed=seed)[0]) for n_workers in WORKERS}
    assert len(hashes) == 1


@settings(max_examples=100)
@given(
    n_rows=st.integers(9, 60),
    shards=st.integers(1, 9),
    name=st.sampled_from(sorted(OPTIONS)),
    weighted=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_the_sum_over_shards_is_one_pass_over_the_rows_of_the_step(
    n_rows: int, shards: int, name: str, *, weighted: bool, seed: int
) -> None:
    options = {**OPTIONS[name], "training": {**OPTIONS[name].get("training", {}), "dtype": "float64"}}
    cut = digits_like(n_rows, seed, weighted=weighted, shards=shards, **options)
    whole = digits_like(n_rows, seed, weighted=weighted, shards=1, **options)
    parameters = np.random.default_rng(seed).normal(size=len(initial(cut)))
    for step in [NO_TRAINING, *(Step(1, number) for number in range(cut.steps))]:
        found = LocalTeam(cut, 2).sum_of_shard_gradients(parameters, step)
        expected = LocalTeam(whole, 1).sum_of_shard_gradients(parameters, step)
        assert found.total_weight == expected.total_weight
        assert abs(found.loss - expected.loss) <= 1e-12 * abs(expected.loss)
        assert np.linalg.norm(found.gradient - expected.gradient) <= 1e-12 * np.linalg.norm(expected.gradient)


def in_order_of_arrival(parts: Mapping[Node, Share], _n_leaves: int) -> Share:
    return reduce(lambda left, right: (left[0] + right[0], left[1] + right[1]), parts.values())


def test_adding_in_order_of_arrival_would_give_other_bits() -> None:
    """The negative control of the tests above."""
    problem = digits_like(150, 1)
    hashes = {sha256_of(problem, train_locally(problem, n, in_order_of_arrival, seed=n)[0]) for n in WORKERS}
    assert len(hashes) > 1
