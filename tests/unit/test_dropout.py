"""Masks of inverted dropout: keyed by (seed, epoch, step, row, layer), and by nothing else."""

from itertools import product

import numpy as np
import pytest

from workers.activations import Array
from workers.batches import Step
from workers.dropout import Dropout

SIZES = (40, 25)
STEP = Step(3, 1)
ROWS = np.array([0, 5, 6, 900, 2**40])


def masks(rows: Array = ROWS, rate: float = 0.4, dtype: type = np.float64) -> list[Array]:
    found = Dropout(rate, 1, SIZES, dtype, len(rows)).masks(STEP, rows)
    return [mask.copy() for mask in found]


def test_there_is_a_mask_for_each_hidden_layer_and_none_without() -> None:
    assert [mask.shape for mask in masks()] == [(5, 40), (5, 25)]
    assert Dropout(0.5, 0, (), np.float32, 4).masks(STEP, ROWS) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_0_or_1_over_1_minus_the_rate(dtype: type) -> None:
    for rate in (0.1, 0.5, 0.75):
        for mask in masks(rate=rate, dtype=dtype):
            assert mask.dtype == dtype
            assert set(mask.ravel().tolist()) == {0.0, float(dtype(1 / (1 - rate)))}


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_the_share_of_zeros_is_the_rate_in_every_layer_for_every_node_and_row(rate: float) -> None:
    rows = np.arange(4000)
    for mask in masks(rows, rate):
        deviation = np.sqrt(rate * (1 - rate))
        assert (mask == 0).mean() == pytest.approx(rate, abs=5 * deviation / np.sqrt(mask.size))
        assert np.abs((mask == 0).mean(axis=0) - rate).max() < 5 * deviation / np.sqrt(len(rows))
        assert np.abs((mask == 0).mean(axis=1) - rate).max() < 6 * deviation / np.sqrt(mask.shape[1]) + 0.05


def test_the_mean_of_a_mask_is_one_so_that_predictions_need_no_change() -> None:
    assert masks(np.arange(4000), 0.3)[0].mean() == pytest.approx(1, abs=0.01)


def test_a_mask_does_not_depend_on_the_rows_it_is_asked_with() -> None:
    together = masks(np.arange(30))
    one_by_one = [masks(np.array([row])) for row in range(30)]
    some = masks(np.array([3, 17, 29]))
    for layer, mask in enumerate(together):
        np.testing.assert_array_equal(np.concatenate([found[layer] for found in one_by_one]), mask)
        np.testing.assert_array_equal(some[layer], mask[[3, 17, 29]])


def test_a_mask_does_not_depend_on_the_blocks() -> None:
    blocks = Dropout(0.4, 1, SIZES, np.float64, 7)
    found = [blocks.masks(STEP, np.arange(first, min(first + 7, 30)))[0].copy() for first in range(0, 30, 7)]
    np.testing.assert_array_equal(np.concatenate(found), masks(np.arange(30))[0])


def test_seed_epoch_step_row_and_layer_each_change_it() -> None:
    square, rows = (32, 32), np.array([0, 1, 2])
    found = [
        mask[place].tobytes()
        for seed, epoch, number in product((0, 1), (1, 2), (0, 1))
        for mask in Dropout(0.5, seed, square, np.float32, 3).masks(Step(epoch, number), rows)
        for place in range(3)
    ]
    assert len(set(found)) == len(found) == 2 * 2 * 2 * 2 * 3
