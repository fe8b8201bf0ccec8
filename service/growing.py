"""Columns that grow chunk by chunk: their values go to files; statistics and a bounded number of texts stay in memory.

A column of more different texts, or of more bytes, is kept as text with each chunk's own texts, in the order in which
they came: then a text may stand in its list several times. Dates are sorted all the same.
"""

import unicodedata
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from service.column_files import ColumnFiles
from service.column_types import (
    SHARE_OF_NUMBERS,
    Kind,
    Reading,
    Values,
    are_numbers,
    are_too_long,
    numbers_of,
    text_of,
)
from service.statistics import Statistics
from service.text_memory import BYTES_OF_A_TEXT, MOST_BYTES, Kept, TextMemory
from workers.errors import DataError

Array = npt.NDArray[Any]
MOST_CATEGORIES = 1000
MOST_DECLARED_CATEGORIES = 100_000


class GrowingColumn:
    """What all columns have: a name, a file of values, and one that says which are missing once one is."""

    fits = True
    """Whether the kind that was taken for granted is still the right one."""

    def __init__(self, name: str, place: int, reading: Reading, files: ColumnFiles | None) -> None:
        self._name, self._reading, self._files = name, reading, files
        self._values, self._missing = f"{place:06d}", f"{place:06d}.missing"
        self._rows = self._nulls = 0

    def add(self, values: Values) -> None:
        """Take the next values; pyarrow.ArrowInvalid where they do not fit."""
        raise NotImplementedError

    def finish(self) -> dict[str, Any]:
        """The column's metadata, as in `columns.json`."""
        raise NotImplementedError

    def _write(self, values: Array, missing: Array | None) -> None:
        if self._files is not None:
            self._files.append(self._values, values)
            if missing is not None and not self._nulls and self._rows:
                self._files.append(self._missing, np.zeros(self._rows, bool))
            if missing is not None or self._nulls:
                self._files.append(self._missing, np.zeros(len(values), bool) if missing is None else missing)
        self._rows += len(values)
        self._nulls += 0 if missing is None else int(np.count_nonzero(missing))

    def _metadata(self, kind: str) -> dict[str, Any]:
        nothing = dict.fromkeys(("min", "max", "mean", "std", "categories", "distinct_values"))
        return {"name": self._name, "type": kind, "nulls": self._nulls, **nothing, "whole": False}


class NumberColumn(GrowingColumn):
    """Numbers: float64, 0.0 where missing."""

    def __init__(self, name: str, place: int, reading: Reading, files: ColumnFiles | None) -> None:
        super().__init__(name, place, reading, files)
        self._statistics = Statistics()

    def add(self, values: Values) -> None:
        """Take the next values."""
        numbers = numbers_of(values, self._reading)
        missing = _mask(numbers)
        plain: Array = (numbers if missing is None else pc.fill_null(numbers, 0.0)).to_numpy()
        self._statistics.add(plain if missing is None else plain[~missing])
        self.fits = self.fits and self._statistics.fit_float32
        self._write(plain, missing)

    def finish(self) -> dict[str, Any]:
        """With the figures."""
        return self._metadata("number") | self._statistics.figures()


class TextColumn(GrowingColumn):
    """Text: positions in the sorted list of its different texts, -1 where missing."""

    def __init__(
        self,
        name: str,
        place: int,
        reading: Reading,
        files: ColumnFiles | None,
        kind: Kind | None,
        memory: TextMemory,
    ) -> None:
        super().__init__(name, place, reading, files)
        self._place, self._kind, self._memory = place, kind, memory
        self._text, self._offsets = f"{place:06d}.text", f"{place:06d}.offsets"
        self._positions: dict[str, int] = {}
        self._n_kept = self._n_bytes = self._n_remembered_bytes = 0
        self._n_numbers = 0
        self._is_long = False

    def add(self, values: Values) -> None:
        """Take the next values."""
        text = text_of(values, self._reading)
        encoded = pc.dictionary_encode(text)
        if self._kind is None:  # a number may still be what most of it is
            self._count_numbers(encoded)
        self._is_long = self._is_long or bool(pc.any(are_too_long(encoded.dictionary)).as_py())
        if self._is_long and self._kind == "category":
            self.fits = False
        texts = _composed(encoded.dictionary)
        if not self._n_kept:
            codes = self._remember(texts)
        else:
            codes = self._n_kept + np.arange(len(texts), dtype=np.int32)
            self._keep(texts)
        self._write(np.append(codes, np.int32(-1))[pc.fill_null(encoded.indices, -1).to_numpy()], _mask(text))

    def finish(self) -> dict[str, Any]:
        """A category where the different texts are few, or it was declared one."""
        if self._kind is None and self._n_numbers >= SHARE_OF_NUMBERS * (self._rows - self._nulls):
            self.fits = False
        texts, is_few = sorted(self._positions), not self._n_kept
        if is_few and self._files is not None:
            rank = {text: place for place, text in enumerate(texts)}
            self._files.remap(self._values, np.array([*(rank[text] for text in self._positions), -1], np.int32))
        may_be = self._kind in {"undeclared", None} and is_few and not self._is_long
        if self._kind == "category" or (may_be and len(texts) <= MOST_CATEGORIES):
            return self._metadata("category") | {"categories": texts}
        if is_few:
            self._keep(texts)
        return self._metadata("date" if self._kind == "date" else "text")

    def _count_numbers(self, encoded: Any) -> None:  # noqa: ANN401 - a pyarrow.DictionaryArray
        are = are_numbers(encoded.dictionary, self._reading).to_numpy(zero_copy_only=False).astype(bool)
        places = pc.drop_null(encoded.indices).to_numpy()
        self._n_numbers += int(np.count_nonzero(are[places])) if len(are) else 0

    def _remember(self, texts: list[str]) -> Array:
        """The places of the texts among the different ones so far, which they may be the first to be too many of."""
        known = len(self._positions)
        codes = np.fromiter((self._positions.setdefault(each, len(self._positions)) for each in texts), np.int32)
        if len(self._positions) > known:
            new = islice(reversed(self._positions), len(self._positions) - known)
            self._n_remembered_bytes += sum(len(each.encode()) + BYTES_OF_A_TEXT for each in new)
            may_be = (
                self._kind in {"undeclared", None} and len(self._positions) <= MOST_CATEGORIES and not self._is_long
            )
            if not may_be:
                self._memory.note(self._place, Kept(self._n_remembered_bytes, self._kind == "category", self._let_go))
        if len(self._positions) > MOST_DECLARED_CATEGORIES:
            self._memory.forget(self._place)
            self._let_go()
        return codes

    def _let_go(self) -> None:
        """Keep the texts in the file instead; DataError where the column is declared a category."""
        if self._kind == "category":
            what = f"more than {MOST_DECLARED_CATEGORIES} different values, the most that a category may have"
            if len(self._positions) <= MOST_DECLARED_CATEGORIES:
                what = f"so many different values that those of all columns are more than {MOST_BYTES:,} bytes"
            raise DataError(
                f"Column '{self._name}' has {what}. Declare it as text, or leave it out of the file.",
                code="too_many_categories",
                field="options.types",
            )
        self._keep(list(self._positions))
        self._positions = {}

    def _keep(self, texts: list[str]) -> None:
        """Append texts to the column's list of them."""
        is_new = not self._n_kept
        self._n_kept += len(texts)
        if self._files is None:
            return
        data = [text.encode() for text in texts]
        if is_new:
            self._files.append(self._offsets, np.zeros(1, np.int64))
        ends = self._n_bytes + np.cumsum([len(each) for each in data], dtype=np.int64)
        self._files.append(self._offsets, ends)
        self._files.append(self._text, np.frombuffer(b"".join(data), np.uint8))
        self._n_bytes = int(ends[-1]) if len(ends) else self._n_bytes


def growing_column(
    name: str, place: int, reading: Reading, files: ColumnFiles | None, kind: Kind | None, memory: TextMemory
) -> GrowingColumn:
    """A column of this kind; None is text of which it is not sure that it is no number. A file has one `memory`."""
    if kind == "number":
        return NumberColumn(name, place, reading, files)
    return TextColumn(name, place, reading, files, kind, memory)


def _mask(values: Values) -> Array | None:
    """Which values are missing; None where none is."""
    missing: Array | None = pc.is_null(values).to_numpy(zero_copy_only=False) if values.null_count else None
    return missing


def _composed(texts: Values) -> list[str]:
    """The texts in NFC. Not by pyarrow's utf8_normalize, which decomposes whatever it is asked for (seen in 25.0.1)."""
    plain: list[str] = texts.to_pylist()
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return plain
    return [unicodedata.normalize("NFC", text) for text in plain]
