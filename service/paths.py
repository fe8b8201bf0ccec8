"""Where things lie below the storage directory."""

from pathlib import Path

from service.store.jobs import Job


def upload_path(storage: Path, dataset_id: str) -> Path:
    """The raw bytes of an upload, until they are read into column files; a directory for a folder that was fetched."""
    return storage / "uploads" / dataset_id


def columns_directory(storage: Path, content_key: str) -> Path:
    """The column files of a dataset's content."""
    return storage / "datasets" / content_key


def job_directory(storage: Path, job_id: str) -> Path:
    """Everything that the attempts of a job wrote."""
    return storage / "jobs" / job_id


def start_path(storage: Path, job_id: str) -> Path:
    """The weights that a job starts from where they are not drawn."""
    return job_directory(storage, job_id) / "start.npz"


def model_directory(storage: Path, job: Job) -> Path:
    """The trained model of a job that succeeded: `model.json` and `weights.npz`."""
    return job_directory(storage, job.id) / "attempts" / str(job.attempt) / "model"
