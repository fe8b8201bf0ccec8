"""On which nodes drivers and workers go: a pure function of the slots that are free on each."""

from collections import Counter
from collections.abc import Iterable, Mapping

Node = str
"""Ray's id of a node."""


def free_slots(slots: Mapping[Node, int], taken: Iterable[Node]) -> Counter[Node]:
    """What is left of each node's slots; below zero where more is placed than it has."""
    free = Counter(dict(slots))
    free.subtract(node for node in taken if node in slots)
    return free


def place(free: Mapping[Node, int], n: int) -> list[Node]:
    """The nodes of `n` actors, each where most slots are free by then; none where there are no nodes."""
    left = Counter(dict(free))
    nodes: list[Node] = []
    for _ in range(n if left else 0):
        node = min(left, key=lambda node: (-left[node], node))
        left[node] -= 1
        nodes.append(node)
    return nodes
