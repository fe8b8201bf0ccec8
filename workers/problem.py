"""What a job trains, in one value: its network, its rows and how they are cut into shards."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.matrix import Matrix, open_matrix
from workers.network import Network, block_rows
from workers.plan import layer_sizes
from workers.shards import shard_ranges
from workers.spec import JobSpec


class Order(NamedTuple):
    """What a driver is asked to do; plain values, so that it can travel as JSON."""

    spec: dict[str, Any]
    plan: dict[str, Any]
    matrix_directory: str
    output_directory: str


class Problem(NamedTuple):
    """A training problem, the same in every process that works on it."""

    spec: JobSpec
    network: Network
    matrix: Matrix
    ranges: list[tuple[int, int]]  # the rows of each shard: first, and one behind the last
    total_weight: float  # Σ w over the training rows
    epochs: int
    learning_rate: float
    optimizer: dict[str, Any]  # its name and options

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of rows, parameters and gradients."""
        return np.dtype(self.spec.training.dtype)

    @property
    def block_rows(self) -> int:
        """How many rows are computed at a time."""
        return block_rows(self.network.sizes, self.dtype)

    def targets(self, first: int, last: int) -> NDArray[Any]:
        """What the network should answer for rows `first` to `last`: (rows, n_outputs), one-hot for classes."""
        values = self.matrix.y[first:last]
        if self.matrix.classes is None:
            return np.ascontiguousarray(values.reshape(-1, self.network.sizes[-1]), dtype=self.dtype)
        one_hot = np.zeros((last - first, len(self.matrix.classes)), dtype=self.dtype)
        one_hot[np.arange(last - first), values] = 1
        return one_hot


def problem_of(order: Order) -> Problem:
    """The problem that an order describes; its rows stay on disk until they are used."""
    spec = JobSpec.model_validate(order.spec)
    matrix = open_matrix(Path(order.matrix_directory))
    n_outputs = len(matrix.classes) if matrix.classes is not None else len(matrix.targets)
    network = Network(
        sizes=layer_sizes(spec, matrix.n_inputs, n_outputs),
        activation=spec.network.activation,
        output_activation=spec.network.output_activation,
        loss=spec.training.loss,
    )
    training = spec.training
    if training.epochs == "auto" or training.learning_rate == "auto" or training.optimizer == "auto":
        raise TypeError("the spec is not resolved")
    return Problem(
        spec=spec,
        network=network,
        matrix=matrix,
        ranges=shard_ranges(matrix.training_rows, order.plan["shards"]),
        total_weight=float(matrix.training_rows),
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        optimizer=training.optimizer.model_dump(),
    )
