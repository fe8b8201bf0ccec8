"""Webhooks to send: a row for each, written in the transaction of what it tells of."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from service.store.database import now
from service.store.tables import notifications

LONGEST_ERROR = 2000


@dataclass(frozen=True)
class Notification:
    """A webhook as the record has it; it is due while `next_attempt_at` is not null."""

    sequence: int
    id: str
    project: str
    object_id: str
    event: str
    url: str
    secret_env: str
    body: dict[str, Any]
    created_at: str
    attempts: int
    next_attempt_at: str | None
    delivered_at: str | None
    error: str | None


def add(
    connection: Connection, notify: Mapping[str, Any] | None, *, project: str, object_id: str, event: str, data: object
) -> None:
    """Have `data` sent to where `notify` says, if it wants to know of such an event."""
    if notify is None or event not in notify["events"]:
        return
    at = now()
    values = {
        "id": f"evt_{secrets.token_hex(12)}",
        "project": project,
        "object_id": object_id,
        "event": event,
        "url": notify["url"],
        "secret_env": notify["secret_env"],
        "body": {"type": event, "timestamp": at, "data": data},
        "created_at": at,
        "attempts": 0,
        "next_attempt_at": at,
    }
    connection.execute(notifications.insert().values(values))


def due(connection: Connection, at: str, limit: int, busy: Collection[str] = ()) -> list[Notification]:
    """Those whose next attempt is due, the oldest of each address that is not `busy`: its others wait for it."""
    columns = notifications.c
    oldest = select(func.min(columns.sequence)).where(columns.next_attempt_at <= at, columns.url.not_in(busy))
    query = select(notifications).where(columns.sequence.in_(oldest.group_by(columns.url)))
    rows = connection.execute(query.order_by(columns.sequence).limit(limit)).mappings()
    return [Notification(**row) for row in rows]


def claim(connection: Connection, found: Notification, next_attempt_at: str | None) -> bool:
    """Take an attempt, before it is made; whether nobody else did. The next is due at `next_attempt_at`, if ever."""
    updated = connection.execute(
        notifications.update()
        .where(notifications.c.id == found.id, notifications.c.attempts == found.attempts)
        .where(notifications.c.next_attempt_at.is_not(None))
        .values(attempts=found.attempts + 1, next_attempt_at=next_attempt_at)
    )
    return updated.rowcount > 0


def delivered(connection: Connection, notification_id: str) -> None:
    """Its receiver has it."""
    changes = {"delivered_at": now(), "next_attempt_at": None, "error": None}
    connection.execute(notifications.update().where(notifications.c.id == notification_id).values(changes))


def failed(connection: Connection, notification_id: str, error: str) -> None:
    """Its receiver does not have it, or did not say so."""
    query = notifications.update().where(notifications.c.id == notification_id, notifications.c.delivered_at.is_(None))
    connection.execute(query.values(error=error[:LONGEST_ERROR]))


def of_object(connection: Connection, object_id: str) -> list[Notification]:
    """The webhooks about a job or a schedule, oldest first."""
    query = select(notifications).where(notifications.c.object_id == object_id).order_by(notifications.c.sequence)
    return [Notification(**row) for row in connection.execute(query).mappings()]


def newest(connection: Connection, object_id: str, limit: int) -> list[Notification]:
    """The last webhooks about a job or a schedule, newest first."""
    query = select(notifications).where(notifications.c.object_id == object_id)
    query = query.order_by(notifications.c.sequence.desc()).limit(limit)
    return [Notification(**row) for row in connection.execute(query).mappings()]


def delete(connection: Connection, object_id: str) -> None:
    """Forget the webhooks about an object, sent or not."""
    connection.execute(notifications.delete().where(notifications.c.object_id == object_id))
