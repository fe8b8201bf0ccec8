"""scikit-learn's linear models and its boosted trees with their own defaults, on the rows of a Gradsum job.

Gradsum's validation rows are training rows to them: they need none, or draw their own.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from tests.quality.gradsum import Outcome, test_rows
from workers.matrix import Matrix

Floats = NDArray[np.float64]


def linear(matrix: Matrix) -> Outcome:
    """Logistic regression, or ridge, on the job's own inputs: standardised numbers and one-hot categories."""
    model = Ridge() if matrix.classes is None else LogisticRegression(max_iter=5000)
    return outcome(model, np.asarray(matrix.X, dtype=np.float64), matrix)


def trees(matrix: Matrix) -> Outcome:
    """HistGradientBoosting, which takes categories as they are."""
    X, is_category = with_codes(matrix)
    kind = HistGradientBoostingRegressor if matrix.classes is None else HistGradientBoostingClassifier
    return outcome(kind(categorical_features=is_category, random_state=0), X, matrix)


def with_codes(matrix: Matrix) -> tuple[Floats, list[bool]]:
    """The inputs with one column a category, which holds its place; and which columns those are."""
    columns, is_category, first = [], [], 0
    for feature in matrix.preprocessing["features"]:
        width = len(feature["categories"]) + 1 if feature["type"] == "category" else 1
        block = np.asarray(matrix.X[:, first : first + width], dtype=np.float64)
        columns.append(block[:, 0] if feature["type"] == "number" else block.argmax(axis=1).astype(np.float64))
        is_category.append(feature["type"] == "category")
        first += width
    return np.stack(columns, axis=1), is_category


def outcome(model: Any, X: Floats, matrix: Matrix) -> Outcome:
    """The model's score on the test rows, after fitting it on all others."""
    held_out = test_rows(matrix)
    y = np.asarray(matrix.y) if matrix.classes is not None else np.asarray(matrix.y[:, 0], dtype=np.float64)
    started = time.perf_counter()
    model.fit(X[: held_out.start], y[: held_out.start])
    seconds = time.perf_counter() - started
    return Outcome(float(model.score(X[held_out], y[held_out])), seconds, 0)
