"""Takes away what nobody needs in the storage: what killed processes have left, and matrices of jobs long ended."""

import re
from collections.abc import Container, Mapping
from pathlib import Path

from service.making import is_busy
from service.preparation import WORK_SECONDS
from workers.files import REMOVED, remove
from workers.storage import Storage, entries, touched

STALE_SECONDS = 600.0
"""Untouched for so long, nobody writes it any more: uploads are written piece by piece."""
MADE_SECONDS = WORK_SECONDS + STALE_SECONDS
"""The same where datasets or matrices are being made: a file may be read for hours before anything is written."""
MADE_BESIDE = ("datasets", "matrices")
"""Directories whose entries are made under a name with a dot in front, and then renamed."""
FORGOTTEN_DAYS = 30
"""What the record does not know stays so long after its last change: an older record may have been restored."""
NAMES = {"datasets": re.compile(r"[0-9a-f]{64}"), "jobs": re.compile(r"job_[0-9a-f]{24}")}
"""What we call things: what has another name is somebody else's."""
MATRIX_DAYS = 7
"""A training matrix is kept so long after the last job that used it has ended: it can be made again."""


def sweep(
    storage: Storage,
    preparing: Container[str],
    needed: Container[str],
    now: float,
    known: Mapping[str, Container[str]] | None = None,
) -> list[Path]:
    """The stale leavings of `storage`, removed.

    `preparing` are the ids of the datasets that are to be read from their uploads, `needed` the keys of the matrices
    that a job needs, `known` all contents of `datasets` and ids of `jobs`, with which a bucket is compared; all as the
    record had them at `now`.
    """
    removed = [path for path in storage.root.glob(f"*/.*{REMOVED}*") if path.parent.name not in MADE_BESIDE]
    leavings = [path for path in removed if now - touched(path) > STALE_SECONDS]
    for place in (storage.root / name for name in MADE_BESIDE):
        found, seconds = entries(place), MADE_SECONDS if is_busy(place) else STALE_SECONDS
        leavings += [each.path for each in found if each.path.name[0] == "." and now - each.touched > seconds]
    uploads = [each for each in storage.listed("uploads") if each.path.name not in preparing]
    dropped = [each.path for each in uploads if now - each.touched > STALE_SECONDS]
    matrices = [each for each in storage.listed("matrices") if each.path.name not in needed]
    dropped += [each.path for each in matrices if now - each.touched > MATRIX_DAYS * 86_400]
    dropped += forgotten(storage, known or {}, now) if storage.url else []
    for path in leavings:
        remove(path)
    for path in dropped:
        storage.drop(path)
    return leavings + dropped


def forgotten(storage: Storage, known: Mapping[str, Container[str]], now: float) -> list[Path]:
    """What a deletion has left while the storage was away: named as we name things, and in no row of the record."""
    return [
        kept.path
        for place, names in known.items()
        for kept in storage.listed(place)
        if NAMES[place].fullmatch(kept.path.name)
        and kept.path.name not in names
        and now - kept.touched > FORGOTTEN_DAYS * 86_400
    ]
