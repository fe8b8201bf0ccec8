"""How far datasets are, as the children say it: recorded once a second for each, where it has changed."""

import time
from collections.abc import Callable
from typing import Any

from service.child import OnProgress
from service.store import datasets
from service.store.database import Database
from service.store.datasets import DatasetOutline

RECORD_SECONDS = 1.0

Said = dict[str, Any] | None


class Advancing:
    """Holds the last word on each dataset that a child was asked for."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._said: dict[str, Said] = {}
        self._recorded: dict[str, Said] = {}
        self._record_at: dict[str, float] = {}

    def begin(self, dataset: DatasetOutline) -> OnProgress:
        """What a child calls that is asked for the dataset. What an earlier one has said counts no more.

        One that is ready within a second is not recorded.
        """
        self._said[dataset.id] = None
        self._recorded[dataset.id] = dataset.progress
        self._record_at[dataset.id] = self._clock() + (0.0 if dataset.progress else RECORD_SECONDS)

        def say(progress: dict[str, Any]) -> None:
            self._said[dataset.id] = progress

        return say

    def over(self, dataset_id: str) -> None:
        """No child works on it any more."""
        for kept in (self._said, self._recorded, self._record_at):
            kept.pop(dataset_id, None)

    def record(self) -> None:
        """Write what is new, if it is time to."""
        moment = self._clock()
        new = {
            dataset_id: progress
            for dataset_id, progress in self._said.items()
            if progress != self._recorded[dataset_id] and moment >= self._record_at[dataset_id]
        }
        if not new:
            return
        with self._database.write() as connection:
            for dataset_id, progress in new.items():
                datasets.advance(connection, dataset_id, progress)
        self._recorded |= new
        self._record_at |= dict.fromkeys(new, moment + RECORD_SECONDS)
