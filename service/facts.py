"""The service's rows and settings as the training engine wants to see them."""

from service.settings import Settings
from service.store.datasets import Dataset
from workers.resolve import DatasetFacts, Limits


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
