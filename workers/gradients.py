"""The gradients of some consecutive shards, computed in this process and added along the one summation tree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.network import Workspace, n_parameters, shard_share
from workers.problem import Problem
from workers.shards import Node, middle, nodes

Share = tuple[float, NDArray[Any]]
"""A share of the training set's average loss, and of its gradient (flat)."""


class ShardGradients:
    """Holds the rows of the shards `shards` and differentiates their loss."""

    def __init__(self, problem: Problem, shards: range) -> None:
        self._problem = problem
        self._nodes = nodes(shards.start, shards.stop, len(problem.ranges))
        self._workspace = Workspace(problem.network, problem.dtype, problem.block_rows)
        self._rows = {shard: np.asarray(problem.matrix.X[slice(*problem.ranges[shard])]) for shard in shards}
        self._targets = {shard: problem.targets(*problem.ranges[shard]) for shard in shards}
        self._buffers: list[NDArray[Any]] = []

    def sums(self, parameters: NDArray[Any]) -> dict[Node, Share]:
        """The sum of each whole node of the tree that these shards make up. The next call reuses the arrays."""
        return {node: self._sum(node, parameters, place) for place, node in enumerate(self._nodes)}

    def _sum(self, node: Node, parameters: NDArray[Any], buffer: int) -> Share:
        """The sum under `node`, in buffer number `buffer`; those behind it are free."""
        first, last = node
        if last - first == 1:
            return self._share(first, parameters, self._buffer(buffer))
        half = middle(first, last)
        left_loss, gradient = self._sum((first, half), parameters, buffer)
        right_loss, right = self._sum((half, last), parameters, buffer + 1)
        np.add(gradient, right, out=gradient)
        return left_loss + right_loss, gradient

    def _share(self, shard: int, parameters: NDArray[Any], out: NDArray[Any]) -> Share:
        rows, targets = self._rows[shard], self._targets[shard]
        total_weight = self._problem.total_weight
        return shard_share(
            self._problem.network, parameters, rows, targets, None, total_weight, self._workspace, out=out
        )

    def _buffer(self, number: int) -> NDArray[Any]:
        while len(self._buffers) <= number:
            self._buffers.append(np.empty(n_parameters(self._problem.network), self._problem.dtype))
        return self._buffers[number]
