"""Rows are read with no more of their texts than a bound, however uneven these are."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.dataset import Column
from workers.files import scratch_directory
from workers.row_hashes import row_hashes
from workers.stored import StoredArray, StoredTexts
from workers.text_spans import places, text_spans


def stored(directory: Path, lengths: list[int]) -> StoredTexts:
    ends = np.cumsum([0, *lengths], dtype=np.int64)
    np.save(directory / "texts.npy", np.full(ends[-1], ord("a"), np.uint8))
    np.save(directory / "offsets.npy", ends)
    return StoredTexts(StoredArray(directory / "texts.npy"), StoredArray(directory / "offsets.npy"))


@given(lengths=st.lists(st.integers(0, 300), max_size=40), data=st.data(), length=st.integers(1, 50))
def test_spans_are_all_rows_and_bounded(lengths: list[int], data: st.DataObject, length: int) -> None:
    codes = np.array(data.draw(st.lists(st.integers(-1, len(lengths) - 1), max_size=60)), np.int32)
    with scratch_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.text_spans.MOST_TEXT_BYTES", 1000)
        texts = stored(directory, lengths)
        spans = list(text_spans([(codes.__getitem__, texts), (codes.__getitem__, None)], len(codes), length))
    assert [row for span in spans for row in range(span.start, span.stop)] == list(range(len(codes)))
    for span in spans:
        _, *others = (0 if code < 0 else lengths[code] for code in codes[span].tolist())
        assert len(others) < length
        assert sum(others) <= 1000


def test_long_texts_among_short_ones_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    lengths = [5] * 20_000
    lengths[1000:1050] = [2**20] * 50
    texts = stored(tmp_path, lengths)
    rows = np.arange(len(lengths), dtype=np.int32)
    column = Column("note", "text", rows, None, texts)
    tracemalloc.start()
    try:
        assert sum(len(texts[span]) for span in text_spans([(places, texts)], len(texts))) == len(lengths)
        assert sum(map(len, row_hashes([column], len(rows)))) == len(lengths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20
