"""Fetches what a URI names into a file or folder of ours: bounded in bytes here, in time by who calls."""

import hashlib
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from service.addresses import Resolver, resolve
from service.imports.failures import fetch_failed
from service.imports.files import entries_below, is_folder_below, open_below
from service.imports.folder import files_of, folder_sha256
from service.imports.http import get
from service.imports.s3 import Bucket, list_objects, read_object
from service.progress import SILENT, Progress
from service.uris import FilePlace, HttpPlace, Rules, S3Place, parse_uri
from workers.files import remove, sync_directory

CHUNK_BYTES = 2**18


class Fetched(NamedTuple):
    """What was fetched."""

    sha256: str
    bytes: int


Cut = Callable[[Iterable[bytes]], Iterable[bytes]]
"""What of a file's chunks is kept."""
Read = Callable[[str], Generator[bytes]]
"""The chunks of a folder's file with this name."""


def fetch(
    uri: str,
    rules: Rules,
    s3: Bucket,
    limit_bytes: int,
    destination: Path,
    resolver: Resolver = resolve,
    cut: Cut = iter,
    progress: Progress = SILENT,
) -> Fetched:
    """Puts what `uri` names at `destination`, synced: a file, or a directory with the files of a folder.

    DataError `uri_not_allowed` where the rules forbid it (they are applied to the URI again, and to each address and
    redirect), `fetch_failed` where it can't be fetched. A part may be left at `destination` then. Of each file, what
    `cut` lets pass is put there. `progress` is told the bytes, of all where those are announced: not of a folder.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    remove(destination)  # what an earlier attempt left
    progress.begin("fetching", None)
    match parse_uri(uri, rules):
        case HttpPlace() as place:
            with get(place, rules, resolver, limit_bytes, progress) as chunks:
                return _save(cut(chunks), limit_bytes, destination, progress)
        case S3Place(bucket, prefix) if prefix.endswith("/"):
            entries, read = list_objects(bucket, prefix, s3), lambda name: read_object(bucket, prefix + name, s3)
            return _save_folder(entries, read, limit_bytes, destination, cut, progress)
        case S3Place(bucket, key):
            with closing(read_object(bucket, key, s3, progress)) as chunks:
                return _save(cut(chunks), limit_bytes, destination, progress)
        case FilePlace(path):
            roots = rules.import_roots
            if is_folder_below(path, roots):
                entries, read = entries_below(path, roots), lambda name: _read(f"{path}/{name}", roots)
                return _save_folder(entries, read, limit_bytes, destination, cut, progress)
            with closing(_read(path, roots, progress)) as chunks:
                return _save(cut(chunks), limit_bytes, destination, progress)


@contextmanager
def time_limit(seconds: float, limit: str = "which GRADSUM_LIMIT_FETCH_SECONDS allows") -> Iterator[None]:
    """DataError `fetch_failed` in whatever runs here when the time is over. In the main thread of a process only."""

    def on_alarm(*_: Any) -> NoReturn:  # noqa: ANN401 - a signal's number and frame
        raise fetch_failed(f"it took longer than {seconds:g} seconds, {limit}")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _read(path: str, roots: Sequence[str], progress: Progress = SILENT) -> Generator[bytes]:
    with open_below(path, roots) as file:
        progress.expect(os.fstat(file.fileno()).st_size)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _save_folder(
    entries: Iterable[tuple[str, bool]], read: Read, limit_bytes: int, destination: Path, cut: Cut, progress: Progress
) -> Fetched:
    destination.mkdir()
    files, n_bytes = [], 0
    for name in files_of(entries):
        with closing(read(name)) as chunks:
            saved = _save(cut(chunks), limit_bytes, destination / name, progress, n_bytes)
        files.append((name, saved.sha256))
        n_bytes += saved.bytes
    return Fetched(folder_sha256(files), n_bytes)


def _save(chunks: Iterable[bytes], limit_bytes: int, destination: Path, progress: Progress, before: int = 0) -> Fetched:
    """The file at `destination`; together with `before` it has no more than `limit_bytes`."""
    digest, n_bytes = hashlib.sha256(), 0
    with destination.open("wb") as file:
        for chunk in chunks:
            n_bytes += len(chunk)
            if before + n_bytes > limit_bytes:
                raise fetch_failed(f"it has more than {limit_bytes:,} bytes, the limit of an upload")
            digest.update(chunk)
            file.write(chunk)
            progress.at(before + n_bytes)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(destination.parent)
    return Fetched(digest.hexdigest(), n_bytes)
