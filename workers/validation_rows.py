"""The rows of a second dataset that validate: its columns put behind those of the dataset that trains."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Column
from .errors import DataError

Array = npt.NDArray[Any]
SHOWN = 5


def appended(column: Column, theirs: Column, *, is_target: bool) -> Column:
    """The column with the values of the validation dataset's behind its own.

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
    missing = None
    if column.missing is not None or theirs.missing is not None:
        missing = np.concatenate([_mask(column), _mask(theirs)])
    if column.categories is None or theirs.categories is None:
        return column._replace(values=np.concatenate([column.values, theirs.values]), missing=missing)
    categories = tuple(sorted({*column.categories, *theirs.categories}))
    values = np.concatenate([_moved(side, categories) for side in (column, theirs)])
    return column._replace(values=values, missing=missing, categories=categories)


def _mask(column: Column) -> Array:
    return np.zeros(len(column.values), bool) if column.missing is None else column.missing


def _moved(column: Column, categories: tuple[str, ...]) -> Array:
    """The column's positions in `categories`, -1 where missing."""
    place = {text: code for code, text in enumerate(categories)}
    moves = [place[text] for text in column.categories or ()]
    moved: Array = np.array([*moves, -1], np.int32)[column.values]
    return moved


def _refuse_unknown_classes(column: Column, theirs: Column) -> None:
    unknown = sorted(_classes(theirs) - _classes(column))
    if unknown:
        shown = ", ".join(f"{label:g}" if isinstance(label, float) else repr(label) for label in unknown[:SHOWN])
        raise DataError(
            f"The validation dataset has classes in '{column.name}' that the dataset has not: {shown}. The model "
            f"could never answer with them. Remove these rows, or add some of each to the dataset.",
            code="unknown_classes",
            field="validation_dataset",
        )


def _classes(column: Column) -> set[Any]:
    present = np.unique(column.values).tolist()
    return set(present) if column.categories is None else {column.categories[code] for code in present}
