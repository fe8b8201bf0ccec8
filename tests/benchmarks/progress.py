"""Which case, round and system is at work, and how long it will still take."""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console

from tests.benchmarks.cases import CASES

SWEEP_PART = 0.4
"""The part of a case that looking for the best variants takes, roughly."""
FIRST_GUESS_PART = 0.05
"""Before so much is done the nominal times are the better guess."""


class Progress:
    """Says it on one line that changes in a terminal, and on a new line for each round."""

    def __init__(self, console: Console, cases: Sequence[str], n_rounds: int) -> None:
        self._console = console
        self._cases = list(cases)
        self._n_rounds = n_rounds
        self._started = time.monotonic()
        self._case = self._cases[0]
        self._part = 0.0  # of the case
        self._status = console.status("")

    def __enter__(self) -> Self:
        """Begin to show it."""
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._status.stop()

    def begin(self) -> None:
        """The time that counts for the estimate begins here."""
        self._started = time.monotonic()

    def enter_case(self, name: str) -> None:
        """Another case begins."""
        self._case, self._part = name, 0.0
        self.line(f"Case {name}: {CASES[name].words}")

    def say(self, what: str) -> None:
        """What is at work now."""
        self._status.update(f"case {self._case}, {what} … about {_words(self.seconds_left())} left")

    def line(self, text: str) -> None:
        """Something to keep."""
        self._console.print(text, markup=False, soft_wrap=True)

    def swept(self, fraction: float, text: str) -> None:
        """A system's best variant is known; `fraction` of all systems are through."""
        self._part = SWEEP_PART * fraction
        self.line(f"  best of {text}")

    def round_done(self, number: int, text: str) -> None:
        """Round `number`, from 1, is over."""
        self._part = SWEEP_PART + (1 - SWEEP_PART) * number / self._n_rounds
        self.line(f"  round {number} of {self._n_rounds}: {text}; about {_words(self.seconds_left())} left")

    def seconds_left(self) -> float:
        """By the nominal times of the cases, stretched as those so far were."""
        place = self._cases.index(self._case)
        nominal = [CASES[name].nominal_seconds for name in self._cases]
        done, whole = sum(nominal[:place]) + self._part * nominal[place], sum(nominal)
        elapsed = time.monotonic() - self._started
        stretch = elapsed / done if done > FIRST_GUESS_PART * whole else 1.0
        return (whole - done) * stretch


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
