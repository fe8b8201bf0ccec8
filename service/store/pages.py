"""Lists a page at a time: newest first, continued after the last id that the caller has seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, select
from sqlalchemy.engine import RowMapping


class Page(NamedTuple):
    """Some rows of a list, and whether there are more behind them."""

    rows: Sequence[RowMapping]
    has_more: bool


class UnknownCursorError(Exception):
    """The id that a list was to continue after is not in it."""


def page(connection: Connection, table: Table, query: Select[Any], limit: int, after: str | None) -> Page:
    """The next `limit` rows of `query`, newest first, behind the row with id `after`."""
    if after is not None:
        sequence = connection.execute(select(table.c.sequence).where(table.c.id == after)).scalar()
        if sequence is None:
            raise UnknownCursorError(after)
        query = query.where(table.c.sequence < sequence)
    rows = connection.execute(query.order_by(table.c.sequence.desc()).limit(limit + 1)).mappings().all()
    return Page(rows[:limit], len(rows) > limit)
