"""The rows of a second dataset that validate: its columns in the codes of the dataset that trains."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError
from .stored import Values, blocks, texts_at
from .targets import distinct_values

Array = npt.NDArray[Any]
SHOWN = 5


@dataclass(frozen=True)
class Recoded:
    """The codes of another list of texts; `codes` has the new one for each old one, and for -1 at its end."""

    values: Values
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
        return np.asarray(self.codes[self.values[rows]])


def recoded(column: Column, theirs: Column, *, is_target: bool) -> Column:
    """The column of the validation dataset, its texts in the codes of `column`, those that are new to it behind them.

    DataError where one holds numbers and the other text, or where classes (`is_target`) are not known in training.
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
        _refuse_unknown_classes(column, theirs)
    if column.categories is None or theirs.categories is None:
        return theirs
    place = {text: code for code, text in enumerate(column.categories[:])}
    codes = [place.setdefault(text, len(place)) for text in theirs.categories[:]]
    return theirs._replace(values=Recoded(theirs.values, np.array([*codes, -1], np.int32)), categories=tuple(place))


def _refuse_unknown_classes(column: Column, theirs: Column) -> None:
    known = distinct_values(column)
    if column.categories is not None and theirs.categories is not None:
        labels = set(texts_at(column.categories, known))
        known = np.array([code for code, text in enumerate(theirs.categories[:]) if text in labels])
    unknown = np.empty(0, theirs.values.dtype)
    for block in blocks(theirs.values):
        unknown = np.union1d(unknown, np.setdiff1d(block, known))[:SHOWN]
    if len(unknown):
        found = unknown.tolist() if theirs.categories is None else texts_at(theirs.categories, unknown)
        shown = ", ".join(f"{label:g}" if isinstance(label, float) else repr(label) for label in found)
        raise DataError(
            f"The validation dataset has classes in '{column.name}' that the dataset has not: {shown}. The model "
            f"could never answer with them. Remove these rows, or add some of each to the dataset.",
            code="unknown_classes",
            field="validation_dataset",
        )
