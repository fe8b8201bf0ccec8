"""Waits for the storage, so that training that is done, or about to begin, is not lost because S3 is away."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workers.problem import Order
from workers.storage import Storage, StorageUnavailableError

PATIENCE_SECONDS = 600.0
RETRY_SECONDS = 2.0

T = TypeVar("T")


class MatrixGoneError(Exception):
    """The storage has no such training matrix any more: it has to be built again."""


def patiently(work: Callable[[], T], on_wait: Callable[[str | None], None], seconds: float = PATIENCE_SECONDS) -> T:
    """What `work` returns. While the storage is away it is tried again, and `on_wait` is told why, or None at the end.

    StorageUnavailableError where that takes longer than `seconds`, or where only the operator can change it;
    `on_wait` may raise to give up before.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = work()
        except StorageUnavailableError as error:
            if error.refused:
                raise
            on_wait(str(error))
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            on_wait(None)
            return found


def hold_matrix(storage: Storage, held: contextlib.ExitStack, order: Order) -> None:
    """Have the order's training matrix here for as long as `held` is open; MatrixGoneError where there is none."""
    if not held.enter_context(storage.hold(Path(order.matrix_directory))):
        raise MatrixGoneError


def check_same(storage: Storage, url: str) -> None:
    """StorageUnavailableError where this node has another storage than the bucket `url`, or has one and should not."""
    if storage.url != url:
        ours, theirs = storage.url or "a directory", url or "a directory"
        raise StorageUnavailableError(
            f"This node keeps files in {ours}, the dispatcher in {theirs}: both need the same GRADSUM_STORAGE_URL.",
            refused=True,
        )
