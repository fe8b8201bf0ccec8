"""Names as a picture can show them: in one line, not too long, in letters that a font of this machine has."""

import unicodedata
from collections.abc import Sequence
from functools import cache

from matplotlib import font_manager

FONTS = (
    *("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAGothic"),
    *("Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "MS Gothic", "Malgun Gothic"),
    *("Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Hebrew", "Noto Sans Thai", "Arial Unicode MS"),
)
"""Looked for in this order, letter by letter; the first comes with matplotlib."""
WIDE = {"W", "F"}
"""Unicode's names for letters that are as wide as they are high."""


@cache
def fonts() -> dict[str, frozenset[int]]:
    """Those of `FONTS` that are here, with the letters that they have in every weight."""
    found: dict[str, frozenset[int]] = {}
    for font in font_manager.fontManager.ttflist:
        if font.name in FONTS and font.style == "normal":
            letters = frozenset(font_manager.get_font(font.fname).get_charmap())
            found[font.name] = found.get(font.name, letters) & letters
    return {name: found[name] for name in FONTS if name in found}


def labels_of(classes: Sequence[object], longest: int) -> list[str]:
    """A label for each class, as `drawable` makes it; `class 7` for the seventh where no font can show it.

    Where two look the same, all begin with their number.
    """
    labels = [drawable(name, longest) or f"class {place}" for place, name in enumerate(classes, start=1)]
    if len(set(labels)) == len(labels):
        return labels
    return [cut(f"{place}: {label}", longest) for place, label in enumerate(labels, start=1)]


def drawable(name: object, longest: int) -> str | None:
    """The name in one line, cut to the width of `longest` narrow letters; None where no font has all its letters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())
    can_be_shown = all(any(ord(c) in letters for letters in fonts().values()) for c in text)
    return cut(text, longest) if text and can_be_shown else None


def width(text: str) -> int:
    """In narrow letters; those of Chinese, Japanese and Korean count twice."""
    return sum(2 if unicodedata.east_asian_width(c) in WIDE else 1 for c in text)


def cut(text: str, longest: int) -> str:
    """`text`; where it is wider than `longest`, its beginning and its end with … between them."""
    if width(text) <= longest:
        return text
    first, last = text[:longest], text[: -longest - 1 : -1]
    while width(first) > longest // 2:
        first = first[:-1]
    while width(last) >= longest - longest // 2:
        last = last[:-1]
    return f"{first.rstrip()}…{last[::-1].lstrip()}"
