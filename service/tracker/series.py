"""A job's figures as the record has them: in batches for MLflow, and all of them for the files of its run."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from service.store import metrics
from service.store.database import Database, Transaction
from service.store.metrics import Chunk
from service.tracker.points import points
from service.tracker.words import milliseconds

LARGEST_BATCH = 1000
"""Metrics that MLflow takes in one request."""
CHUNKS_AT_ONCE = 64
RENAMED = {"seconds": "epoch_seconds"}


class Point(NamedTuple):
    """One figure of one epoch. `at` is in milliseconds since 1970, the same whenever it is asked for."""

    name: str
    value: float
    at: int
    epoch: int


class Batch(NamedTuple):
    """What to send next, and the epoch up to which MLflow then knows everything."""

    points: list[Point]
    last_epoch: int


def next_batch(connection: Transaction, job_id: str, after: int, epochs: int, max_points: int) -> Batch:
    """The figures behind epoch `after` that the rule of `points` chooses, as many as MLflow takes in one request."""
    found: list[Point] = []
    last_epoch = after
    for chunk in metrics.chunks(connection, job_id, after):
        for epoch in points(max(after, chunk.first_epoch - 1), chunk.last_epoch, epochs, max_points):
            figures = points_of(chunk, epoch)
            if len(found) + len(figures) > LARGEST_BATCH:
                return Batch(found, last_epoch)
            found += figures
            last_epoch = epoch
        last_epoch = chunk.last_epoch
    return Batch(found, last_epoch)


def points_of_epochs(connection: Transaction, job_id: str, epochs: list[int]) -> list[Point]:
    """The figures of the given epochs; none of an epoch that is not recorded."""
    found = []
    for epoch in epochs:
        chunk = next(metrics.chunks(connection, job_id, epoch - 1), None)
        if chunk is not None and chunk.first_epoch <= epoch:
            found += points_of(chunk, epoch)
    return found


def points_of(chunk: Chunk, epoch: int) -> list[Point]:
    """The figures of one epoch of `chunk`, without those that are null."""
    place, at = epoch - chunk.first_epoch, milliseconds(chunk.recorded_at)
    figures = ((name, values[place]) for name, values in chunk.columns.items() if name != "epoch")
    return [Point(shown(name), float(v), at, epoch) for name, v in figures if is_figure(v)]


def is_figure(value: object) -> bool:
    """Whether MLflow may have it: null has no meaning there, and Inf would be stored as a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def shown(name: str) -> str:
    """A column's name as the contract has it for MLflow."""
    return RENAMED.get(name, name)


def all_chunks(database: Database, job_id: str) -> Iterator[Chunk]:
    """Every chunk of a job in order, some of them in a transaction: nobody's commit waits for the reader."""
    after = 0
    while True:
        with database.read() as connection:
            found = list(islice(metrics.chunks(connection, job_id, after), CHUNKS_AT_ONCE))
        yield from found
        if len(found) < CHUNKS_AT_ONCE:
            return
        after = found[-1].last_epoch
