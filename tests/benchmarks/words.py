"""Figures and variants as a reader wants them."""

from collections.abc import Mapping
from typing import Any


def milliseconds(seconds: float) -> str:
    """Three figures that count."""
    return f"{1000 * seconds:.3g}" if seconds < 1 else f"{1000 * seconds:.0f}"


def in_words(choices: Mapping[str, Any]) -> str:
    """The choices in words; a flag that is off says nothing."""
    words = []
    for name, value in choices.items():
        if value is True:
            words.append(name)
        elif value is None:
            words.append("one go")
        elif value is not False:
            words.append(f"{name} {value}".replace("_", " "))
    return ", ".join(words)
