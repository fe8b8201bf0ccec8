"""How much of their texts the columns of a file may keep in memory together, and which of them lets go of its own.

What may be a category without having been declared one is not counted: at most 1 000 short texts a column.
"""

from collections.abc import Callable
from typing import NamedTuple

MOST_BYTES = 2**26
BYTES_OF_A_TEXT = 100
"""What a text takes beside its own bytes."""


class Kept(NamedTuple):
    """What a column keeps."""

    n_bytes: int
    is_category: bool
    """It is declared one: it can't do without its texts."""
    let_go: Callable[[], None]


class TextMemory:
    """Adds up what all columns of a file keep."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[int, Kept] = {}
        self._n_bytes = 0

    def forget(self, place: int) -> None:
        """The column at this place keeps nothing any more."""
        if place in self._kept:
            self._n_bytes -= self._kept.pop(place).n_bytes

    def note(self, place: int, kept: Kept) -> None:
        """What the column at this place keeps now. Where all keep too much, those with most let go until half is left.

        Declared categories are the last to be asked, and only for what is still too much.
        """
        self.forget(place)
        self._kept[place] = kept
        self._n_bytes += kept.n_bytes
        if self._n_bytes <= self._most_bytes:
            return
        for other, most in sorted(self._kept.items(), key=lambda item: (item[1].is_category, -item[1].n_bytes)):
            if self._n_bytes <= (self._most_bytes if most.is_category else self._most_bytes // 2):
                return
            self.forget(other)
            most.let_go()
