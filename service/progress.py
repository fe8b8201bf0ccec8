"""How far the reading of data is: told by whoever reads it, at most a few times a second."""

import time
from collections.abc import Callable
from typing import Any, Literal

TELL_SECONDS = 0.5

Phase = Literal["fetching", "expanding", "checking", "reading", "keeping"]
Unit = Literal["bytes", "rows"]


class Progress:
    """For work that nobody watches: it does nothing."""

    def begin(self, phase: Phase, of: int | None, unit: Unit = "bytes") -> None:
        """From now on so much is to be done; None where that is not known."""

    def expect(self, of: int) -> None:
        """It has turned out how much is to be done."""

    def at(self, done: int) -> None:
        """So much of it is done."""


class ToldProgress(Progress):
    """Calls `tell` with {"phase", "unit", "done", "of"}: when a phase begins, then at most every `TELL_SECONDS`."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._said: dict[str, Any] = {}
        self._tell_at = clock()

    def begin(self, phase: Phase, of: int | None, unit: Unit = "bytes") -> None:
        """Start anew from zero."""
        self._said = {"phase": phase, "unit": unit, "done": 0, "of": of}
        self._tell_at = self._clock()
        self.at(0)

    def expect(self, of: int) -> None:
        """Correct what was begun with."""
        self._said["of"] = of

    def at(self, done: int) -> None:
        """Tell it, if it is time to."""
        moment = self._clock()
        if moment < self._tell_at:
            return
        self._tell_at = moment + TELL_SECONDS
        of = self._said["of"]
        if of is not None and done > of:  # it grows, or was announced wrongly
            of = None
        self._tell({**self._said, "done": done, "of": of})


SILENT = Progress()
"""One is enough: it holds nothing."""
