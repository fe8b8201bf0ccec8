"""What a model is to answer: the classes of a target, or its numbers; and whether the targets of a job can be used."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .counting import counted
from .dataset import Column
from .errors import DataError
from .stored import blocks, texts_at
from .target_scaling import TargetScaling

Array = npt.NDArray[Any]
MOST_CLASSES = 1000


class Classes(NamedTuple):
    """The classes of a target as the model names them, and the values of its column that stand for them, ascending."""

    labels: list[str | int | float]
    values: Array


def distinct_values(column: Column) -> Array:
    """The different values of a column, ascending; DataError `too_many_classes` where they are too many for classes."""
    found = np.empty(0, column.values.dtype)
    for block in blocks(column.values):
        found = np.union1d(found, block)
        if len(found) > MOST_CLASSES:
            raise DataError(
                f"Column '{column.name}' has more than {MOST_CLASSES} classes; a classification needs 2 to "
                f"{MOST_CLASSES}. Set task to regression, or choose another target.",
                code="too_many_classes",
                field="target",
            )
    return found


def classes_of(columns: Sequence[Column]) -> Classes:
    """The classes of the one target of a classification: numbers by value, text by code point."""
    if len(columns) != 1:
        raise DataError("A classification has one target.", code="several_targets", field="target")
    (column,) = columns
    values = distinct_values(column)
    labels: list[str | int | float] = values.tolist()
    if column.categories is not None:
        labels = list(texts_at(column.categories, values))
    elif (np.trunc(values) == values).all():
        labels = [int(value) for value in values.tolist()]
    if len(labels) < 2:  # noqa: PLR2004 - a choice takes two
        raise DataError(
            f"Column '{column.name}' has one value only ({labels[0]!r}): a classification needs two classes or more.",
            code="one_class",
            field="target",
        )
    return Classes(labels, values)


def check_numbers(name: str, columns: Iterable[Column], dtype: str) -> None:
    """DataError where a target of a regression, the column of each dataset, is no number or beyond the dtype."""
    n_beyond = 0
    for column in columns:
        if column.type != "number":
            raise DataError(
                f"Column '{name}' is text: a regression needs numbers. Set task to classification.",
                code="target_not_numeric",
                field="target",
            )
        n_beyond += count_beyond(column, dtype)
    refuse_beyond(n_beyond, name, dtype, "target")


class Answers(NamedTuple):
    """What the network is to answer: places of classes, or the numbers of a regression in the unit of training."""

    classes: Classes | None
    float_dtype: str
    scaling: TargetScaling | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an answer."""
        return np.dtype(self.float_dtype if self.classes is None else np.int32)

    def shape(self, n_targets: int) -> tuple[int, ...]:
        """Of the answer to a row: () for a class."""
        return (n_targets,) if self.classes is None else ()

    def to(self, values: Sequence[Array]) -> Array:
        """The answers to rows with these values of the targets, (rows, *shape)."""
        if self.classes is not None:
            return np.searchsorted(self.classes.values, values[0]).astype(self.dtype)
        if self.scaling is not None:
            values = [self.scaling.scaled(place, column) for place, column in enumerate(values)]
        return np.stack(values, axis=1).astype(self.dtype)


def count_beyond(column: Column, dtype: str) -> int:
    """How many numbers of a column are beyond the dtype."""
    with np.errstate(over="ignore"):
        return sum(int(np.count_nonzero(~np.isfinite(block.astype(dtype)))) for block in blocks(column.values))


def refuse_beyond(n_beyond: int, name: str, dtype: str, field: str) -> None:
    """DataError `nonfinite_values` where a column has numbers beyond the dtype."""
    if n_beyond:
        raise DataError(
            f"Column '{name}' has {counted(n_beyond, 'value')} too large for {dtype}. "
            f"Scale the column, or set training.dtype to float64.",
            code="nonfinite_values",
            field=field,
        )
