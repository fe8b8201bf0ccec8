"""What stands where in an order, found over blocks, against numpy's sort of the whole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.column_statistics import statistics_of
from tests.columns import drawn, numbers
from workers.dataset import Column
from workers.distinct import Piles, count_distinct, most_frequent, tally
from workers.files import scratch_directory
from workers.selection import in_one_group, keys_of_numbers, numbers_of_keys, select
from workers.split import split_by_time

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(values=st.lists(FINITE | st.sampled_from([0.0, -0.0, 1.0]), min_size=1), cuts=st.lists(st.integers(0, 200)))
def test_numbers_stand_where_sorting_puts_them(values: list[float], cuts: list[int]) -> None:
    array = np.array(values)
    parts = np.split(array, sorted(cut for cut in cuts if cut < len(array)))
    places = np.arange(len(array))[None, :]
    found = select(in_one_group(lambda: parts, keys_of_numbers), places)
    in_order = np.sort(array + 0.0)
    assert numbers_of_keys(found.keys[0]).tolist() == in_order.tolist()
    assert found.ties[0].tolist() == (places[0] - np.searchsorted(in_order, in_order)).tolist()


def test_each_group_has_an_order_of_its_own() -> None:
    random = np.random.default_rng(0)
    groups, keys = random.integers(0, 3, 500), random.integers(0, 2**64, 500, dtype=np.uint64)
    places = np.array([[0, 5], [1, 100], [7, 7]])
    found = select(lambda: [(groups[:200], keys[:200]), (groups[200:], keys[200:])], places)
    for group in range(3):
        assert found.keys[group].tolist() == np.sort(keys[groups == group])[places[group]].tolist()


@given(values=st.lists(st.integers(0, 6).map(float), min_size=1, max_size=60))
def test_the_lowest_of_the_most_frequent_numbers_is_found(values: list[float]) -> None:
    distinct, counts = np.unique(values, return_counts=True)
    with scratch_directory() as scratch:
        assert most_frequent([np.array(values)], len(values), scratch) == distinct[counts.argmax()]


def test_equal_words_lie_in_one_pile_and_all_words_in_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.distinct.WORDS_AT_ONCE", 64)
    words = np.random.default_rng(0).integers(0, 700, 3000).astype(np.uint64)
    piles = Piles(tmp_path, "some", len(words))
    for part in np.split(words, [10, 1000, 1001]):
        piles.add(part)
    found = [tally(pile) for pile in piles]
    assert len(found) > 8
    distinct, counts = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(distinct)
    expected = np.unique(words, return_counts=True)
    assert (distinct[order].tolist(), counts[order].tolist()) == (expected[0].tolist(), expected[1].tolist())
    assert count_distinct([words], len(words), tmp_path) == len(expected[0])


@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=12, max_size=40), data=st.data())
def test_unsorted_texts_are_held_out_by_code_point(texts: list[str], data: st.DataObject) -> None:
    """Also where many begin alike, or one is the beginning of another, or a NUL follows."""
    start = data.draw(st.sampled_from(["", "a" * 7, "b" * 30]))
    texts = [start + text for text in texts]
    column = Column("day", "text", np.arange(len(texts), dtype=np.int32), None, tuple(texts))
    cut = sorted(texts)[len(texts) - int(len(texts) * 0.25 + 0.5)]
    if cut == min(texts):
        return
    split = drawn(split_by_time, column, 0.0, 0.25)
    assert split.test == [row for row, text in enumerate(texts) if text >= cut]


@given(values=st.lists(FINITE | st.sampled_from([0.0, 1.0]), min_size=1, max_size=200))
def test_the_edges_of_a_reference_are_the_deciles_of_numpy(values: list[float]) -> None:
    def deciles(some: list[float]) -> set[float]:
        return set(np.quantile(some, np.arange(1, 10) / 10, method="inverted_cdf").tolist())

    expected = deciles(values)
    if len(expected) < 5:
        distinct, counts = np.unique(values, return_counts=True)
        others = [value for value in values if value != distinct[counts.argmax()]]
        expected |= deciles(others) if others else set()
    (described,) = statistics_of([numbers("a", *values)])["columns"]
    assert described["edges"] == sorted(expected)
