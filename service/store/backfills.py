"""What a backfill that may be asked for again makes up for: fixed when it begins, so that it can be taken up again."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from service.store.database import now
from service.store.firings import Firing
from service.store.tables import backfills


@dataclass(frozen=True)
class Backfill:
    """The due times of a schedule that had no job when it began."""

    id: str
    schedule_id: str
    created_at: str
    due_times: Sequence[str]

    def has_made(self, firing: Firing) -> bool:
        """Whether the firing of one of these due times is from it, and not from before."""
        return firing.backfill and firing.fired_at >= self.created_at


def begin(schedule_id: str, due_times: Sequence[str]) -> Backfill:
    """One that begins now, in no record yet."""
    return Backfill(f"bf_{secrets.token_hex(12)}", schedule_id, now(), due_times)


def add(connection: Connection, backfill: Backfill) -> None:
    """Record that it has begun."""
    connection.execute(backfills.insert().values(**vars(backfill)))


def get(connection: Connection, backfill_id: str) -> Backfill | None:
    """The one with this id."""
    row = connection.execute(select(backfills).where(backfills.c.id == backfill_id)).mappings().first()
    return None if row is None else Backfill(**row)
