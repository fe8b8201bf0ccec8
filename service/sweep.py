"""Takes away what nobody needs in the storage: what killed processes have left, and matrices of jobs long ended."""

from collections.abc import Callable
from pathlib import Path

from service.making import is_busy
from service.preparation import WORK_SECONDS
from workers.files import remove

STALE_SECONDS = 600.0
"""Untouched for so long, nobody writes it any more: uploads are written piece by piece."""
MADE_SECONDS = WORK_SECONDS + STALE_SECONDS
"""The same where datasets or matrices are being made: a file may be read for hours before anything is written."""
MADE_BESIDE = ("datasets", "matrices")
"""Directories whose entries are made under a name with a dot in front, and then renamed."""


MATRIX_DAYS = 7
"""A training matrix is kept so long after the last job that used it has ended: it can be made again."""


def sweep(
    storage: Path, is_dataset: Callable[[str], bool], is_needed_matrix: Callable[[str], bool], now: float
) -> list[Path]:
    """The stale leavings of `storage`, removed.

    `is_dataset` tells whether an id is one of a dataset's row, `is_needed_matrix` whether a job needs the one of a key.
    """
    found = {storage / "uploads": [path for path in (storage / "uploads").glob("*") if not is_dataset(path.name)]}
    found |= {storage / place: [*(storage / place).glob(".*")] for place in MADE_BESIDE}
    seconds = {place: MADE_SECONDS if is_busy(place) else STALE_SECONDS for place in found}
    stale = [path for place, paths in found.items() for path in paths if now - _touched(path) > seconds[place]]
    made = [path for path in (storage / "matrices").glob("[!.]*") if now - _touched(path) > MATRIX_DAYS * 86_400]
    stale += [path for path in made if not is_needed_matrix(path.name)]
    for path in stale:
        remove(path)
    return stale


def _touched(path: Path) -> float:
    """When it, or something in it, was last changed; never stale where it has gone meanwhile."""
    try:
        entries = [path, *path.iterdir()] if path.is_dir() else [path]
        return max(entry.stat().st_mtime for entry in entries)
    except FileNotFoundError:
        return float("inf")
