"""How `serve` starts a local Ray cluster: `ray start --head --block`, on loopback, with a token and few extras."""

import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.numerics import Numerics
from service.numerics import environment as pinned
from service.processes import Program

OBJECT_STORE_BYTES = 512 * 2**20
SMALLEST_OBJECT_STORE_BYTES = 80 * 2**20
"""Below this Ray refuses to start."""
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
"""Below the ports that the system gives to outgoing connections, so that a restart finds its own again."""
LONGEST_PREFIX = 40
"""Ray puts Unix sockets below its directory; their paths may not exceed about a hundred characters."""


@dataclass(frozen=True)
class RayHead:
    """Where the local cluster is, and the variables that a process needs to reach it."""

    program: Program
    address: str
    directory: Path
    environment: Mapping[str, str]
    ports: Generator[int]
    """Where its ports come from, which are its own as long as this lives, also while Ray is restarted."""


def ray_head(data_dir: Path, worker_slots: int, numerics: Numerics = "native") -> RayHead:
    """A Ray head for `worker_slots` workers at once; makes its temporary directory and, the first time, its token."""
    ports = free_ports()
    port, client_port, dashboard_port, agent_port = (next(ports) for _ in range(4))
    directory = _temporary_directory()
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(_token(data_dir / "ray-token")),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what keeps Ray on 127.0.0.1: on Linux it takes the outer address
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # training comes before what only reports of it
        "RAY_enable_metrics_collection": "0",
    }
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--log-style", "record"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port)),
        *("--ray-client-server-port", str(client_port), "--dashboard-port", str(dashboard_port)),
        *("--dashboard-agent-listen-port", str(agent_port), "--min-worker-port", "0", "--max-worker-port", "0"),
        *("--include-dashboard=false", "--include-log-monitor=false", "--disable-usage-stats", "--no-monitor"),
        *("--num-cpus", str(worker_slots), "--num-gpus", "0", "--resources", json.dumps({"gradsum": 1_000_000})),
        *("--object-store-memory", str(_object_store_bytes()), "--temp-dir", str(directory)),
    ]
    variables = {**environment, **pinned(numerics)}
    program = Program("ray", command, variables, output=data_dir / "logs" / "ray.log", stop_rank=1)
    return RayHead(program, f"127.0.0.1:{port}", directory, environment, ports)


def free_ports() -> Generator[int]:
    """Ports of 127.0.0.1 that nobody has, each once, in random order.

    As long as this lives they are kept from whoever else looks for free ones (Linux): a socket with SO_REUSEADDR that
    is bound and does not listen is in the way of a bind without that option, not of a server's, which has it.
    """
    with contextlib.ExitStack() as kept:
        for port in random.SystemRandom().sample(range(LOWEST_PORT, HIGHEST_PORT), HIGHEST_PORT - LOWEST_PORT):
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
                continue
            if sys.platform == "linux":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                kept.enter_context(probe)
            else:
                probe.close()
            yield port


def _temporary_directory() -> Path:
    """A new private directory with a short path."""
    parent = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="gradsum-", dir=parent if len(parent) <= LONGEST_PREFIX else "/tmp"))  # noqa: S108


def _token(path: Path) -> Path:
    """The file of the cluster's token, readable by its owner only; made where it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path


def _object_store_bytes() -> int:
    """Small, because training data is memory-mapped; less where a container's /dev/shm is smaller still."""
    shared = Path("/dev/shm")  # noqa: S108 - not a temporary file: where Ray puts its objects
    free = shutil.disk_usage(shared).free if shared.is_dir() else OBJECT_STORE_BYTES
    return max(SMALLEST_OBJECT_STORE_BYTES, min(OBJECT_STORE_BYTES, free * 3 // 4))
