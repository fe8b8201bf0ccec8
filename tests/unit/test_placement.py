"""Drivers and workers go where slots are free."""

from service.placement import free_slots, place


def test_each_worker_goes_where_most_slots_are_free() -> None:
    assert place({"a": 1, "b": 3}, 4) == ["b", "b", "a", "b"]


def test_more_workers_than_slots_are_spread_evenly() -> None:
    assert sorted(place({"a": 1, "b": 1}, 4)) == ["a", "a", "b", "b"]


def test_without_nodes_ray_chooses() -> None:
    assert place({}, 2) == []


def test_what_runs_takes_slots_and_nodes_that_are_gone_do_not_come_back() -> None:
    assert dict(free_slots({"a": 2, "b": 1}, ["a", "b", "b", "gone"])) == {"a": 1, "b": -1}


def test_a_driver_s_own_slot_sends_its_worker_to_the_other_node() -> None:
    assert place(free_slots({"a": 1, "b": 1}, ["a"]), 1) == ["b"]
    assert place(free_slots({"a": 1, "b": 1}, ["b"]), 1) == ["a"]
