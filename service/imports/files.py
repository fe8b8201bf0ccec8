"""Opens what `file://` names, below the operator's directories only, whatever is renamed or linked meanwhile."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from service.uris import file_not_allowed, file_not_there
from workers.errors import DataError

KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Never imported from, even where a root holds them."""


def open_below(path: str, roots: Sequence[str]) -> BinaryIO:
    """The regular file at `path`; DataError `uri_not_allowed` where it is none below a root.

    The error is always the same, but for a name that an open directory below a root does not have.
    """
    with _found_below(path, roots) as (itself, mode):
        if not stat.S_ISREG(mode):
            raise file_not_allowed()
        return os.fdopen(os.open(itself, os.O_RDONLY | os.O_CLOEXEC), "rb")


def is_folder_below(path: str, roots: Sequence[str]) -> bool:
    """Whether a folder is at `path`, not a regular file; DataError as `open_below` where it is neither."""
    with _found_below(path, roots) as (_, mode):
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise file_not_allowed()
        return stat.S_ISDIR(mode)


def check_spelled_below(path: str, roots: Sequence[str]) -> None:
    """DataError as `open_below` where `path` begins with no root: all that can be said before a file is there."""
    if not any(Path(path).is_relative_to(place) for root in roots for place in (root, os.path.realpath(root))):
        raise file_not_allowed()


def entries_below(path: str, roots: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Of each entry of the folder at `path` its name, and whether it is a folder itself; DataError as `open_below`."""
    with _found_below(path, roots) as (itself, _), os.scandir(itself) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


@contextmanager
def _found_below(path: str, roots: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A name for what is at `path`, by which it can be opened, and its mode.

    It is found without being opened (`O_PATH`, so that no FIFO blocks and no device acts). The kernel then tells where
    that very file lies, after all links, and the name is that of its descriptor: nothing is looked for a second time.
    """
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError, AttributeError):  # not there; no path; a system without O_PATH
        raise _refusal(path, roots) from None
    try:
        itself = f"/proc/self/fd/{found}"
        if not _is_below(Path(itself).readlink(), roots):
            raise _refusal(path, roots)
        yield itself, os.fstat(found).st_mode
    except OSError:
        raise _refusal(path, roots) from None
    finally:
        os.close(found)


def _refusal(path: str, roots: Sequence[str]) -> DataError:
    """What is said of a path: it depends on what is below a root alone, never on whether something is elsewhere.

    Only a folder that is open and lies below a root, after all links, is asked whether it has the name.
    """
    folder, _, name = path.rstrip("/").rpartition("/")
    try:
        found = os.open(folder or "/", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except (OSError, ValueError, AttributeError):
        return file_not_allowed()
    try:
        is_below = bool(name) and _is_below(Path(f"/proc/self/fd/{found}").readlink(), roots)
        return file_not_there() if is_below and not _has(found, name) else file_not_allowed()
    finally:
        os.close(found)


def _has(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return error.errno != errno.ENOENT
    return True


def _is_below(real: Path, roots: Sequence[str]) -> bool:
    if any(real.is_relative_to(kernel) for kernel in KERNEL):
        return False
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)
