"""Files that are either whole or not there: written beside their place, synced, then renamed into it."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

REMOVED = ".removed-"
"""In the name of a directory that is being taken away."""


def write_atomically(path: Path, data: bytes, like: os.stat_result | None = None) -> None:
    """Write `data` to `path` so that any crash leaves the old file or the new one, never a part.

    The new one has owner, group and mode of `like`, else it is its writer's alone; OSError where it can't have them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like is not None:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), like.st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_all(file: FileIO, data: bytes | memoryview) -> None:
    """Write all of `data` at the file's place; OSError where there is no room for it."""
    left = memoryview(data)
    while left:  # the system may take less at once, as it does where the room ends
        left = left[file.write(left) :]


def publish_directory(temporary: Path, final: Path) -> None:
    """Rename the finished directory `temporary` to `final`; where `final` is there already, that one stays."""
    for file in temporary.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    sync_directory(temporary)
    try:
        temporary.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(temporary)
    sync_directory(final.parent)


@contextmanager
def scratch_directory(beside: Path | None = None) -> Iterator[Path]:
    """A directory for the time of the block, in `beside` or where the system has such; its name begins with a dot."""
    with tempfile.TemporaryDirectory(dir=beside, prefix=".scratch-") as directory:
        yield Path(directory)


def remove(path: Path) -> None:
    """Take away the file or the directory with all that is in it, if it is there.

    Who is killed meanwhile leaves a directory whose name begins with a dot, never a half of `path`.
    """
    if path.is_dir():
        doomed = path if path.name.startswith(".") else path.with_name(f".{path.name}{REMOVED}{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
