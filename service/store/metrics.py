"""A job's series, in chunks of columns: one row of SQL for each second of training, however many epochs it had."""

import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from service.store.database import now
from service.store.tables import metric_chunks

Columns = dict[str, list[Any]]
"""Equally long lists of numbers or null by name; `epoch` counts up by one."""


FETCHED = 32
"""Chunks in one query."""


class Chunk(NamedTuple):
    """Some consecutive epochs, and the time that the record fixed for all of them."""

    first_epoch: int
    last_epoch: int
    recorded_at: str
    columns: Columns


def append(connection: Connection, job_id: str, columns: Columns) -> None:
    """Keep the epochs that are not kept yet; the others (repeated by a later attempt) are the same numbers."""
    skip = last_epoch(connection, job_id) + 1 - columns["epoch"][0] if columns["epoch"] else 0
    fresh = {name: values[max(skip, 0) :] for name, values in columns.items()}
    if not fresh.get("epoch"):
        return
    connection.execute(
        metric_chunks.insert().values(
            job_id=job_id,
            first_epoch=fresh["epoch"][0],
            last_epoch=fresh["epoch"][-1],
            recorded_at=now(),
            columns=_packed(fresh),
        )
    )


def cut(connection: Connection, job_id: str, last: int) -> None:
    """Forget the epochs behind `last`: an earlier attempt came further, or computed with other numerics."""
    for chunk in list(chunks(connection, job_id, last)):
        row = (metric_chunks.c.job_id == job_id) & (metric_chunks.c.first_epoch == chunk.first_epoch)
        kept = {name: values[: max(last + 1 - chunk.first_epoch, 0)] for name, values in chunk.columns.items()}
        if kept["epoch"]:
            changes = {"last_epoch": last, "columns": _packed(kept)}
            connection.execute(metric_chunks.update().where(row).values(changes))
        else:
            connection.execute(metric_chunks.delete().where(row))


def last_epoch(connection: Connection, job_id: str) -> int:
    """The last epoch that is kept, or 0."""
    query = select(func.max(metric_chunks.c.last_epoch)).where(metric_chunks.c.job_id == job_id)
    return connection.execute(query).scalar() or 0


def chunks(connection: Connection, job_id: str, after_epoch: int = 0) -> Iterator[Chunk]:
    """The chunks that hold epochs behind `after_epoch`, in order, whole.

    Some rows are fetched at a time, each time all of them: a cursor left open would keep SQLite's lock.
    """
    query = select(metric_chunks).where(metric_chunks.c.job_id == job_id).order_by(metric_chunks.c.first_epoch)
    while some := connection.execute(query.where(metric_chunks.c.last_epoch > after_epoch).limit(FETCHED)).all():
        for row in some:
            columns: Columns = json.loads(zlib.decompress(row.columns))
            yield Chunk(row.first_epoch, row.last_epoch, row.recorded_at, columns)
        after_epoch = some[-1].last_epoch


def rows(connection: Connection, job_id: str, after_epoch: int, limit: int) -> tuple[list[dict[str, object]], bool]:
    """At most `limit` epochs behind `after_epoch`, a dictionary each, and whether there are more."""
    found: list[dict[str, object]] = []
    for chunk in chunks(connection, job_id, after_epoch):
        names = list(chunk.columns)
        for values in zip(*chunk.columns.values(), strict=True):
            row = dict(zip(names, values, strict=True))
            if row["epoch"] > after_epoch:
                found.append(row)
        if len(found) > limit:
            return found[:limit], True
    return found, False


def _packed(columns: Columns) -> bytes:
    return zlib.compress(json.dumps(columns, allow_nan=False).encode())
