"""The rows of each step: a keyed permutation of the training rows, cut at every `batch_size` places."""

from typing import Any

import numpy as np
import pytest

from workers.batches import NO_TRAINING, Batch, Batches, Step
from workers.errors import DataError
from workers.randomness import ORDER_OF_ROWS, generator
from workers.shards import shard_ranges

N, SIZE, STEPS = 103, 20, 6


def batches(n_shards: int = 4, size: int | None = SIZE, seed: int = 0, weights: Any = None, n: int = N) -> Batches:
    return Batches(shard_ranges(n, n_shards), size, seed, weights)


def epoch_of(found: Batches, epoch: int = 1, steps: int = STEPS) -> list[Batch]:
    return [found.batch(Step(epoch, number)) for number in range(steps)]


def rows_of(batch: Batch) -> list[int]:
    assert batch.rows is not None
    return batch.rows.tolist()


def test_every_row_is_in_an_epoch_once() -> None:
    for epoch in (1, 2, 50):
        rows = [row for batch in epoch_of(batches(), epoch) for row in rows_of(batch)]
        assert sorted(rows) == list(range(N))


def test_batch_k_is_the_places_kb_to_kb_plus_b_of_the_permutation_and_the_last_is_smaller() -> None:
    permutation = generator(ORDER_OF_ROWS, 9, 3).permutation(N)
    found = epoch_of(batches(seed=9), 3)
    for number, batch in enumerate(found):
        assert rows_of(batch) == sorted(permutation[number * SIZE : (number + 1) * SIZE].tolist())
    assert [len(rows_of(batch)) for batch in found] == [20, 20, 20, 20, 20, 3]


def test_another_epoch_and_another_seed_have_another_order() -> None:
    epochs = [epoch_of(batches(seed=seed), epoch) for seed in (0, 1) for epoch in (1, 2)]
    orders = {str([rows_of(batch) for batch in found]) for found in epochs}
    assert len(orders) == 4


def test_the_order_does_not_depend_on_shards_nor_on_what_was_asked_before() -> None:
    expected = [rows_of(batch) for batch in epoch_of(batches(1), 2)]
    for n_shards in (2, 7, N):
        found = batches(n_shards)
        epoch_of(found, 5)
        assert [rows_of(found.batch(Step(2, number))) for number in reversed(range(STEPS))] == expected[::-1]


@pytest.mark.parametrize("n_shards", [1, 4, 60])
def test_bounds_say_which_rows_are_of_which_shard_and_leaves_are_the_shards_with_rows(n_shards: int) -> None:
    ranges = shard_ranges(N, n_shards)
    for batch in epoch_of(batches(n_shards)):
        rows = rows_of(batch)
        parts = [rows[batch.bounds[shard] : batch.bounds[shard + 1]] for shard in range(n_shards)]
        assert parts == [[row for row in rows if first <= row < last] for first, last in ranges]
        assert list(batch.leaves) == [shard for shard, part in enumerate(parts) if part]


def test_a_shard_without_rows_is_no_leaf_of_the_full_batch_either() -> None:
    whole = Batches([(0, 0), (0, 2), (2, 2), (2, 5)], None, 0, None).batch(Step(1, 0))
    assert (whole.rows, list(whole.leaves), whole.total_weight) == (None, [1, 3], 5.0)


def test_the_total_weight_is_that_of_the_batch_and_of_all_rows_without_training() -> None:
    weights = np.random.default_rng(0).uniform(0, 3, N)
    weighted, plain = batches(weights=weights), batches()
    for batch in epoch_of(weighted):
        assert batch.total_weight == pytest.approx(weights[rows_of(batch)].sum(), rel=1e-15)
    assert [batch.total_weight for batch in epoch_of(plain)] == [20.0] * 5 + [3.0]
    assert weighted.batch(NO_TRAINING).total_weight == pytest.approx(weights.sum(), rel=1e-15)
    assert (plain.batch(NO_TRAINING).rows, plain.batch(NO_TRAINING).total_weight) == (None, N)


@pytest.mark.parametrize("weights", [np.zeros(N), np.full(N, 1e307)])
def test_rows_that_weigh_nothing_or_without_bounds_are_refused(weights: Any) -> None:
    with np.errstate(over="ignore"), pytest.raises(DataError, match=r"add up to (0|inf)\. Change weight_column"):
        batches(weights=weights)
