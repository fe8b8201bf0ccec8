"""How answers of the API look on a terminal: numbers, times, names with values, tables. `…_rendering` say of what."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.connection import Answer

IDS = frozenset({"id", "job"})
"""Columns that are never cut or broken."""
LONGEST_WORD = 16
"""A longer one is broken over lines of its column."""
COLUMN_GAP = 2
STYLES = {"succeeded": "green", "ready": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}

Row = tuple[str, object]


def printable(text: object) -> str:
    """The text without characters that could move the cursor or end the line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def figure(value: object) -> str:
    """A number as people read it; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else printable(value)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `2:03:05`."""
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def moment(time: str | None) -> str:
    """`2026-11-24 10:00:00`, in UTC as the API gives it."""
    return "–" if time is None else printable(time)[:19].replace("T", " ")


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(printable(status), STYLES.get(status, ""))


def show_pairs(console: Console, title: str | None, rows: Iterable[Row]) -> None:
    """A title, if there is one, and indented names with their values."""
    if title is not None:
        console.print(Text(printable(title), "bold"), soft_wrap=True)
    shown = [(name, value if isinstance(value, Text) else Text(printable(value))) for name, value in rows]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        console.print(Text.assemble((f"  {name:<{width}}  ", "dim"), value), soft_wrap=True)


def new_table(*columns: str, widths: Sequence[int] = ()) -> Table:
    """A table without lines; of the `widths` that are given, else as wide as its columns need and the terminal has."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip_longest(columns, widths):
        table.add_column(Text(printable(name)), overflow="fold", width=width)
    return table


def show_list(console: Console, page: Answer, columns: Mapping[str, Callable[[Answer], object]], if_empty: str) -> None:
    """A page of a list as a table, or as lines for each element where the terminal has no room for a table.

    `if_empty` says what to do where there is nothing.
    """
    if not page["data"]:
        console.print(if_empty, markup=False)
        return
    rows = [[_cell(column(item)) for column in columns.values()] for item in page["data"]]
    widths = _widths([*columns], rows, console.width)
    if widths:
        table = new_table(*columns, widths=widths)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    else:
        for row in rows:
            show_pairs(console, None, [pair for pair in zip(columns, row, strict=True) if pair[1].plain])
            console.print()
    if page["has_more"]:
        console.print(Text(f"There are more: --after {printable(page['last_id'])}", "dim"), soft_wrap=True)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(figure(value))


def _widths(names: Sequence[str], rows: Sequence[Sequence[Text]], room: int) -> list[int]:
    """The width of each column; none where there is no room. The widest gives way first, an id not at all."""
    wanted, least = [], []
    for place, name in enumerate(names):
        texts = [name, *(row[place].plain for row in rows)]
        words = texts if name in IDS else [word for text in texts for word in text.split()]
        longest = max(map(cell_len, words))
        wanted.append(max(map(cell_len, texts)))
        least.append(longest if name in IDS else min(longest, LONGEST_WORD))
    room -= COLUMN_GAP * (len(names) - 1)
    if sum(least) > room:
        return []
    for _ in range(sum(wanted) - room):
        widest = max((width, place) for place, width in enumerate(wanted) if width > least[place])[1]
        wanted[widest] -= 1
    return wanted
