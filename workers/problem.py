"""What a job trains, in one value: its network, its rows and weights, and how they are cut into shards."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.batches import Batches
from workers.integrity import check_rows
from workers.matrix import Matrix, open_matrix
from workers.network import Network, block_rows, layer_views
from workers.objective import Penalty
from workers.plan import layer_sizes
from workers.shards import shard_ranges
from workers.spec import EarlyStopping, JobSpec
from workers.weights import class_weights


class Order(NamedTuple):
    """What a driver is asked to do; plain values, so that it can travel as JSON."""

    spec: dict[str, Any]
    plan: dict[str, Any]
    matrix_directory: str
    output_directory: str
    initial_parameters: str | None = None
    """An `.npz` of weights and biases to start from, in the place of drawn ones."""
    numerics: dict[str, Any] | None = None
    """The fingerprint of earlier attempts, if there were any."""
    accept_other_numerics: bool = False
    nodes: Sequence[str] = ()
    """Ray's ids of the nodes that the workers beside the driver go to; empty where Ray may choose."""
    storage: str = ""
    """The address of the bucket that holds all of these files; empty where they are in a directory."""


class Problem(NamedTuple):
    """A training problem, the same in every process that works on it."""

    spec: JobSpec
    network: Network
    matrix: Matrix
    ranges: list[tuple[int, int]]  # the rows of each shard: first, and one behind the last
    class_weights: NDArray[np.float64] | None  # (n_classes,)
    epochs: int
    learning_rate: float
    optimizer: dict[str, Any]  # its name and options

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of rows, parameters and gradients."""
        return np.dtype(self.spec.training.dtype)

    @property
    def seed(self) -> int:
        """What all randomness of the job is keyed by."""
        return self.spec.training.seed

    @property
    def steps(self) -> int:
        """How many updates an epoch makes."""
        size = self.spec.training.batch_size
        return -(-self.matrix.training_rows // size) if isinstance(size, int) else 1

    @property
    def initialization(self) -> list[str]:
        """How each layer's weights are drawn."""
        asked, layers = self.spec.network.initialization, len(self.network.sizes) - 1
        return list(asked) if isinstance(asked, list) else [asked] * layers

    @property
    def penalty(self) -> Penalty:
        """What a step adds to the gradient of the data."""
        training = self.spec.training
        l2 = 0.0 if training.l2 == "auto" else training.l2
        return Penalty(training.l1, l2, training.clip_gradient_norm)

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """When to stop for want of improvement."""
        asked = self.spec.training.early_stopping
        return asked if isinstance(asked, EarlyStopping) else None

    @property
    def loss_unit(self) -> float:
        """What a loss of training is multiplied by to be told: figures are those of the target as it is."""
        return 1.0 if self.matrix.target_scaling is None else self.matrix.target_scaling.loss_unit

    def in_own_unit(self, parameters: NDArray[Any]) -> NDArray[Any]:
        """The parameters, flat, of the network that answers in the unit of the target; DataError beyond the dtype."""
        scaling = self.matrix.target_scaling
        return parameters if scaling is None else self._with_last_layer(parameters, scaling.in_own_unit)

    def as_kept(self, parameters: NDArray[Any]) -> NDArray[Any]:
        """The parameters as they come back from the unit of the target, so that figures are those of the kept model."""
        scaling = self.matrix.target_scaling
        if scaling is None:
            return parameters
        return self._with_last_layer(self.in_own_unit(parameters), scaling.in_deviations)

    def _with_last_layer(
        self, parameters: NDArray[Any], change: Callable[[NDArray[Any], NDArray[Any]], tuple[Any, Any]]
    ) -> NDArray[Any]:
        parameters = parameters.copy()
        weights, biases = layer_views(self.network, parameters)[-1]
        weights[...], biases[...] = change(weights, biases)
        return parameters

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

    def row_weights(self, first: int, last: int) -> NDArray[np.float64] | None:
        """W of rows `first` to `last`, (rows,): the weight column times the class weight; None where all are 1."""
        column = self.column_weights(first, last)
        if self.class_weights is None:
            return column
        of_class = self.class_weights[self.matrix.y[first:last]]
        return of_class if column is None else of_class * column

    def column_weights(self, first: int, last: int) -> NDArray[np.float64] | None:
        """The weight column alone, by which figures such as accuracy are weighted."""
        return None if self.matrix.weights is None else np.asarray(self.matrix.weights[first:last])

    def batches(self) -> Batches:
        """Which rows each step uses."""
        training = self.spec.training
        size = training.batch_size if isinstance(training.batch_size, int) else None
        return Batches(self.ranges, size, self.seed, self.row_weights(0, self.matrix.training_rows))


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
        bias=spec.network.bias,
    )
    training = spec.training
    if training.epochs == "auto" or training.learning_rate == "auto" or training.optimizer == "auto":
        raise TypeError("the spec is not resolved")
    return Problem(
        spec=spec,
        network=network,
        matrix=matrix,
        ranges=shard_ranges(matrix.training_rows, order.plan["shards"]),
        class_weights=class_weights(spec.class_weight, matrix.classes, matrix.y[: matrix.training_rows]),
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        optimizer=training.optimizer.model_dump(),
    )


def check_shards(order: Order, problem: Problem, shards: Iterable[int]) -> None:
    """DataError `data_changed` where the rows of these shards are not those that were written, on disk."""
    _check(order, problem, (problem.ranges[shard] for shard in shards))


def check_held_out(order: Order, problem: Problem) -> None:
    """The same for the rows that validate and test."""
    _check(order, problem, [(problem.matrix.training_rows, len(problem.matrix.X))])


def _check(order: Order, problem: Problem, ranges: Iterable[tuple[int, int]]) -> None:
    matrix = problem.matrix
    named = {"X": matrix.X, "y": matrix.y} | ({} if matrix.weights is None else {"weights": matrix.weights})
    check_rows(Path(order.matrix_directory), named, ranges)
