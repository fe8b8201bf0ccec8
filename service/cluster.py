"""The dispatcher's child that holds Ray: a pool of warm drivers, and what is asked of them. Disposable.

Requests are answered one at a time, each within a few seconds; a driver that does not answer is reported as gone.
Drivers belong to this process and die with it; the dispatcher then starts new attempts.
"""

import contextlib
import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import ray

from service.child import Message, pipe_from_arguments
from service.placement import Node, free_slots, place
from service.ray_node import JoinError, is_elsewhere, joined
from service.settings import load_settings
from workers.driver import Driver
from workers.problem import Order
from workers.team import ACTOR_OPTIONS, on_node

CALL_SECONDS = 5.0
"""How long a driver may take to answer."""
RETRY_SECONDS = 2.0
"""How long a driver that could not start is not tried again."""
IDLE_DRIVERS = 2
"""How many drivers wait, imported and warm, for the next jobs; there are never more in all than can run at once."""


class StartingDriver(NamedTuple):
    """A driver actor that is coming up, the reference to its description, and the node it was meant for."""

    actor: Any
    description: Any
    node: Node | None


class PooledDriver(NamedTuple):
    """A driver actor, and where it runs."""

    actor: Any
    description: dict[str, Any]

    @property
    def node(self) -> Node:
        """Ray's id of its node."""
        return str(self.description["node_id"])

    @property
    def id(self) -> str:
        """Ray's id of the actor."""
        return str(self.actor._actor_id.hex())  # noqa: SLF001 - Ray offers no other way


class Cluster:
    """Answers the dispatcher's requests with what Ray says."""

    def __init__(self) -> None:
        self._starting: list[StartingDriver] = []
        self._idle: list[PooledDriver] = []
        self._busy: dict[str, PooledDriver] = {}
        self._placed: dict[str, list[Node]] = {}  # where the other workers of busy drivers are
        self._fill_at = 0.0
        self._trouble = "The first driver is still starting."
        self._fill()

    def answer(self, request: Message) -> Message:
        """Do what a request asks for."""
        match request["do"]:
            case "reserve":
                return self._reserve(request["job"])
            case "start":
                return self._start(request)
            case "progress":
                return self._progress(request["jobs"])
            case "release":
                return self._release(request["job"], keep=request["keep"])
        raise ValueError(request["do"])

    def _reserve(self, job_id: str) -> Message:
        """An idle driver, which is the job's from now on, if one is up."""
        self._collect()
        self._drop_lost()
        if not self._idle:
            self._fill()
            return {"error": self._trouble}
        free = self._free()
        driver = self._busy[job_id] = max(self._idle, key=lambda driver: free[driver.node])
        self._idle.remove(driver)
        self._fill()
        return {"driver": {"id": driver.id, **driver.description}}

    def _start(self, request: Message) -> Message:
        driver = self._busy[request["job"]]
        others = place(self._free(), request["order"]["plan"]["workers"] - 1)
        self._placed[request["job"]] = others
        order = Order(**request["order"], nodes=others)
        answer = driver.actor.start.remote(request["job"], request["attempt"], order)
        try:
            return {"started": ray.get(answer, timeout=CALL_SECONDS)}
        except (ray.exceptions.RayError, TimeoutError) as error:
            return {"started": False, "reason": type(error).__name__}

    def _progress(self, jobs: dict[str, int]) -> Message:
        """What the drivers of `jobs` have done since the epochs given; `gone` for those that do not answer."""
        asked = {
            job_id: self._busy[job_id].actor.progress.remote(since)
            for job_id, since in jobs.items()
            if job_id in self._busy
        }
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=CALL_SECONDS)
        answers = {job_id: _result(reference) for job_id, reference in asked.items()}
        self._collect()
        return {"jobs": {job_id: answers.get(job_id, {"state": "gone"}) for job_id in jobs}, "slots": _slots()}

    def _release(self, job_id: str, *, keep: bool) -> Message:
        """End a job's driver, or keep it for the next job if it has ended well."""
        driver = self._busy.pop(job_id, None)
        self._placed.pop(job_id, None)
        if driver is None:
            return {}
        if keep and len(self._idle) < IDLE_DRIVERS:
            driver.actor.release.remote()
            self._idle.append(driver)
        else:
            ray.kill(driver.actor)
        return {}

    def _fill(self) -> None:
        if time.monotonic() < self._fill_at or len(self._idle) + len(self._starting) >= IDLE_DRIVERS:
            return
        most = min(IDLE_DRIVERS, max(_slots(), 1) - len(self._busy))
        while len(self._idle) + len(self._starting) < most:
            warm = [*(driver.node for driver in self._idle), *(driver.node for driver in self._starting)]
            node = next(iter(place(self._free(warm), 1)), None)
            actor = ray.remote(**ACTOR_OPTIONS, **on_node(node))(Driver).remote()
            self._starting.append(StartingDriver(actor, actor.describe.remote(), node))

    def _free(self, warm: Sequence[Node | None] = ()) -> Counter[Node]:
        """The free slots of each node that trains, less those of the drivers that are `warm` on it."""
        taken = [driver.node for driver in self._busy.values()]
        taken += [node for nodes in self._placed.values() for node in nodes]
        return free_slots(_slots_of_nodes(), [*taken, *(node for node in warm if node is not None)])

    def _drop_lost(self) -> None:
        """Let go of idle drivers whose node is gone or that do not answer: each would cost its job an attempt."""
        nodes = _slots_of_nodes()
        asked = {driver.id: driver.actor.describe.remote() for driver in self._idle if driver.node in nodes}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=CALL_SECONDS)
        living = {driver_id for driver_id, answer in asked.items() if _result(answer).get("state") != "gone"}
        for driver in self._idle:
            if driver.id not in living:
                ray.kill(driver.actor)  # one that only stood still would hold its memory for ever
                self._trouble = "An idle driver was lost; the next one is still starting."
        self._idle = [driver for driver in self._idle if driver.id in living]

    def _collect(self) -> None:
        """Take in the drivers that have come up."""
        still: list[StartingDriver] = []
        for driver in self._starting:
            ready, _ = ray.wait([driver.description], timeout=0)
            if not ready:
                still.append(driver)
                continue
            description = _result(driver.description)
            if description.get("state") != "gone":
                self._idle.append(PooledDriver(driver.actor, description))
                self._trouble = "The next driver is still starting."
            else:
                self._trouble = f"A driver could not start: {description['reason']}."
                self._fill_at = time.monotonic() + RETRY_SECONDS
        self._starting = still
        self._fill()


def _result(reference: Any) -> dict[str, Any]:  # noqa: ANN401 - Ray's reference
    try:
        answer: dict[str, Any] = ray.get(reference, timeout=0)
    except (ray.exceptions.RayError, TimeoutError) as error:
        return {"state": "gone", "reason": f"the driver was lost ({type(error).__name__})"}
    return answer


def _slots_of_nodes() -> dict[Node, int]:
    """How many workers each node that trains runs at once: one for each of its CPUs."""
    return {
        str(node["NodeID"]): int(node["Resources"].get("CPU", 0))
        for node in ray.nodes()
        if node["Alive"] and "gradsum" in node["Resources"]
    }


def _slots() -> int:
    """How many workers the cluster runs at once."""
    return sum(_slots_of_nodes().values())


def serve(connection: Connection, address: str) -> None:
    """Connect to Ray, then answer requests until the dispatcher closes the pipe."""
    with contextlib.ExitStack() as node:
        try:
            own = node.enter_context(joined(address)) if is_elsewhere(address) else None
        except JoinError as error:
            _send(connection, {"trouble": str(error)})
            return
        ray.init(
            address=address,
            namespace="gradsum",
            log_to_driver=False,
            logging_level="WARNING",
            configure_logging=False,
            **({"_node_ip_address": own} if own else {}),
        )
        cluster = Cluster()
        _send(connection, {"ready": True, "slots": _slots()})
        while (request := _receive(connection)) is not None:
            _send(connection, {"id": request["id"], **cluster.answer(request)})
        ray.shutdown()


def _receive(connection: Connection) -> Message | None:
    """The next request; None where the dispatcher is gone, or wants this process to go."""
    try:
        request: Message = json.loads(connection.recv_bytes())
    except (EOFError, OSError):
        return None
    return request


def _send(connection: Connection, answer: Message) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it; the next _receive says so
        connection.send_bytes(json.dumps(answer).encode())


def main() -> None:
    """The process `python -m service.cluster FD`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's business
    serve(pipe_from_arguments(), load_settings().ray_address)


if __name__ == "__main__":
    main()
