import unicodedata
from collections.abc import Iterable

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.columns import drawn, numbers, texts
from workers.dataset import Column
from workers.errors import DataError
from workers.row_hashes import row_hashes
from workers.split import split_by_hash, split_by_strata, split_by_time

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
ROWS = st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS), min_size=1, max_size=12)


def hashes_of(columns: Iterable[Column], rows: int, salt: str = "") -> NDArray[np.uint64]:
    return np.concatenate(list(row_hashes(columns, rows, salt)))


def columns_of(rows: list[tuple[float | None, str | None, float | None]]) -> list[Column]:
    first, second, third = zip(*rows, strict=True)
    return [numbers("b", *first), texts("a", *second), numbers("c", *third)]


@given(rows=ROWS, salt=st.text(st.characters(codec="utf-8"), max_size=5), data=st.data())
def test_neither_other_rows_nor_the_order_of_columns_move_a_row(
    rows: list[tuple[float | None, str | None, float | None]], salt: str, data: st.DataObject
) -> None:
    whole = hashes_of(columns_of(rows), len(rows), salt)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    some = columns_of([rows[place] for place in chosen])
    assert np.array_equal(hashes_of(data.draw(st.permutations(some)), len(chosen), salt), whole[chosen])


@given(text=st.text(st.characters(codec="utf-8")))
def test_the_way_an_accent_is_written_does_not_move_a_row(text: str) -> None:
    composed, decomposed = (texts("a", unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert hashes_of([composed], 1) == hashes_of([decomposed], 1)


@given(left=st.tuples(TEXTS, TEXTS), right=st.tuples(TEXTS, TEXTS))
def test_values_do_not_run_into_each_other(left: tuple[str | None, ...], right: tuple[str | None, ...]) -> None:
    def canonical(pair: tuple[str | None, ...]) -> list[str | None]:
        return [None if text is None else unicodedata.normalize("NFC", text) for text in pair]

    hashes = [hashes_of([texts("a", pair[0]), texts("b", pair[1])], 1) for pair in (left, right)]
    assert (hashes[0] == hashes[1]) == (canonical(left) == canonical(right))


FRACTIONS = st.floats(0.05, 0.45)


@given(groups=st.lists(st.integers(0, 12), min_size=30, max_size=80), validation=FRACTIONS, test=FRACTIONS)
def test_all_rows_of_a_group_stand_on_one_side(groups: list[int], validation: float, test: float) -> None:
    try:
        split = drawn(split_by_hash, [numbers("g", *map(float, groups))], len(groups), validation, test)
    except DataError:
        assume(False)  # noqa: FBT003 - few groups may leave a part without any
    sides = [{groups[row] for row in part} for part in split]
    assert sum(map(len, sides)) == len(set(groups))


@given(times=st.lists(st.integers(0, 40), min_size=20, max_size=80), validation=FRACTIONS, test=FRACTIONS)
def test_no_row_is_held_out_before_a_row_that_trains(times: list[int], validation: float, test: float) -> None:
    try:
        split = drawn(split_by_time, numbers("t", *map(float, times)), validation, test)
    except DataError:
        assume(False)  # noqa: FBT003 - one time for many rows may leave none for training
    training, validating, testing = ([times[row] for row in part] for part in split)
    assert max(training) < min(validating)
    assert max(validating) < min(testing)
    assert len(testing) >= int(len(times) * test + 0.5)
    assert sorted([*split.training, *split.validation, *split.test]) == list(range(len(times)))


@given(
    classes=st.lists(st.integers(0, 3), min_size=40, max_size=120),
    validation=FRACTIONS,
    test=FRACTIONS,
    seed=st.integers(0, 2**32),
)
def test_each_class_has_its_share_in_each_part_in_any_order_of_rows(
    classes: list[int], validation: float, test: float, seed: int
) -> None:
    labels, random = np.array(classes), np.random.default_rng(seed)
    hashes = random.permutation(len(classes)).astype(np.uint64)
    split = drawn(split_by_strata, hashes, labels, np.unique(labels), validation, test)
    for value in set(classes):
        rows = classes.count(value)
        for part, fraction in ((split.validation, validation), (split.test, test)):
            assert abs(np.count_nonzero(labels[part] == value) - fraction * rows) <= 1
        assert value in labels[split.training]
    order = random.permutation(len(classes))
    moved = drawn(split_by_strata, hashes[order], labels[order], np.unique(labels), validation, test)
    assert all(sorted(order[part].tolist()) == rows for part, rows in zip(moved, split, strict=True))
