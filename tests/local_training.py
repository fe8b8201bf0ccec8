"""Training in this process, through the code that the actors run: workers without Ray, answering in any order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.batches import Step
from workers.evaluation import Evaluation
from workers.gradients import Combine, ShardGradients, combine
from workers.initialization import drawn_parameters
from workers.matrix import Matrix
from workers.model import parameter_arrays, weights_sha256
from workers.network import Network
from workers.problem import Problem
from workers.shards import assign, shard_ranges
from workers.spec import JobSpec
from workers.training import Callbacks, Figures, Sum, Trained, train
from workers.weights import class_weights

Floats = NDArray[Any]

OPTIONS: dict[str, dict[str, Any]] = {
    "full batch": {},
    "batches": {"training": {"batch_size": 17}},
    "batches smaller than shards": {"training": {"batch_size": 3}},
    "dropout": {"network": {"dropout": 0.4}},
    "dropout and batches": {"network": {"dropout": 0.4}, "training": {"batch_size": 20, "optimizer": "adam"}},
    "adam": {"training": {"optimizer": "adam"}},
    "nesterov": {"training": {"optimizer": {"name": "momentum", "nesterov": True}}},
    "rprop": {"training": {"optimizer": "rprop"}},
    "lbfgs": {"training": {"optimizer": "lbfgs", "learning_rate": 1.0, "epochs": 15}},
    "early stopping": {"training": {"early_stopping": {"patience": 2}, "learning_rate": 2.0, "epochs": 30}},
    "penalties and clipping": {"training": {"l1": 0.01, "l2": 0.1, "clip_gradient_norm": 0.05}},
    "schedule": {"training": {"learning_rate_schedule": {"name": "cosine", "warmup_epochs": 2}}},
    "class weights": {"class_weight": "balanced"},
    "no biases": {"network": {"bias": False}},
    "no hidden layer": {"hidden_layers": ()},
    "deep": {"hidden_layers": (7, 6, 5)},
    "float64": {"training": {"dtype": "float64"}},
}
"""Everything that could make bits depend on workers, by name: arguments of `problem_in_memory`."""


def problem_in_memory(
    X: Floats,
    y: Floats,
    *,
    n_classes: int | None = None,
    weights: Floats | None = None,
    validation_rows: int = 0,
    shards: int = 8,
    ranges: Sequence[tuple[int, int]] | None = None,
    hidden_layers: Sequence[int] = (5,),
    network: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    class_weight: Any = None,
) -> Problem:
    """A problem whose last rows are for validation; targets are classes where `n_classes` is given."""
    classification = n_classes is not None
    spec = JobSpec.model_validate(
        {
            "dataset": "in memory",
            "target": "y",
            "task": "classification" if classification else "regression",
            "class_weight": class_weight,
            "network": {
                "hidden_layers": list(hidden_layers),
                "activation": "tanh",
                "output_activation": "softmax" if classification else "identity",
                "initialization": "glorot",
                **(network or {}),
            },
            "training": {
                "epochs": 6,
                "learning_rate": 0.1,
                "optimizer": "gradient_descent",
                "loss": "cross_entropy" if classification else "squared_error",
                "batch_size": None,
                "early_stopping": None,
                **(training or {}),
            },
        }
    )
    training_rows, dtype = len(X) - validation_rows, np.dtype(spec.training.dtype)
    matrix = Matrix(
        X=X.astype(dtype),
        y=y.astype(np.int32) if classification else y.reshape(len(X), -1).astype(dtype),
        weights=weights,
        training_rows=training_rows,
        validation_rows=validation_rows,
        test_rows=0,
        targets=("y",),
        features=tuple(f"x{place}" for place in range(X.shape[1])),
        classes=tuple(range(n_classes)) if n_classes is not None else None,
        preprocessing={},
        n_inputs=X.shape[1],
        dtype=spec.training.dtype,
        warnings=(),
        arrays={},
    )
    n_outputs = n_classes if n_classes is not None else matrix.y.shape[1]
    shape = Network(
        sizes=(X.shape[1], *hidden_layers, n_outputs),
        activation=spec.network.activation,
        output_activation=spec.network.output_activation,
        loss=spec.training.loss,
        bias=spec.network.bias,
    )
    optimizer = spec.training.optimizer
    assert not isinstance(optimizer, str)
    return Problem(
        spec=spec,
        network=shape,
        matrix=matrix,
        ranges=list(ranges or shard_ranges(training_rows, shards)),
        class_weights=class_weights(spec.class_weight, matrix.classes, matrix.y[:training_rows]),
        epochs=int(spec.training.epochs),
        learning_rate=float(spec.training.learning_rate),
        optimizer=optimizer.model_dump(),
    )


class LocalTeam:
    """Does what workers.team.Team does, with every worker in this process; their answers come in a random order."""

    def __init__(self, problem: Problem, n_workers: int, combine_parts: Combine = combine, seed: int = 0) -> None:
        self._workers = [ShardGradients(problem, shards) for shards in assign(len(problem.ranges), n_workers)]
        self._batches = problem.batches()
        self._combine = combine_parts
        self._random = np.random.default_rng(seed)

    def sum_of_shard_gradients(self, parameters: Floats, step: Step) -> Sum:
        """The sum over all shards."""
        batch = self._batches.batch(step)
        parts = [part for worker in self._workers for part in worker.sums(parameters, step, batch).items()]
        arrived = dict(parts[place] for place in self._random.permutation(len(parts)))
        loss, gradient = self._combine(arrived, len(batch.leaves))
        return Sum(loss, gradient.copy(), batch.total_weight)


def initial(problem: Problem) -> Floats:
    """The parameters that training starts from."""
    return drawn_parameters(problem.network, problem.seed, problem.initialization, problem.dtype)


def train_locally(
    problem: Problem, n_workers: int, combine_parts: Combine = combine, seed: int = 0
) -> tuple[Trained, list[Figures]]:
    """What training comes to, and the figures of its epochs without what the clock says."""
    figures: list[Figures] = []
    first, last = problem.matrix.training_rows, len(problem.matrix.X)
    callbacks = Callbacks(
        LocalTeam(problem, n_workers, combine_parts, seed).sum_of_shard_gradients,
        Evaluation(problem, first, last, "validation").scores,
        lambda row: figures.append({name: value for name, value in row.items() if name != "seconds"}),
    )
    return train(problem, initial(problem), callbacks), figures


def sha256_of(problem: Problem, trained: Trained) -> str:
    """The `weights_sha256` of what was kept."""
    return weights_sha256(parameter_arrays(problem.network, trained.parameters))
