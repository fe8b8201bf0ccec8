"""A Ray cluster of several nodes: who trains where, and what happens where nodes come and go."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

from service.cluster import Cluster
from tests.integration.test_distributed_sum import dataset as digits
from tests.integration.test_distributed_sum import order_for
from workers.resolve import DatasetFacts

dataset = digits
TRAINS = {"num_cpus": 1, "resources": {"gradsum": 1000}, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head that trains nothing, and two nodes that train with one slot each."""
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    nodes = Nodes(initialize_head=True, connect=False, head_node_args=head)
    for _ in range(2):
        nodes.add_node(**TRAINS)
    ray.init(address=nodes.address, namespace="gradsum", log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def cluster(nodes: Nodes) -> Iterator[Cluster]:
    """What the dispatcher's child does, in this process."""
    assert nodes.address
    cluster = Cluster()
    yield cluster
    for driver in (*cluster._idle, *cluster._starting, *cluster._busy.values()):
        ray.kill(driver.actor)


def wait_until(answer: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def trained(cluster: Cluster, job_id: str, order: Any, while_running: Any = lambda: None) -> dict[str, Any]:
    """The last report of a job that this order starts, on a driver that the cluster reserves."""
    wait_until(lambda: "driver" in cluster.answer({"do": "reserve", "job": job_id}))
    asked = {**order._asdict()}
    del asked["nodes"]
    assert cluster.answer({"do": "start", "job": job_id, "attempt": 1, "order": asked})["started"]
    acted = False
    while True:
        report: dict[str, Any] = cluster.answer({"do": "progress", "jobs": {job_id: 0}})["jobs"][job_id]
        if report["state"] not in {"starting", "running"}:
            cluster.answer({"do": "release", "job": job_id, "keep": False})
            return report
        if report["state"] == "running" and not acted:
            acted = True
            while_running()
        time.sleep(0.05)


def test_a_job_is_spread_over_the_nodes_that_train_with_the_same_bits(
    cluster: Cluster, nodes: Nodes, dataset: tuple[Path, DatasetFacts], tmp_path: Path
) -> None:
    seen: set[str] = set()

    def look() -> None:
        living = [actor for actor in ray._private.state.actors().values() if actor["State"] == "ALIVE"]
        busy = cluster._busy["two"].id
        seen.update(
            actor["Address"]["NodeID"]
            for actor in living
            if actor["ActorID"] == busy or "ShardWorker" in str(actor["ActorClassName"])
        )

    one = trained(cluster, "one", order_for(dataset, tmp_path / "1", 1, epochs=1000))
    two = trained(cluster, "two", order_for(dataset, tmp_path / "2", 2, epochs=1000), look)
    assert two["result"]["weights_sha256"] == one["result"]["weights_sha256"]
    assert seen == {node.node_id for node in nodes.worker_nodes}


def test_slots_follow_the_nodes_and_a_node_that_goes_leaves_its_shards_to_the_driver(
    cluster: Cluster, nodes: Nodes, dataset: tuple[Path, DatasetFacts], tmp_path: Path
) -> None:
    def slots() -> int:
        return int(cluster.answer({"do": "progress", "jobs": {}})["slots"])

    def lose_the_worker() -> None:
        [place] = cluster._placed["job"]
        nodes.remove_node(next(node for node in nodes.worker_nodes if node.node_id == place), allow_graceful=True)

    undisturbed = trained(cluster, "before", order_for(dataset, tmp_path / "1", 1, epochs=1000))
    assert slots() == 2
    report = trained(cluster, "job", order_for(dataset, tmp_path / "2", 2, epochs=1000), lose_the_worker)
    assert report["workers"][1]["replaced_at"] is not None
    assert report["result"]["weights_sha256"] == undisturbed["result"]["weights_sha256"]
    wait_until(lambda: slots() == 1)
    nodes.add_node(**TRAINS)
    wait_until(lambda: slots() == 2)


def test_an_idle_driver_that_died_is_not_handed_out(cluster: Cluster, nodes: Nodes) -> None:
    def idle(number: int) -> bool:
        cluster.answer({"do": "progress", "jobs": {}})
        return len(cluster._idle) == number

    def reserved() -> str:
        cluster._fill_at = float("inf")  # so that the pool has nothing but what the test saw
        answer = cluster.answer({"do": "reserve", "job": "job"})
        assert "driver" in answer, answer
        cluster.answer({"do": "release", "job": "job", "keep": True})
        return str(answer["driver"]["id"])

    wait_until(lambda: idle(2))
    killed, other = cluster._idle
    ray.kill(killed.actor)
    assert reserved() == other.id
    cluster._fill_at = 0.0
    wait_until(lambda: idle(2))
    away, other = cluster._idle
    assert away.node != other.node
    nodes.remove_node(next(node for node in nodes.worker_nodes if node.node_id == away.node), allow_graceful=True)
    wait_until(lambda: cluster.answer({"do": "progress", "jobs": {}})["slots"] == 1)
    assert reserved() == other.id
    assert [driver.id for driver in cluster._idle] == [other.id]
    nodes.add_node(**TRAINS)
