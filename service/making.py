"""Tells whether something is made in a directory now: by a lock, which goes with its process however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def making(directory: Path) -> Iterator[None]:
    """From here to the end of the block, `is_busy` says so of the directory, which is made where it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    with closing(_Directory(directory)) as opened:
        opened.lock(fcntl.LOCK_SH)  # at once: whoever looks has it for a moment only
        yield


def is_busy(directory: Path) -> bool:
    """Whether somebody is making something there, or that can't be told, as on some network file systems."""
    if not directory.exists():
        return False
    with closing(_Directory(directory)) as opened:
        return not opened.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Directory:
    """An open directory; what is locked is free when it is closed."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def lock(self, kind: int) -> bool:
        """Whether it could be locked."""
        try:
            fcntl.flock(self._descriptor, kind)
        except OSError:
            return False
        return True

    def close(self) -> None:
        os.close(self._descriptor)
