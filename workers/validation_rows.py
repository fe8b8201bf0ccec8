"""The rows of a second dataset that validate: its columns in the codes of the dataset that trains."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError
from .stored import Values, texts_at
from .targets import distinct_values

Array = npt.NDArray[Any]
SHOWN = 5


@dataclass(frozen=True)
class Recoded:
    """The codes of another list of texts: for each of `known`, which are ascending, the one in `codes`."""

    values: Values
    known: Array
    codes: Array

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the new codes."""
        return self.codes.dtype

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.values)

    def __getitem__(self, rows: slice) -> Array:
        """The new codes of a range of rows, in memory."""
        return np.asarray(self.codes[np.searchsorted(self.known, self.values[rows])])


def recoded(column: Column, theirs: Column, *, is_target: bool) -> Column:
    """The column of the validation dataset, its texts in the codes of `column`, those that are new to it behind them.

    DataError where one holds numbers and the other text, or where classes (`is_target`) are too many or not known in
    training. Texts that are neither classes nor a feature stay as they are.
    """
    if (column.type == "number") != (theirs.type == "number"):
        mine, other = ("numbers" if side.type == "number" else "text" for side in (column, theirs))
        raise DataError(
            f"Column '{column.name}' holds {mine} in the dataset and {other} in the validation dataset. Declare its "
            f"type when you add them: options.types.",
            code="column_types_differ",
            field="validation_dataset",
        )
    if is_target:
        return _recoded_classes(column, theirs)
    if not isinstance(column.categories, tuple) or not isinstance(theirs.categories, tuple):
        return theirs
    place = {text: code for code, text in enumerate(column.categories)}
    codes = [-1, *(place.setdefault(text, len(place)) for text in theirs.categories)]  # -1 is a missing one
    known = np.arange(-1, len(theirs.categories))
    return theirs._replace(values=Recoded(theirs.values, known, np.array(codes, np.int32)), categories=tuple(place))


def _recoded_classes(column: Column, theirs: Column) -> Column:
    """With nothing but the texts of the classes in memory: their list may be one of very many texts."""
    known, used = distinct_values(column), _classes_of_validation(theirs)
    place = dict(zip(_labels(column, known), known.tolist(), strict=True))
    labels = _labels(theirs, used)
    unknown = sorted(label for label in labels if label not in place)[:SHOWN]
    if unknown:
        shown = ", ".join(f"{label:g}" if isinstance(label, float) else repr(label) for label in unknown)
        raise DataError(
            f"The validation dataset has classes in '{column.name}' that the dataset has not: {shown}. The model "
            f"could never answer with them. Remove these rows, or add some of each to the dataset.",
            code="unknown_classes",
            field="validation_dataset",
        )
    if column.categories is None:
        return theirs
    codes = np.array([place[label] for label in labels], np.int32)
    return theirs._replace(type=column.type, values=Recoded(theirs.values, used, codes), categories=column.categories)


def _classes_of_validation(theirs: Column) -> Array:
    try:
        return distinct_values(theirs)
    except DataError as error:
        message = f"In the validation dataset: {error.message}"
        raise DataError(message, code=error.code, field="validation_dataset") from None


def _labels(column: Column, values: Array) -> list[Any]:
    return values.tolist() if column.categories is None else texts_at(column.categories, values)
