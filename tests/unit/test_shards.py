"""Cutting rows into shards, giving shards to workers, and the nodes of the one tree."""

import itertools

import pytest

from workers.shards import assign, auto_shards, middle, nodes, shard_ranges, sum_node


@pytest.mark.parametrize(("n_rows", "n_shards"), [(10, 3), (8, 8), (1797, 8), (60_000, 16), (7, 1), (4097, 64)])
def test_shards_are_consecutive_cover_all_rows_and_differ_by_at_most_one(n_rows: int, n_shards: int) -> None:
    ranges = shard_ranges(n_rows, n_shards)
    sizes = [last - first for first, last in ranges]
    assert len(ranges) == n_shards
    assert (ranges[0][0], ranges[-1][1]) == (0, n_rows)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges))
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("n_rows", "shards"),
    [
        (1, 1),
        (5, 5),
        (8, 8),
        (1797, 8),
        (32_768, 8),
        (32_769, 16),
        (60_000, 16),
        (65_536, 16),
        (65_537, 32),
        (262_144, 64),
        (10**9, 64),
    ],
)
def test_the_number_of_shards_follows_the_rows_alone(n_rows: int, shards: int) -> None:
    assert auto_shards(n_rows) == shards


@pytest.mark.parametrize(("n_shards", "n_workers"), [(8, 1), (8, 3), (8, 8), (13, 5), (64, 7)])
def test_every_shard_has_one_worker_and_every_worker_a_consecutive_share(n_shards: int, n_workers: int) -> None:
    parts = assign(n_shards, n_workers)
    assert len(parts) == n_workers
    assert [shard for part in parts for shard in part] == list(range(n_shards))
    assert all(part for part in parts)


def test_a_node_is_divided_at_the_largest_power_of_two_below_its_leaves() -> None:
    divided = {n: middle(0, n) for n in (2, 3, 4, 5, 7, 8, 9, 64, 65)}
    assert divided == {2: 1, 3: 2, 4: 2, 5: 4, 7: 4, 8: 4, 9: 8, 64: 32, 65: 64}
    assert middle(8, 13) == 12


def test_nodes_are_the_largest_of_the_tree_within_the_shards() -> None:
    assert nodes(0, 8, 8) == [(0, 8)]
    assert nodes(0, 3, 8) == [(0, 2), (2, 3)]
    assert nodes(3, 8, 8) == [(3, 4), (4, 8)]
    assert nodes(1, 7, 7) == [(1, 2), (2, 4), (4, 7)]
    assert nodes(4, 7, 7) == [(4, 7)]
    assert nodes(2, 2, 8) == []


def test_the_sum_follows_the_tree_and_not_the_order_of_arrival() -> None:
    leaves = {(leaf, leaf + 1): f"{leaf}" for leaf in range(7)}

    class Term(str):
        """Adding terms writes down how they were added."""

        __slots__ = ()

        def __add__(self, other: str) -> "Term":
            return Term(f"({self}+{other})")

    terms = {node: Term(name) for node, name in reversed(leaves.items())}
    assert sum_node(terms, 0, 7) == "(((0+1)+(2+3))+((4+5)+6))"
    halves = {(4, 7): Term("right"), (0, 4): Term("left")}
    assert sum_node(halves, 0, 7) == "(left+right)"


def test_a_missing_part_is_an_error_and_not_a_smaller_sum() -> None:
    with pytest.raises(KeyError, match=r"\(1, 2\)"):
        sum_node({(0, 1): 1.0, (2, 3): 1.0}, 0, 3)
