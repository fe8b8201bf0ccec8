"""What a test left behind: processes, listening ports, shared memory. Use the fixture `leaves_nothing`.

The test process adopts orphans (Linux), so that everything a test started, however far away, is below it.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from service.processes import adopt_orphans
from service.sentinel import is_zombie

GRACE_SECONDS = 10.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written


class Snapshot(NamedTuple):
    """What is there now, each with the words that name it to whoever has to find it."""

    processes: dict[int, str]
    ports: dict[int, str]
    shared_memory: dict[str, str]

    def left_since(self, before: "Snapshot") -> list[str]:
        """One line for each thing that is in this snapshot and was not in `before`."""
        pairs = zip(self, before, strict=True)
        return [words for now, then in pairs for key, words in now.items() if key not in then]


def snapshot() -> Snapshot:
    """The processes below this one that still run, the TCP ports they listen on, our entries of /dev/shm."""
    processes = {process.pid: f"process {_named(process)}" for process in _descendants()}
    ports = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid in processes:
            ports[connection.laddr.port] = f"port {connection.laddr.port} of {processes[connection.pid]}"
    return Snapshot(processes, ports, _shared_memory())


def alive(pid: int) -> bool:
    """Whether `pid` still runs; a zombie does not."""
    return psutil.pid_exists(pid) and not is_zombie(pid)


def _descendants() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if alive(process.pid)]


def _named(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:200] or process.name()}"
    except psutil.Error:
        return str(process.pid)


def _shared_memory() -> dict[str, str]:
    if not SHARED_MEMORY.is_dir():
        return {}
    ours = [entry for entry in SHARED_MEMORY.iterdir() if _owner(entry) == os.getuid()]
    return {entry.name: f"shared memory {entry}" for entry in ours}


def _owner(entry: Path) -> int | None:
    try:
        return entry.stat().st_uid
    except OSError:
        return None


def left_after(before: Snapshot, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """What is there beyond `before`, once `grace_seconds` have been given to it to go."""
    deadline = time.monotonic() + grace_seconds
    while (left := snapshot().left_since(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    """Fails the test that leaves a process, a listening port or an entry of /dev/shm behind."""
    adopt_orphans()
    before = snapshot()
    yield
    left = left_after(before)
    assert not left, "left behind: " + "; ".join(left)
