"""How rows are cut into shards, how workers share them, and the one tree along which their gradients are added.

The leaves of the tree are the shards. A node over n leaves adds the node over its first m leaves, m the largest power
of two below n, to the node over the rest. So the order of additions belongs to the job, not to its workers.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeVar

Node = tuple[int, int]
"""A node of the tree: its first leaf, and one behind its last."""
Value = TypeVar("Value", bound=Any)

ROWS_A_SHARD = 4096
FEWEST_SHARDS, MOST_SHARDS = 8, 64


def auto_shards(n_rows: int) -> int:
    """The smallest power of two with at most 4 096 rows each, at least 8, at most 64, never above the rows."""
    needed = -(-n_rows // ROWS_A_SHARD)
    power = 1 << max(needed - 1, 0).bit_length()
    return max(min(max(power, FEWEST_SHARDS), MOST_SHARDS, n_rows), 1)


def shard_ranges(n_rows: int, n_shards: int) -> list[tuple[int, int]]:
    """The rows of each shard, first and one behind the last: consecutive, sizes differ by at most one."""
    size, larger = divmod(n_rows, n_shards)
    starts = [shard * size + min(shard, larger) for shard in range(n_shards + 1)]
    return list(pairwise(starts))


def assign(n_shards: int, n_workers: int) -> list[range]:
    """The consecutive shards of each worker; with more workers than shards, the last ones have none."""
    return [range(first, last) for first, last in shard_ranges(n_shards, n_workers)]


def middle(first: int, last: int) -> int:
    """Where the node over the leaves `first` to `last` (at least two) is divided."""
    return first + (1 << (last - first - 1).bit_length() - 1)


def nodes(first: int, last: int, n_leaves: int) -> list[Node]:
    """The largest nodes of the tree over `n_leaves` that together cover the leaves `first` to `last`, in order."""

    def cover(node: Node) -> Iterator[Node]:
        start, end = node
        if first <= start and end <= last:
            yield node
        elif start < last and first < end:
            half = middle(start, end)
            yield from cover((start, half))
            yield from cover((half, end))

    return list(cover((0, n_leaves))) if first < last else []


def sum_node(parts: Mapping[Node, Value], first: int, last: int) -> Value:
    """The sum over the leaves `first` to `last`, from the sums of nodes that cover them, in the order of the tree.

    A KeyError names the leaf that no part covers.
    """
    if (first, last) in parts or last - first == 1:
        return parts[first, last]
    half = middle(first, last)
    total: Value = sum_node(parts, first, half) + sum_node(parts, half, last)
    return total
