"""The networks and the rows that are timed. Needs numpy only, so that every environment can import it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).parent.parent.parent
DIRECTORY = PROJECT / ".bench"
DIGITS = PROJECT / "deploy" / "examples" / "digits" / "digits.csv"
TARGET = "target"
Array = NDArray[Any]


class Case(NamedTuple):
    """A network and its rows: full-batch gradient descent on the squared error, in float32, one update an epoch."""

    name: str
    rows_name: str
    """Cases with the same name train on the same rows."""
    rows: int
    sizes: tuple[int, ...]
    activation: str
    output_activation: str
    learning_rate: float
    job_epochs: int
    """Epochs of one job; the first ones warm up."""
    round_epochs: int
    """Epochs of every other system in one round."""
    nominal_seconds: float
    """What the case takes, roughly; only for the estimate of the time that is left."""

    @property
    def task(self) -> str:
        """The word of the API for it."""
        return "regression" if self.output_activation == "identity" else "classification"

    @property
    def words(self) -> str:
        """The case in a line."""
        sizes = "-".join(map(str, self.sizes))
        return f"{self.rows:,} × {self.sizes[0]}, layers {sizes}, {self.activation}, {self.task}".replace(",", " ", 1)


CASES = {
    case.name: case
    for case in (
        Case("A", "images", 60_000, (784, 30, 10), "sigmoid", "sigmoid", 0.5, 40, 10, 110),
        Case("B", "images", 60_000, (784, 512, 512, 10), "sigmoid", "sigmoid", 0.1, 5, 2, 260),
        Case("C", "digits", 1_797, (64, 30, 10), "sigmoid", "sigmoid", 1.0, 2_000, 500, 70),
        Case("D", "table", 1_000_000, (20, 64, 64, 1), "relu", "identity", 0.01, 12, 4, 170),
    )
}


def rows_of(rows_name: str) -> tuple[Array, Array]:
    """Features (rows, n) and target (rows,) as a file would have them: the same ones each time."""
    random = np.random.default_rng(20)
    if rows_name == "digits":
        table = np.loadtxt(DIGITS, delimiter=",", skiprows=1, dtype=np.int64)
        return table[:, :-1], table[:, -1]
    if rows_name == "images":  # whole numbers from 0 to 255, three of four 0; ten classes, of which rows tell
        X = random.integers(0, 256, (60_000, 784), dtype=np.uint8)
        X[random.random(X.shape, dtype=np.float32) < 0.75] = 0
        return X, np.argmax(X.astype(np.float32) @ random.standard_normal((784, 10), dtype=np.float32), axis=1)
    X = random.standard_normal((1_000_000, 20)).round(3)
    noise = 0.1 * random.standard_normal(len(X))
    return X, (np.tanh(X @ random.standard_normal(20) / 4) + noise).round(3)


def inputs_of(X: Array) -> Array:
    """The features as networks see them: standardised, float32, C order."""
    X = X.astype(np.float64)
    return np.ascontiguousarray((X - X.mean(axis=0)) / (X.std(axis=0) + (X.std(axis=0) == 0)), dtype=np.float32)


def targets_of(case: Case, y: Array) -> Array:
    """What the network should answer, (rows, n_outputs) in float32: one-hot for classes."""
    if case.task == "regression":
        return y.astype(np.float32).reshape(-1, 1)
    return np.eye(case.sizes[-1], dtype=np.float32)[y]


def load(case: Case) -> tuple[Array, Array]:
    """Inputs (rows, n_inputs) and the target (rows,), from the files that `files.prepare` made."""
    directory = DIRECTORY / "data" / case.rows_name
    return np.load(directory / "X.npy"), np.load(directory / "y.npy")
