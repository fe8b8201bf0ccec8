"""Fetches what a URI names into a file of ours: bounded in bytes here, in time by who calls."""

import hashlib
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from service.addresses import Resolver, resolve
from service.imports.failures import fetch_failed
from service.imports.files import open_below
from service.imports.http import get
from service.imports.s3 import Bucket, read_object
from service.uris import FilePlace, HttpPlace, Rules, S3Place, parse_uri
from workers.files import sync_directory

CHUNK_BYTES = 2**18


class Fetched(NamedTuple):
    """What was fetched."""

    sha256: str
    bytes: int


def fetch(
    uri: str, rules: Rules, s3: Bucket, limit_bytes: int, destination: Path, resolver: Resolver = resolve
) -> Fetched:
    """Puts what `uri` names at `destination`, synced.

    DataError `uri_not_allowed` where the rules forbid it (they are applied to the URI again, and to each address and
    redirect), `fetch_failed` where it can't be fetched. A part may be left at `destination` then.
    """
    match parse_uri(uri, rules):
        case HttpPlace() as place:
            with get(place, rules, resolver, limit_bytes) as chunks:
                return _save(chunks, limit_bytes, destination)
        case S3Place(bucket, key):
            with closing(read_object(bucket, key, s3)) as chunks:
                return _save(chunks, limit_bytes, destination)
        case FilePlace(path):
            with open_below(path, rules.import_roots) as file:
                return _save(iter(lambda: file.read(CHUNK_BYTES), b""), limit_bytes, destination)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """DataError `fetch_failed` in whatever runs here when the time is over. In the main thread of a process only."""

    def on_alarm(*_: Any) -> NoReturn:  # noqa: ANN401 - a signal's number and frame
        raise fetch_failed(f"it took longer than {seconds:g} seconds, which GRADSUM_LIMIT_FETCH_SECONDS allows")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _save(chunks: Iterable[bytes], limit_bytes: int, destination: Path) -> Fetched:
    destination.parent.mkdir(parents=True, exist_ok=True)
    digest, n_bytes = hashlib.sha256(), 0
    with destination.open("wb") as file:
        for chunk in chunks:
            n_bytes += len(chunk)
            if n_bytes > limit_bytes:
                raise fetch_failed(f"it has more than {limit_bytes:,} bytes, the limit of an upload")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(destination.parent)
    return Fetched(digest.hexdigest(), n_bytes)
