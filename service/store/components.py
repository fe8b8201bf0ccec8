"""What the processes say of themselves and of what they use, for /readyz; and who leads."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from service.store.database import now
from service.store.tables import components, leases


@dataclass(frozen=True)
class Component:
    """The last word of a part of the service about itself."""

    name: str
    status: str  # ok | degraded
    details: dict[str, Any]
    reported_at: str


def report(connection: Connection, name: str, status: str, details: dict[str, Any]) -> None:
    """Record a component's state."""
    values = {"status": status, "details": details, "reported_at": now()}
    if connection.execute(components.update().where(components.c.name == name).values(**values)).rowcount == 0:
        connection.execute(components.insert().values(name=name, **values))


def listed(connection: Connection) -> list[Component]:
    """Every component that has ever reported."""
    rows = connection.execute(select(components).order_by(components.c.name)).mappings()
    return [Component(**row) for row in rows]


def worker_slots(connection: Connection) -> int | None:
    """How many workers the cluster runs at once, as the dispatcher saw it last."""
    details = connection.scalar(select(components.c.details).where(components.c.name == "cluster")) or {}
    slots: int | None = details.get("worker_slots")
    return slots


def lease(connection: Connection, name: str) -> tuple[str, int] | None:
    """Who holds a lease, and its counter."""
    row = connection.execute(select(leases.c.owner, leases.c.counter).where(leases.c.name == name)).first()
    return None if row is None else (row[0], row[1])


def take_lease(connection: Connection, name: str, owner: str, seen: tuple[str, int] | None) -> bool:
    """Become (or stay) the owner if the lease is as the caller saw it; whether that worked."""
    if seen is None:
        connection.execute(leases.insert().values(name=name, owner=owner, counter=1))
        return True
    updated = connection.execute(
        leases.update()
        .where(leases.c.name == name, leases.c.owner == seen[0], leases.c.counter == seen[1])
        .values(owner=owner, counter=seen[1] + 1)
    )
    return updated.rowcount > 0
