"""How this machine joins a Ray cluster that runs elsewhere: as a node that offers nothing, so nothing is placed on it.

Ray lets a process in only through a node on its own machine. The node lives as long as the process that joined.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO

import psutil

from service.processes import LIBC, PR_SET_PDEATHSIG, how_it_ended
from service.ray_head import SMALLEST_OBJECT_STORE_BYTES

CONNECT_SECONDS = 3.0
STOP_SECONDS = 4.0
JOINED = "Ray runtime started"


class JoinError(Exception):
    """Why this machine can't join: one sentence with the reason and the way out."""


def is_elsewhere(address: str) -> bool:
    """Whether the cluster at `host:port` has its head on another machine than this one. Raises JoinError."""
    ours = {own.address for owns in psutil.net_if_addrs().values() for own in owns}
    return _ends(address, socket.SOCK_DGRAM)[1] not in ours  # nothing is sent: the head may still be starting


@contextlib.contextmanager
def joined(address: str) -> Iterator[str]:
    """Be a node of the cluster at `host:port` inside the block; the address that this node has. Raises JoinError."""
    own, _ = _ends(address, socket.SOCK_STREAM)
    command = [
        *(
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--block",
            "--address",
            address,
            "--log-style",
            "record",
        ),
        *("--node-ip-address", own, "--num-cpus", "0", "--num-gpus", "0", "--disable-usage-stats"),
        *("--object-store-memory", str(SMALLEST_OBJECT_STORE_BYTES)),
    ]
    with tempfile.TemporaryFile() as output:
        node = subprocess.Popen(
            command,
            env={**os.environ, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},  # nothing is on it that could move away
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_ends_with_us,  # noqa: PLW1509 - Ray is not initialised yet: there is one thread
        )
        try:
            _wait_until_joined(node, output, address)
            yield own
        finally:
            _stop(node)


def _ends(address: str, kind: socket.SocketKind) -> tuple[str, str]:
    """Our own address and the head's, of a connection to it."""
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=kind)[0]
        with socket.socket(family, kind) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(place)
            return str(connection.getsockname()[0]), str(connection.getpeername()[0])
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise JoinError(f"No Ray cluster answers at {address} ({reason}). See GRADSUM_RAY_ADDRESS.") from None


def _wait_until_joined(node: subprocess.Popen[bytes], output: IO[bytes], address: str) -> None:
    """Return once the node says so; whoever started this process ends it where that takes too long."""
    while True:
        code = node.poll()
        output.seek(0)
        said = output.read().decode(errors="replace")
        if JOINED in said:
            return
        if code is not None:
            raise JoinError(_explained(said, address, code))
        time.sleep(0.1)


def _explained(said: str, address: str, code: int) -> str:
    if "AuthenticationError" in said or "InvalidAuthToken" in said:
        return (
            f"The Ray cluster at {address} refuses the token of this process: RAY_AUTH_TOKEN_PATH has to name a file "
            f"with the cluster's token, and RAY_AUTH_MODE to be 'token'."
        )
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), how_it_ended(code))
    return f"This machine can't join the Ray cluster at {address}: {last:.300}"


def _ends_with_us() -> None:
    """Called in the new process: it is asked to stop when the one that joined dies, however that comes (Linux)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() == 1 and os.getpid() != 1:  # it has died already
            os._exit(1)


def _stop(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    try:
        node.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()
