"""The Ray actor that computes the gradients of some shards for a driver, and dies with it."""

import contextlib
import os
import platform
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workers import numerics
from workers.batches import Step
from workers.errors import DataError
from workers.gradients import ShardGradients, Share
from workers.integrity import check_heads
from workers.patience import MatrixGoneError, check_same, hold_matrix, patiently
from workers.problem import Order, check_shards, problem_of
from workers.shards import Node
from workers.storage import StorageUnavailableError, storage_of


class ShardWorker:
    """Runs as an actor (`ray.remote(ShardWorker)`); its name is what `ps` shows."""

    def __init__(self, order: Order, first_shard: int, last_shard: int) -> None:
        numerics.use_one_thread()
        self._storage = storage_of(os.environ)
        self._held = contextlib.ExitStack()  # until this process ends
        self._useless = self._why_useless(order)
        if self._useless is not None:
            return
        problem = problem_of(order)
        self._order, self._problem = order, problem
        self._shards = range(first_shard, last_shard)
        self._batches = problem.batches()
        self._gradients = ShardGradients(problem, range(first_shard, last_shard))

    def describe(self) -> dict[str, Any]:
        """Where this worker runs, what its bits depend on, and whether its rows, hashed for that, were changed.

        Of a worker without the matrix, only why.
        """
        if self._useless is not None:
            return self._useless
        return {
            "node": platform.node(),
            "pid": os.getpid(),
            "numerics": numerics.fingerprint(),
            "data_changed": self._what_changed(),
        }

    def _why_useless(self, order: Order) -> dict[str, Any] | None:
        """None once the matrix is here; else what will not be otherwise when this worker waits, or is replaced."""
        try:
            check_same(self._storage, order.storage)
            patiently(lambda: hold_matrix(self._storage, self._held, order), lambda _reason: None)
        except MatrixGoneError:
            return {"matrix_gone": True}
        except StorageUnavailableError as error:
            if error.refused:
                return {"storage_refused": str(error)}
            raise
        return None

    def _what_changed(self) -> str | None:
        directory = Path(self._order.matrix_directory)
        try:
            check_heads(directory)
            check_shards(self._order, self._problem, self._shards)
        except DataError as error:
            self._storage.distrust(directory)
            return error.message
        return None

    def sums(self, parameters: NDArray[Any], step: Step) -> dict[Node, Share]:
        """The sums of the whole nodes of the step's summation tree that this worker's shards make up."""
        step = Step(*step)
        return self._gradients.sums(parameters, step, self._batches.batch(step))
