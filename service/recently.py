"""A check that many ask for, made no more often than its answer is needed anew."""

import threading
import time
from collections.abc import Callable

from workers.storage import StorageUnavailableError


class Recently:
    """Called like `check`: what that found, good or bad, is the answer for `seconds`, also to who asked meanwhile."""

    def __init__(self, check: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: StorageUnavailableError | None = None

    def __call__(self) -> None:
        """StorageUnavailableError where the check found that lately."""
        with self._lock:
            if self._clock() >= self._until:
                self._found = self._look()
                self._until = self._clock() + self._seconds
            found = self._found
        if found is not None:
            raise StorageUnavailableError(str(found), refused=found.refused)

    def _look(self) -> StorageUnavailableError | None:
        try:
            self._check()
        except StorageUnavailableError as error:
            return error
        return None
