"""What a column of text is: numbers, categories or free text, and which of its values do not fit.

A column is a number if every value that is not missing is a number that float32 can hold; a category if it is text with
at most 1 000 different values of at most 200 characters; else text, which can't be a feature. Where nine in ten values
are numbers and some are not, it is refused, unless its type is declared. A declared category may have up to 100 000
different values. Where the file says itself what is a number (Parquet, Arrow, NumPy), text is never taken for one.
Dates are kept as text in ISO 8601.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from service.file_options import FileOptions
from service.native_types import as_numbers, as_plain, as_text, kind_of
from service.statistics import BEYOND
from service.table import SHOWN_CHARACTERS
from workers.counting import counted
from workers.errors import DataError

Array = npt.NDArray[Any]
Values = Any  # a pyarrow array of any type that `kind_of` knows
Kind = Literal["number", "category", "text", "date", "undeclared"]
"""What a column is; `undeclared` is text that is a category where its different values are few."""
SHARE_OF_NUMBERS = 0.9
SHOWN_OFFENDERS = 3
LARGEST = "3.4028235e38, the largest float32"
LONGEST_CATEGORY = 200
"""Characters (code points, without outer blanks): each one travels with the dataset's description."""
NUMBER = r"^[+-]?(nan|inf|infinity|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)$"

RowNumber = Callable[[int], int]
"""The number in the file of the row at a place among the data."""


class BadValuesError(DataError):
    """Some values can't be used; `places` are their rows among the data, from 0, where they were asked for."""

    def __init__(self, message: str, *, code: str, places: Array, field: str | None = None) -> None:
        super().__init__(message, code=code, field=field)
        self.places = places


class Reading(NamedTuple):
    """How the columns of a file are to be read."""

    options: FileOptions
    decimal: str
    row_number: RowNumber
    has_types: bool


def declared_kind(name: str, arrow_type: Any, reading: Reading) -> Kind | None:  # noqa: ANN401 - a pyarrow.DataType
    """What the file or the options say of the column, None where its values have to; DataError `type_mismatch`."""
    declared = reading.options.types.get(name)
    found = kind_of(arrow_type)
    if found == "number" and declared in {None, "number"}:
        return "number"
    if (found, declared) in {("number", "date"), ("date", "number")}:
        message = f"Column '{name}' holds {found}s in the file, and options.types declares it a {declared}."
        raise DataError(f"{message} Leave it out of options.types.", code="type_mismatch", field="options.types")
    if declared is not None:
        return declared
    if found == "date":
        return "date"
    return "undeclared" if reading.has_types else None


def text_of(values: Values, reading: Reading) -> Values:
    """The values as texts without outer blanks, null where missing."""
    text = pc.utf8_trim_whitespace(as_text(values))
    markers = pa.array(reading.options.missing_markers, pa.string())
    is_missing = pc.fill_null(pc.is_in(text, markers), fill_value=False)
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), text) if pc.any(is_missing).as_py() else text


def numbers_of(values: Values, reading: Reading) -> Values:
    """The values as float64, null where missing; pyarrow.ArrowInvalid where some are no numbers."""
    if kind_of(values.type) == "number":
        return as_numbers(values, reading.options.missing_markers)
    return pc.cast(_plain(text_of(values, reading), reading), pa.float64())


def are_too_long(text: Values) -> Values:
    """Which of the texts are too long to be categories."""
    return pc.greater(pc.utf8_length(text), LONGEST_CATEGORY)


def are_numbers(text: Values, reading: Reading) -> Values:
    """Which of the texts are written as numbers."""
    return pc.match_substring_regex(_plain(text, reading), NUMBER, ignore_case=True)


def _plain(text: Values, reading: Reading) -> Values:
    """The texts with the decimal mark of programs; a point is no part of a number where the file has another mark."""
    if reading.decimal == ",":
        return pc.replace_substring(pc.replace_substring(text, ".", "?"), ",", ".")
    return text


class Survey:
    """What the values of a column say of it: its kind, and those that do not fit."""

    def __init__(self, name: str, arrow_type: Any, reading: Reading, *, keeps_places: bool = False) -> None:  # noqa: ANN401
        self._name, self._reading, self.keeps_places = name, reading, keeps_places
        self._declared = declared_kind(name, arrow_type, reading)
        self.checks_dates = self._declared == "date" and kind_of(arrow_type) != "date"
        self._n_values = self._n_numbers = self._n_too_large = 0
        self._bad, self._nonfinite = _Found(), _Found()

    def add(self, values: Values, first_place: int, is_good: Array | None = None) -> None:
        """Take the next values; the first of them has this place among the rows. Only the good ones count."""
        if is_good is not None:  # the others are as if they were missing
            values = pc.if_else(pa.array(is_good), as_plain(values), None)
        if self.checks_dates:
            self._check_dates(text_of(values, self._reading), first_place)
        elif self._declared == "category":
            self._check_lengths(text_of(values, self._reading), first_place)
        elif self._declared in {"number", None}:
            self._check_numbers(values, first_place)

    def guess(self) -> Kind | None:
        """What the column seems to be so far; None where it may be text or, with other values, a number."""
        if self._declared is not None:
            return self._declared
        return None if self._bad.count else "number"

    def kind(self) -> Kind:
        """What the column is; BadValuesError where some of its values do not fit."""
        if self.checks_dates and self._bad.count:
            self._refuse_dates()
        if self._declared == "category" and self._bad.count:
            self._refuse_long()
        if self._declared not in {"number", None}:
            return self._declared
        is_number = self._declared == "number" or self._n_numbers >= SHARE_OF_NUMBERS * self._n_values
        if self._bad.count and is_number:
            self._refuse_text()
        if self._bad.count:
            return "undeclared"
        if self._nonfinite.count:
            self._refuse_nonfinite()
        return "number"

    def _check_numbers(self, values: Values, first_place: int) -> None:
        try:
            numbers = numbers_of(values, self._reading)
        except pa.ArrowInvalid:
            text = text_of(values, self._reading)
            is_number = are_numbers(text, self._reading)
            self._n_values += len(text) - text.null_count
            self._n_numbers += pc.sum(is_number).as_py() or 0
            is_bad = ~pc.fill_null(is_number, fill_value=True).to_numpy(zero_copy_only=False)
            self._bad.add(is_bad, text, first_place, self.keeps_places)
            return
        self._n_values += len(numbers) - numbers.null_count
        self._n_numbers += len(numbers) - numbers.null_count
        plain = pc.fill_null(numbers, 0.0).to_numpy()
        is_bad = ~(np.abs(plain) < BEYOND)
        self._nonfinite.add(is_bad, numbers, first_place, self.keeps_places)
        self._n_too_large += int(np.count_nonzero(is_bad & np.isfinite(plain)))

    def _check_dates(self, text: Values, first_place: int) -> None:
        is_bad = np.fromiter((value is not None and not _is_date(value) for value in text.to_pylist()), bool, len(text))
        self._bad.add(is_bad, text, first_place, self.keeps_places)

    def _check_lengths(self, text: Values, first_place: int) -> None:
        is_bad = pc.fill_null(are_too_long(text), fill_value=False).to_numpy(zero_copy_only=False)
        self._bad.add(is_bad, text, first_place, self.keeps_places)

    def _refuse_long(self) -> NoReturn:
        place, text = self._bad.first[0]
        raise BadValuesError(
            f"Column '{self._name}' is declared a category and has a text of {len(text)} characters in row "
            f"{self._reading.row_number(place)}; a category may have {LONGEST_CATEGORY}. Declare it as text, or "
            f"shorten its texts.",
            code="category_too_long",
            places=self._bad.places(),
            field="options.types",
        )

    def _refuse_dates(self) -> NoReturn:
        self._refuse_bad("is declared a date and has other text in", "Write dates as 2026-01-31 or 2026-01-31T12:00:00")

    def _refuse_text(self) -> NoReturn:
        self._refuse_bad("has text among its numbers in", "Clean it")

    def _refuse_bad(self, what: str, way_out: str) -> NoReturn:
        """Name the first of the values that do not fit, and how many more there are."""
        shown = self._bad.shown(self._reading.row_number)
        more = f" and {self._bad.count - len(shown)} more" if self._bad.count > len(shown) else ""
        is_name = self._bad.first[0][0] == 0 and self._reading.options.header is False
        header = "If it is a name, leave options.header out or set it to true. " if is_name else ""
        raise BadValuesError(
            f"Column '{self._name}' {what} {', '.join(shown)}{more}. {header}{way_out}, add what stands for missing to "
            f'options.missing_markers, or declare the column in options.types ("category" or "text").',
            code="column_has_text",
            places=self._bad.places(),
        )

    def _refuse_nonfinite(self) -> NoReturn:
        count, row = self._nonfinite.count, self._reading.row_number(self._nonfinite.first[0][0])
        are = "is" if count == 1 else "are"
        faults = ["not finite"] if self._n_too_large < count else []
        way_out = "Clean it, or add what stands for missing to options.missing_markers."
        if self._n_too_large:
            faults.append(f"beyond {LARGEST}")
            way_out = self._way_out_of_size()
        raise BadValuesError(
            f"Column '{self._name}' has {counted(count, 'number')} that {are} {' or '.join(faults)}, first in row "
            f"{row}. {way_out}",
            code="nonfinite_values",
            places=self._nonfinite.places(),
        )

    def _way_out_of_size(self) -> str:
        """What can be done about numbers that are too large; in binary formats no number but NaN can be a marker."""
        marker = "" if self._reading.has_types else "add what stands for missing to options.missing_markers, "
        return (
            f"Clean it, {marker}leave such rows out (options.on_bad_rows), or declare the column in options.types "
            f'("text").'
        )


class _Found:
    """Values that do not fit: how many, the first of them, and where wanted the places of all."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int, Any]] = []
        self._places: list[Array] = []

    def add(self, is_bad: Array, values: Values, first_place: int, keeps_places: bool) -> None:  # noqa: FBT001
        places = np.flatnonzero(is_bad)
        self.count += len(places)
        wanted = places[: SHOWN_OFFENDERS - len(self.first)].tolist()
        self.first += [(first_place + place, values[place].as_py()) for place in wanted]
        if keeps_places:
            self._places.append(places + first_place)

    def shown(self, row_number: RowNumber) -> list[str]:
        return [f"row {row_number(place)} ({_shown(value)})" for place, value in self.first]

    def places(self) -> Array:
        return np.concatenate(self._places) if self._places else np.array([place for place, _ in self.first])


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
