"""The linear model that a network is to beat: fitted on the same training rows, in the prepare child, with SciPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from workers.matrix import Matrix
from workers.stored import spans

Array = npt.NDArray[Any]
Read = Callable[[slice], Array]
BLOCK_ROWS = 4096
MOST_ITERATIONS = 200


def linear_outputs(matrix: Matrix, targets: Read, weights: Read) -> Array:
    """Answers for the matrix's test rows, (rows, n_outputs), of a softmax or least-squares model of its training rows.

    `targets` (rows, n_outputs) and `weights` (rows,) read those of some training rows. Inputs are standardised, and a
    little ridge, 1/N as scikit-learn has it, makes the answer unique.
    """
    n = matrix.training_rows
    means, deviations = _moments(matrix.X[:n])
    first_test = n + matrix.validation_rows
    tests = _standardised(matrix.X[first_test:], means, deviations)
    if matrix.classes is None:
        return np.asarray(tests @ _least_squares(matrix, targets, weights, means, deviations))
    z = tests @ _softmax_regression(matrix, targets, weights, means, deviations)
    return _softmax(z)


def _moments(X: Array) -> tuple[Array, Array]:
    zeros = np.zeros(X.shape[1])
    means = sum((X[rows].sum(axis=0, dtype=np.float64) for rows in spans(len(X), BLOCK_ROWS)), zeros) / len(X)
    squares = sum((((X[rows] - means) ** 2).sum(axis=0) for rows in spans(len(X), BLOCK_ROWS)), zeros)
    return means, np.where(squares > 0, np.sqrt(squares / len(X)), 1.0)


def _standardised(X: Array, means: Array, deviations: Array) -> Array:
    """With a last column of ones, for the bias."""
    return np.column_stack([(X - means) / deviations, np.ones(len(X))])


def _softmax(z: Array) -> Array:
    exponentials = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _least_squares(matrix: Matrix, targets: Read, weights: Read, means: Array, deviations: Array) -> Array:
    n = matrix.training_rows
    width = matrix.n_inputs + 1
    gram, moment = np.eye(width), np.zeros((width, len(matrix.targets)))
    gram[-1, -1] = 0.0  # the bias is free
    for rows in spans(n, BLOCK_ROWS):
        inputs = _standardised(matrix.X[rows], means, deviations)
        weighted = inputs * weights(rows)[:, None]
        gram += inputs.T @ weighted
        moment += weighted.T @ targets(rows)
    return np.asarray(np.linalg.lstsq(gram, moment, rcond=None)[0])


def _softmax_regression(matrix: Matrix, targets: Read, weights: Read, means: Array, deviations: Array) -> Array:
    n, shape = matrix.training_rows, (matrix.n_inputs + 1, len(matrix.classes or ()))

    def loss_and_gradient(flat: Array) -> tuple[float, Array]:
        parameters = flat.reshape(shape)
        loss, gradient = 0.5 * float((parameters[:-1] ** 2).sum()), parameters.copy()
        gradient[-1] = 0.0
        for rows in spans(n, BLOCK_ROWS):
            inputs = _standardised(matrix.X[rows], means, deviations)
            shares, wanted, counts = _softmax(inputs @ parameters), targets(rows), weights(rows)
            likelihood = np.log(np.maximum((shares * wanted).sum(axis=1), np.finfo(np.float64).tiny))
            loss -= float((counts * likelihood).sum())
            gradient += inputs.T @ ((shares - wanted) * counts[:, None])
        return loss / n, gradient.ravel() / n

    found = minimize(
        loss_and_gradient, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MOST_ITERATIONS}
    )
    return np.asarray(found.x.reshape(shape))
