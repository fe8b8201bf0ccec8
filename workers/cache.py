"""The copies of a bucket's files on a node: at most so many bytes, the least recently used leave first.

Several processes share it. Locks belong to the kernel, so whoever dies lets go of his.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from workers.files import remove

PLACES = ("uploads", "datasets", "matrices", "jobs")
BUSY_SECONDS = 600.0
"""What was touched so lately may be in use: nobody takes it away."""
OLDEST_SECONDS = 7 * 86_400.0
"""What nobody has touched for so long leaves anyway: it may be deleted for everyone else."""
LEFT_SECONDS = 86_400.0
"""What has a dot in front of its name is being made, or was left by a process that was killed: then it leaves."""
EVICT_SECONDS = 60.0


class Entry(NamedTuple):
    """A file or directory of the cache with all that is in it."""

    path: Path
    bytes: int
    touched: float


class Cache:
    """The directory `root` and its limit."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self._limit_bytes = limit_bytes
        self._locks = root / "locks"

    def touch(self, path: Path) -> None:
        """It is in use."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._entry(path))

    @contextlib.contextmanager
    def making(self, path: Path) -> Iterator[None]:
        """Only one process of this node at a time is inside the block for a path."""
        with self._locked("making", path, fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def used(self, path: Path) -> Iterator[None]:
        """The path stays in the cache inside the block."""
        with self._locked("used", path, fcntl.LOCK_SH):
            yield

    def evict_sometimes(self) -> None:
        """`evict`, unless a process of this node has done so within the last minute."""
        stamp = self._locks / "evicted"
        with contextlib.suppress(FileNotFoundError):
            if time.time() - stamp.stat().st_mtime < EVICT_SECONDS:
                return
        self._locks.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        self.evict(time.time())

    def evict(self, now: float) -> list[Path]:
        """Take away what is too old, then the least recently used until the rest is within the limit; what went."""
        found = [_measured(path) for place in PLACES for path in (self.root / place).glob("*")]
        excess = sum(entry.bytes for entry in found) - self._limit_bytes
        gone = []
        for entry in sorted(found, key=lambda entry: entry.touched):
            if _may_leave(entry, now - entry.touched, is_full=excess > 0) and self._take_away(entry):
                excess -= entry.bytes
                gone.append(entry.path)
        return gone

    def _take_away(self, entry: Entry) -> bool:
        try:
            with self._locked("used", entry.path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if _measured(entry.path).touched > entry.touched:  # it was asked for meanwhile
                    return False
                remove(entry.path)
                return True
        except BlockingIOError:
            return False

    @contextlib.contextmanager
    def _locked(self, purpose: str, path: Path, how: int) -> Iterator[None]:
        """One of 256 locks: none has to be removed, and that two paths share one costs only time."""
        self._locks.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(self._entry(path).name.encode()).hexdigest()[:2]
        with (self._locks / f"{purpose}-{name}").open("a") as file:
            fcntl.flock(file, how)
            yield

    def _entry(self, path: Path) -> Path:
        """What comes and goes as one: `jobs/job_1` for the files of a job, else the path itself."""
        return self.root.joinpath(*path.relative_to(self.root).parts[:2])


def _may_leave(entry: Entry, idle_seconds: float, *, is_full: bool) -> bool:
    if entry.path.name.startswith("."):
        return idle_seconds > LEFT_SECONDS
    return idle_seconds > (BUSY_SECONDS if is_full else OLDEST_SECONDS)


def _measured(path: Path) -> Entry:
    """Size, and the newest time of change in it; of what has gone meanwhile, nothing."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    n_bytes, newest = 0, 0.0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            seen = file.stat()
            n_bytes += seen.st_size
            newest = max(newest, seen.st_mtime)
    return Entry(path, n_bytes, newest)
