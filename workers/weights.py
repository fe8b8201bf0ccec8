"""How much each class of rows counts in the loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def class_weights(
    asked: str | Mapping[str, float] | None, classes: Sequence[str | int | float] | None, y: NDArray[np.int32]
) -> NDArray[np.float64] | None:
    """The weight of each class, (n_classes,), or None where all are 1. `y` are the classes of the training rows.

    `balanced` is N/(K·n_c), which gives every class the same sum, and 1 for a class without training rows; a mapping is
    by class as text, 1 where it has none.
    """
    if asked is None or classes is None:
        return None
    return weights_of_counts(asked, classes, np.bincount(y, minlength=len(classes)))


def weights_of_counts(
    asked: str | Mapping[str, float], classes: Sequence[str | int | float], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The same, where it is known how many training rows each class has."""
    if isinstance(asked, Mapping):
        return np.array([asked.get(str(label), 1.0) for label in classes], dtype=np.float64)
    found = np.ones(len(classes))
    np.divide(counts.sum(), len(classes) * counts.astype(np.float64), out=found, where=counts > 0)
    return found
