"""What a test left behind: processes, listening ports, shared memory. Use the fixture `leaves_nothing`.

The test process adopts orphans (Linux), so that everything a test started, however far away, is below it. Other tests
may run beside it, in processes of their own, and a service that tests share may run below it: what belongs to these is
no test's fault.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from service.processes import adopt_orphans
from service.sentinel import is_zombie

GRACE_SECONDS = 10.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written
HELD = re.compile(rf"{SHARED_MEMORY}/(\S+)")
SPARED = pytest.StashKey[int]()
"""In the stash of pytest's configuration: the process of the service that tests share."""


class Snapshot(NamedTuple):
    """What is there now, each with the words that name it to whoever has to find it."""

    processes: dict[int, str]
    ports: dict[int, str]
    shared_memory: dict[str, str]

    def left_since(self, before: "Snapshot") -> list[str]:
        """One line for each thing that is in this snapshot and was not in `before`."""
        pairs = zip(self, before, strict=True)
        return [words for now, then in pairs for key, words in now.items() if key not in then]


def snapshot(spared: int | None = None) -> Snapshot:
    """The processes below this one that still run, the TCP ports they listen on, and what nobody else has of /dev/shm.

    The process `spared` and those below it are somebody else's.
    """
    processes = {process.pid: f"process {_named(process)}" for process in _descendants(spared)}
    ports = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid in processes:
            ports[connection.laddr.port] = f"port {connection.laddr.port} of {processes[connection.pid]}"
    return Snapshot(processes, ports, _shared_memory(processes))


def alive(pid: int) -> bool:
    """Whether `pid` still runs; a zombie does not."""
    return psutil.pid_exists(pid) and not is_zombie(pid)


def _descendants(spared: int | None) -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    theirs: set[int] = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        theirs = {spared, *(p.pid for p in psutil.Process(spared).children(recursive=True))} if spared else set()
    return [process for process in found if process.pid not in theirs and alive(process.pid)]


def _named(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:200] or process.name()}"
    except psutil.Error:
        return str(process.pid)


def _shared_memory(ours: Iterable[int]) -> dict[str, str]:
    """The entries of our user that one of our processes holds, or none at all: the machine has one /dev/shm for all."""
    found = [entry for entry in SHARED_MEMORY.glob("*") if _owner(entry) == os.getuid()]
    if found:
        theirs = {name for pid in set(psutil.pids()) - {os.getpid(), *ours} for name in _held(pid)}
        found = [entry for entry in found if entry.name not in theirs]
    return {entry.name: f"shared memory {entry}" for entry in found}


def _held(pid: int) -> set[str]:
    """The names in /dev/shm that a process has mapped or open."""
    process = Path("/proc") / str(pid)
    names: set[str] = set()
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        names |= {found[1] for found in HELD.finditer((process / "maps").read_text(errors="replace"))}
        targets = [descriptor.readlink() for descriptor in (process / "fd").iterdir()]
        names |= {target.name for target in targets if target.parent == SHARED_MEMORY}
    return names


def _owner(entry: Path) -> int | None:
    try:
        return entry.stat().st_uid
    except OSError:
        return None


def left_after(before: Snapshot, spared: int | None = None, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """What is there beyond `before`, once `grace_seconds` have been given to it to go."""
    deadline = time.monotonic() + grace_seconds
    while (left := snapshot(spared).left_since(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that leaves a process, a listening port or an entry of /dev/shm behind."""
    adopt_orphans()
    before = snapshot(request.config.stash.get(SPARED, None))
    yield
    left = left_after(before, request.config.stash.get(SPARED, None))
    assert not left, "left behind: " + "; ".join(left)
