"""The sum over shards is the average over all rows, and its bits belong to the job alone."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.network import Network, Workspace, n_parameters, shard_share
from workers.shards import Node, assign, nodes, shard_ranges, sum_node

WORKERS = (1, 2, 3, 5, 7)
NETWORKS = st.sampled_from(
    [
        Network((3, 4, 2), "sigmoid", "sigmoid", "squared_error"),
        Network((4, 5, 3, 3), "tanh", "softmax", "cross_entropy"),
        Network((5, 6, 2), "relu", "identity", "squared_error"),
        Network((2, 3), "sigmoid", "sigmoid", "cross_entropy"),
    ]
)


def rows_of(
    network: Network, n_rows: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Random parameters, rows and one-hot targets."""
    targets = np.eye(network.sizes[-1])[random.integers(0, network.sizes[-1], n_rows)]
    return random.normal(0, 1, n_parameters(network)), random.normal(0, 1, (n_rows, network.sizes[0])), targets


@settings(max_examples=200)
@given(
    network=NETWORKS,
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=13, unique=True),
    weighted=st.booleans(),
    block=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_the_sum_over_unequal_shards_is_one_pass_over_all_rows(
    network: Network, cuts: list[int], *, weighted: bool, block: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    ends = [cut - min(cuts) for cut in sorted(cuts)]
    n_rows, n_shards = ends[-1], len(ends) - 1
    parameters, X, T = rows_of(network, n_rows, random)
    w = random.uniform(0.1, 5, n_rows) if weighted else None
    total_weight = n_rows if w is None else float(w.sum())

    losses, gradients = {}, {}
    for shard in range(n_shards):
        rows = slice(ends[shard], ends[shard + 1])
        share = shard_share(
            network,
            parameters,
            X[rows],
            T[rows],
            None if w is None else w[rows],
            total_weight,
            Workspace(network, np.float64, block),
        )
        losses[shard, shard + 1], gradients[shard, shard + 1] = share
    loss, gradient = sum_node(losses, 0, n_shards), sum_node(gradients, 0, n_shards)

    unsharded = Workspace(network, np.float64, n_rows)
    expected_loss, expected_gradient = shard_share(network, parameters, X, T, w, total_weight, unsharded)
    assert abs(loss - expected_loss) <= 1e-12 * expected_loss
    assert np.linalg.norm(gradient - expected_gradient) <= 1e-12 * np.linalg.norm(expected_gradient)


def shares(n_rows: int, n_shards: int, seed: int) -> dict[Node, NDArray[Any]]:
    """The gradient shares of a float32 network, by leaf."""
    network = Network((6, 5, 3), "sigmoid", "sigmoid", "squared_error")
    parameters, X, T = (array.astype(np.float32) for array in rows_of(network, n_rows, np.random.default_rng(seed)))
    workspace = Workspace(network, np.float32, 16)
    return {
        (shard, shard + 1): shard_share(network, parameters, X[first:last], T[first:last], None, n_rows, workspace)[1]
        for shard, (first, last) in enumerate(shard_ranges(n_rows, n_shards))
    }


def sent_by_workers(leaves: Mapping[Node, NDArray[Any]], n_workers: int) -> dict[Node, NDArray[Any]]:
    """What the workers send: the sums of the whole nodes that their shards make up."""
    return {
        node: sum_node(leaves, *node)
        for part in assign(len(leaves), n_workers)
        for node in nodes(part.start, part.stop, len(leaves))
    }


@settings(max_examples=60)
@given(data=st.data(), n_shards=st.integers(7, 33), extra_rows=st.integers(0, 100), seed=st.integers(0, 2**32))
def test_any_workers_in_any_order_of_arrival_give_the_same_bits(
    data: st.DataObject, n_shards: int, extra_rows: int, seed: int
) -> None:
    leaves = shares(n_shards + extra_rows, n_shards, seed)
    expected = sum_node(leaves, 0, n_shards).tobytes()
    for n_workers in WORKERS:
        arrived = dict(data.draw(st.permutations(list(sent_by_workers(leaves, n_workers).items()))))
        assert sum_node(arrived, 0, n_shards).tobytes() == expected


def test_adding_in_order_of_arrival_would_change_the_bits() -> None:
    """The negative control: without the tree, the same parts give other bits for other workers and other orders."""
    leaves, random = shares(400, 8, 0), np.random.default_rng(0)
    by_workers = {reduce(np.add, sent_by_workers(leaves, n_workers).values()).tobytes() for n_workers in WORKERS}
    orders = [random.permutation(len(leaves)) for _ in range(10)]
    by_order = {reduce(np.add, (leaves[leaf, leaf + 1] for leaf in order)).tobytes() for order in orders}
    assert len(by_workers) > 1
    assert len(by_order) > 1
