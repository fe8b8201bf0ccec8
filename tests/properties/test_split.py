import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.columns import numbers, texts
from workers.dataset import Column
from workers.split import row_hashes

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
ROWS = st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS), min_size=1, max_size=12)


def columns_of(rows: list[tuple[float | None, str | None, float | None]]) -> list[Column]:
    first, second, third = zip(*rows, strict=True)
    return [numbers("b", *first), texts("a", *second), numbers("c", *third)]


@given(rows=ROWS, salt=st.text(st.characters(codec="utf-8"), max_size=5), data=st.data())
def test_neither_other_rows_nor_the_order_of_columns_move_a_row(
    rows: list[tuple[float | None, str | None, float | None]], salt: str, data: st.DataObject
) -> None:
    whole = row_hashes(columns_of(rows), len(rows), salt)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    some = columns_of([rows[place] for place in chosen])
    assert np.array_equal(row_hashes(data.draw(st.permutations(some)), len(chosen), salt), whole[chosen])


@given(text=st.text(st.characters(codec="utf-8")))
def test_the_way_an_accent_is_written_does_not_move_a_row(text: str) -> None:
    composed, decomposed = (texts("a", unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert row_hashes([composed], 1) == row_hashes([decomposed], 1)


@given(left=st.tuples(TEXTS, TEXTS), right=st.tuples(TEXTS, TEXTS))
def test_values_do_not_run_into_each_other(left: tuple[str | None, ...], right: tuple[str | None, ...]) -> None:
    def canonical(pair: tuple[str | None, ...]) -> list[str | None]:
        return [None if text is None else unicodedata.normalize("NFC", text) for text in pair]

    hashes = [row_hashes([texts("a", pair[0]), texts("b", pair[1])], 1) for pair in (left, right)]
    assert (hashes[0] == hashes[1]) == (canonical(left) == canonical(right))
