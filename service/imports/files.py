"""Opens files that `file://` names, below the operator's directories only, whatever is renamed or linked meanwhile."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from service.uris import file_not_allowed

KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Never imported from, even where a root holds them."""


def open_below(path: str, roots: Sequence[str]) -> BinaryIO:
    """The regular file at `path`; DataError `uri_not_allowed`, always the same, where it is none below a root.

    The file is found without being opened (`O_PATH`, so that no FIFO blocks and no device acts). The kernel then tells
    where that very file lies, after all links, and it is opened through that descriptor, not by its name again.
    """
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError, AttributeError):  # not there; no path; a system without O_PATH
        raise file_not_allowed() from None
    try:
        itself = f"/proc/self/fd/{found}"
        real = Path(itself).readlink()
        if not stat.S_ISREG(os.fstat(found).st_mode) or not _is_below(real, roots):
            raise file_not_allowed()
        return os.fdopen(os.open(itself, os.O_RDONLY | os.O_CLOEXEC), "rb")
    except OSError:
        raise file_not_allowed() from None
    finally:
        os.close(found)


def _is_below(real: Path, roots: Sequence[str]) -> bool:
    if any(real.is_relative_to(kernel) for kernel in KERNEL):
        return False
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)
