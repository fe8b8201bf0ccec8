"""An uploaded file on its way to a dataset: copied into the storage, hashed, looked at, registered."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from service import head, ingest
from service.errors import Problem, UnprocessableError
from service.facts import data_limits_of
from service.paths import upload_path
from service.requests import clean_dataset_name, parse_json
from service.settings import Settings
from service.store import datasets
from service.store.database import Transaction
from service.store.datasets import Dataset
from workers.files import sync_directory
from workers.storage import Storage, StorageUnavailableError

CHUNK_BYTES = 2**20


class Upload(NamedTuple):
    """What came with the file, checked."""

    name: str
    options: dict[str, object]
    tags: dict[str, str]
    file_name: str


class Received(NamedTuple):
    """A file that came, on disk under the id of the dataset that it may become."""

    dataset_id: str
    path: Path
    sha256: str
    n_bytes: int
    stay: Callable[[], object]
    """To be called once a dataset refers to it: else it goes."""


def read_upload(name: str | None, options: str | None, tags: str | None, file_name: str | None) -> Upload:
    """The upload's fields; UnprocessableError or DataError where one is wrong."""
    bare_name = PurePosixPath((file_name or "").replace("\\", "/")).name
    found_options = _object("options", options)
    ingest.check_options(found_options)
    return Upload(
        name=clean_dataset_name(PurePosixPath(bare_name).stem if name is None else name),
        options=found_options,
        tags=_tags(tags),
        file_name=bare_name,
    )


@contextlib.contextmanager
def received(storage: Storage, file: BinaryIO) -> Iterator[Received]:
    """The file's copy on disk, for a dataset with the copy's id; it is gone afterwards unless told to `stay`."""
    dataset_id = datasets.new_id()
    path = upload_path(storage.root, dataset_id)
    with contextlib.ExitStack() as undo:
        undo.callback(_drop, storage, path)
        sha256, n_bytes = _copy(file, path)
        yield Received(dataset_id, path, sha256, n_bytes, undo.pop_all)


def check(copy: Received, upload: Upload, settings: Settings, storage: Storage) -> None:
    """Have the copy in the storage; DataError where its head is wrong, or it isn't the file that was announced."""
    ingest.check_sha256(copy.sha256, upload.options)
    head.check_head(copy.path, upload.options, data_limits_of(settings))
    storage.keep(copy.path)


def add(connection: Transaction, copy: Received, upload: Upload, project: str, actor: str) -> Dataset:
    """The dataset: a new one with the id of the copy, or the one that has this content."""
    dataset, _ = datasets.add(
        connection,
        id=copy.dataset_id,
        project=project,
        actor=actor,
        name=upload.name,
        options=upload.options,
        source={"kind": "upload", "file": upload.file_name},
        sha256=copy.sha256,
        content_key=ingest.content_key(copy.sha256, upload.options),
        bytes=copy.n_bytes,
        tags=upload.tags,
    )
    return dataset


def preview(settings: Settings, upload: Upload, file: BinaryIO) -> dict[str, Any]:
    """What `register` would understand of the file. Nothing is registered, and no file is left."""
    path = upload_path(settings.storage, datasets.new_id())
    try:
        sha256, n_bytes = _copy(file, path)
        ingest.check_sha256(sha256, upload.options)
        understood = head.preview(path, upload.options, data_limits_of(settings))
    finally:
        path.unlink(missing_ok=True)
    return {**understood, "name": upload.name, "bytes": n_bytes, "options": upload.options}


def _drop(storage: Storage, path: Path) -> None:
    with contextlib.suppress(StorageUnavailableError):  # the sweep takes what is left
        storage.drop(path)


def _copy(file: BinaryIO, path: Path) -> tuple[str, int]:
    """SHA-256 and size of what is on disk at `path` afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("xb") as copy:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
        n_bytes = copy.tell()
    sync_directory(path.parent)
    return digest.hexdigest(), n_bytes


def _tags(text: str | None) -> dict[str, str]:
    tags = _object("tags", text)
    wrong = next((key for key, value in tags.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise UnprocessableError(f"tags.{wrong} must be text.", field=f"tags.{wrong}")
    return {key: str(value) for key, value in tags.items()}


def _object(field: str, text: str | None) -> dict[str, object]:
    if text is None or not text.strip():
        return {}
    try:
        value = parse_json(text.encode(errors="surrogatepass"))
    except Problem as problem:
        detail = f"{field}: {problem.detail.replace('The body', 'The text')}"
        raise UnprocessableError(detail, code=problem.code, field=field) from None
    if not isinstance(value, dict):
        raise UnprocessableError(f"{field} must be a JSON object.", field=field)
    return value
