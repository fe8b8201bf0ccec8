"""Which rows are read together where their texts come with them: those of long texts are few."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .stored import MOST_TEXT_BYTES, StoredTexts, Texts, spans

Array = npt.NDArray[Any]
Codes = Callable[[slice], Array]
ROW_BYTES = 64
"""What a text takes beside its own bytes."""


def text_spans(
    columns: Sequence[tuple[Codes, Texts | None]], n_rows: int, length: int | None = None
) -> Iterator[slice]:
    """The ranges of at most `length` rows that make up all rows, each with texts of about MOST_TEXT_BYTES, or one row.

    `columns` have the codes of a range of rows, -1 for a missing text, and the texts that these are places in.
    """
    stored = [(codes, texts) for codes, texts in columns if isinstance(texts, StoredTexts)]
    for rows in spans(n_rows, length):
        if stored:
            sizes = sum((_sizes(texts, codes(rows)) for codes, texts in stored), np.zeros(rows.stop - rows.start))
            cuts = np.flatnonzero(np.diff(sizes.cumsum() // MOST_TEXT_BYTES)) + 1 + rows.start
            starts = [rows.start, *cuts.tolist()]
            yield from map(slice, starts, [*starts[1:], rows.stop])
        else:
            yield rows


def places(rows: slice) -> Array:
    """The codes of a list of texts itself, each of which stands at its own."""
    return np.arange(rows.start, rows.stop)


def _sizes(texts: StoredTexts, codes: Array) -> Array:
    sizes = np.zeros(len(codes))
    sizes[codes >= 0] = texts.lengths(codes[codes >= 0])
    return sizes + ROW_BYTES
