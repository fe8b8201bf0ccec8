"""The gradients of some consecutive shards, computed in this process and added along the one summation tree."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.batches import NO_TRAINING, Batch, Step
from workers.dropout import Dropout
from workers.network import Masks, Workspace, n_parameters, shard_share
from workers.problem import Problem
from workers.shards import Node, middle, nodes, sum_node

Share = tuple[float, NDArray[Any]]
"""A share of a step's average loss, and of its gradient (flat)."""


Combine = Callable[[Mapping[Node, Share], int], Share]
"""Adds the sums of nodes up to the sum over all leaves, of which it is told the number."""


@np.errstate(over="ignore", invalid="ignore")  # what is not finite stays so, for the epoch loop to see
def combine(parts: Mapping[Node, Share], n_leaves: int) -> Share:
    """The sum over all leaves, along the tree: the order in which the parts arrived does not matter."""
    loss = sum_node({node: share[0] for node, share in parts.items()}, 0, n_leaves)
    return loss, sum_node({node: share[1] for node, share in parts.items()}, 0, n_leaves)


class ShardGradients:
    """Holds the rows of the shards `shards` and differentiates their loss."""

    def __init__(self, problem: Problem, shards: range) -> None:
        network = self._network = problem.network
        self._shards = shards
        self._first_row = {shard: problem.ranges[shard][0] for shard in shards}
        self._rows = {shard: np.asarray(problem.matrix.X[slice(*problem.ranges[shard])]) for shard in shards}
        self._targets = {shard: problem.targets(*problem.ranges[shard]) for shard in shards}
        self._weights = {shard: problem.row_weights(*problem.ranges[shard]) for shard in shards}
        self._workspace = Workspace(network, problem.dtype, problem.block_rows)
        self._buffers: list[NDArray[Any]] = []
        self._n_parameters, self._dtype = n_parameters(network), problem.dtype
        options = problem.spec.network
        self._dropout = (
            Dropout(options.dropout, problem.seed, network.sizes[1:-1], problem.dtype, problem.block_rows)
            if options.dropout > 0
            else None
        )

    @np.errstate(over="ignore", invalid="ignore")
    def sums(self, parameters: NDArray[Any], step: Step, batch: Batch) -> dict[Node, Share]:
        """The sum of each whole node of the step's tree that these shards make up. The next call reuses the arrays."""
        first, last = (bisect_left(batch.leaves, shard) for shard in (self._shards.start, self._shards.stop))
        share = partial(self._share, parameters, step, batch)
        covered = nodes(first, last, len(batch.leaves))
        return {node: self._sum(node, share, place) for place, node in enumerate(covered)}

    def _sum(self, node: Node, share: "partial[Share]", buffer: int) -> Share:
        """The sum under `node`, in buffer number `buffer`; those behind it are free."""
        first, last = node
        if last - first == 1:
            return share(first, self._buffer(buffer))
        half = middle(first, last)
        left_loss, gradient = self._sum((first, half), share, buffer)
        right_loss, right = self._sum((half, last), share, buffer + 1)
        np.add(gradient, right, out=gradient)
        return left_loss + right_loss, gradient

    def _share(self, parameters: NDArray[Any], step: Step, batch: Batch, leaf: int, out: NDArray[Any]) -> Share:
        shard = batch.leaves[leaf]
        X, T, weights = self._rows[shard], self._targets[shard], self._weights[shard]
        numbers = None
        if batch.rows is not None:
            numbers = batch.rows[batch.bounds[shard] : batch.bounds[shard + 1]]
            places = numbers - self._first_row[shard]
            X, T, weights = X[places], T[places], None if weights is None else weights[places]
        masks = None
        if self._dropout is not None and step != NO_TRAINING:
            if numbers is None:
                numbers = np.arange(*batch.bounds[shard : shard + 2])
            masks = partial(_masks, self._dropout, step, numbers)
        return shard_share(self._network, parameters, X, T, weights, batch.total_weight, self._workspace, out, masks)

    def _buffer(self, number: int) -> NDArray[Any]:
        while len(self._buffers) <= number:
            self._buffers.append(np.empty(self._n_parameters, self._dtype))
        return self._buffers[number]


def _masks(dropout: Dropout, step: Step, numbers: NDArray[np.int64], block: slice) -> Masks:
    return dropout.masks(step, numbers[block])
