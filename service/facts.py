"""The service's rows and settings as the training engine wants to see them."""

from typing import Any, NamedTuple

from service.decisions import BEING_READ
from service.settings import Settings
from service.store.datasets import Dataset, DatasetOutline
from workers.resolve import DatasetFacts, Limits

DOING = {"fetching": "fetched", "reading": "read"}
"""What is done to a dataset in the phases that take long."""


class Sources(NamedTuple):
    """The datasets of a job: the one that trains, and the one whose rows validate, if there is one."""

    dataset: DatasetOutline
    validation: DatasetOutline | None = None

    @property
    def status(self) -> str:
        """`ready` where all are, else what stands in the way: `failed` or `preparing`."""
        found = {dataset.status for dataset in self if dataset is not None}
        return next((status for status in ("failed", "preparing") if status in found), "ready")

    @property
    def error(self) -> dict[str, Any] | None:
        """Why one of them can't be used."""
        return next((dataset.error for dataset in self if dataset is not None and dataset.status == "failed"), None)

    @property
    def how_far(self) -> str:
        """What a job says that waits for them. In steps of 10 %: each is a write for each job that waits."""
        for dataset in filter(None, self):
            progress = dataset.progress
            if progress and progress["phase"] in DOING and progress["of"]:
                tenths = 10 * progress["done"] // progress["of"]
                name = f"{dataset.name}@{dataset.version}"
                return f"Dataset '{name}' is being {DOING[progress['phase']]}: {10 * tenths} %."
        return BEING_READ


def facts_of(dataset: Dataset) -> DatasetFacts:
    """What resolving a spec needs to know of a dataset that is ready."""
    return DatasetFacts(dataset.id, dataset.name, dataset.rows or 0, dataset.columns or [])


def limits_of(settings: Settings) -> Limits:
    """What a job may ask for at most."""
    return Limits(settings.limit_parameters, settings.limit_epochs, settings.limit_shards, settings.limit_workers)


def data_limits_of(settings: Settings) -> dict[str, int]:
    """What a file may hold at most, and what reading it may take."""
    return {
        "columns": settings.limit_columns,
        "rows": settings.limit_rows,
        "bytes": settings.limit_upload_bytes,
        "memory_bytes": settings.limit_ingest_memory_bytes,
    }
