"""Whether a weight column can weigh the rows of a matrix."""

import math
from collections.abc import Sequence

import numpy as np

from .dataset import Column
from .errors import DataError
from .split import PARTS, Split
from .stored import spans
from .targets import count_beyond, refuse_beyond


def check_weights(name: str, sources: Sequence[tuple[Column, Split]], dtype: str) -> None:
    """DataError where the weight column, that of each dataset, can't weigh the rows of one of its parts."""
    reason = _reason(sources)
    if reason is not None:
        raise DataError(f"Column '{name}' {reason}.", code="invalid_weights", field="weight_column")
    refuse_beyond(sum(count_beyond(column, dtype) for column, _ in sources), name, dtype, "weight_column")
    total, largest = 0.0, 0.0
    with np.errstate(over="ignore"):
        for column, _ in sources:
            for rows in spans(len(column.values)):
                block = column.values[rows]
                total, largest = total + float(block.sum()), max(largest, float(block.max()))
    if not math.isfinite(total):
        raise DataError(
            f"The weights in column '{name}' are too large to be added (up to {largest:g}). "
            f"Divide them all by the same number: only their proportions count.",
            code="invalid_weights",
            field="weight_column",
        )


def _reason(sources: Sequence[tuple[Column, Split]]) -> str | None:
    weighs = np.zeros(len(PARTS), bool)
    for column, split in sources:
        if column.type != "number" or column.missing is not None:
            return "must hold a number of at least 0 in each row"
        for rows in spans(len(column.values)):
            block = column.values[rows]
            if (block < 0).any():
                return "must hold a number of at least 0 in each row"
            weighs[split.parts[rows][block > 0]] = True
    sizes = [sum(part) for part in zip(*(split.sizes for _, split in sources), strict=True)]
    idle = [name for name, size, known in zip(PARTS, sizes, weighs, strict=True) if size and not known]
    return f"is 0 in all {' and '.join(idle)} rows" if idle else None
