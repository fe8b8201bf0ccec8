"""The training rows of a column, in blocks that nothing but these rows and their order decide."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from .dataset import Column
from .split import TRAINING, Split
from .stored import rechunked, spans

Array = npt.NDArray[Any]
BLOCK_ROWS = 2**16
"""How many training rows are added up at once: changing it changes bits (docs/MATH.md, Preprocessing)."""


def present_values(column: Column, split: Split) -> Iterator[Array]:
    """The values that training rows have."""

    def chosen() -> Iterator[Array]:
        for rows in spans(len(split.parts)):
            block, trains = column.block(rows), split.parts[rows] == TRAINING
            yield block.values[trains if block.missing is None else trains & ~block.missing]

    return rechunked(chosen(), BLOCK_ROWS)


def filled_values(column: Column, split: Split, fill: Any) -> Iterator[Array]:  # noqa: ANN401 - a number or a code
    """The values of training rows, `fill` in the place of missing ones."""

    def chosen() -> Iterator[Array]:
        for rows in spans(len(split.parts)):
            yield column.block(rows).filled(fill)[split.parts[rows] == TRAINING]

    return rechunked(chosen(), BLOCK_ROWS)
