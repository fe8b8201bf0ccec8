"""Where files are kept that cross processes: a directory that all of them see, or a bucket with a copy on each node.

Every file in it is written once, whole, and never changed. Paths lie below `root` in both cases.
"""

import errno
import math
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from workers.files import remove

AWAY = "the storage did not answer"
"""Why an attempt ended whose driver could not bring or keep its files."""
REFUSED = "waiting_for_storage"
"""The code of a job's reason to wait where an attempt was refused because its storage can't be used."""
MATRIX_GONE = "its training matrix is not in the storage any more"
"""Why an attempt ended before which the matrix has to be built again."""
SCHEME = "s3://"
CACHE_BYTES = 20 * 10**9
CACHE = "storage-cache"
"""Below the data directory, where the copies of a bucket lie: never where a directory was the storage itself."""


class StorageUnavailableError(Exception):
    """The storage can't be used now, in a sentence; `refused` where it will not be before its operator acts."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Kept(NamedTuple):
    """Something in the storage, and when it, or something in it, was last changed (seconds since 1970)."""

    path: Path
    touched: float


class Storage(Protocol):
    """What the parts of the service need of the storage. All but `listed` and `drop` may be repeated at will.

    StorageUnavailableError from everything that asks a bucket.
    """

    root: Path
    url: str
    """The bucket's address; empty for a directory."""
    slowest_bytes_per_second: float
    """What `bring` manages at least."""

    def bring(self, path: Path) -> bool:
        """Have the file or the directory here, whole; whether it is."""
        ...

    def hold(self, path: Path) -> AbstractContextManager[bool]:
        """`bring` it, and have it stay here inside the block; whether it is here."""
        ...

    def keep(self, path: Path) -> None:
        """Let everyone have the file or the directory, which is complete."""
        ...

    def distrust(self, path: Path) -> bool:
        """What is here is damaged: whether it is only a copy, and gone now, so that `bring` fetches another one."""
        ...

    def drop(self, path: Path) -> None:
        """Take it away, here and for everyone."""
        ...

    def reach(self) -> None:
        """Nothing, where the storage answers."""
        ...

    def check(self) -> None:
        """Nothing, where the storage can be written and read."""
        ...

    def listed(self, place: str) -> list[Kept]:
        """What is right below a directory of the storage; not what is still being made there."""
        ...


class Directory:
    """A directory that every process sees: what is written there is kept."""

    url = ""
    slowest_bytes_per_second = math.inf

    def __init__(self, root: Path) -> None:
        self.root = root

    def bring(self, path: Path) -> bool:
        """Whether it is there."""
        return path.exists()

    def hold(self, path: Path) -> AbstractContextManager[bool]:
        """Nothing takes it away."""
        return nullcontext(path.exists())

    def keep(self, path: Path) -> None:
        """It is kept already."""

    def distrust(self, path: Path) -> bool:  # noqa: ARG002 - as the protocol has it
        """There is no other one."""
        return False

    def drop(self, path: Path) -> None:
        """Remove it."""
        remove(path)

    def reach(self) -> None:
        """A directory is always there, or `check` says why not."""

    def check(self) -> None:
        """StorageUnavailableError where nothing can be written."""
        check_writable(self.root)

    def listed(self, place: str) -> list[Kept]:
        """The entries of the directory."""
        return [entry for entry in entries(self.root / place) if not entry.path.name.startswith(".")]


def check_writable(root: Path) -> None:
    """StorageUnavailableError where nothing can be written into the directory, which is made if it is not there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"1")
    except OSError as error:
        way_out = "" if is_full(error) else " Let the user who runs Gradsum write there."
        sentence = f"The directory {root} can't be written: {error.strerror}.{way_out}"
        raise StorageUnavailableError(sentence, refused=not is_full(error)) from error


def is_full(error: OSError) -> bool:
    """Whether the disk has no room left, which may pass."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def entries(directory: Path) -> list[Kept]:
    """What is right below a directory; nothing where that is not there."""
    return [Kept(path, touched(path)) for path in directory.glob("*")] if directory.is_dir() else []


def touched(path: Path) -> float:
    """When it, or something in it, was last changed; never long ago where it has gone meanwhile."""
    try:
        found = [path, *path.iterdir()] if path.is_dir() else [path]
        return max(entry.stat().st_mtime for entry in found)
    except FileNotFoundError:
        return math.inf


def storage_of(environment: Mapping[str, str]) -> Storage:
    """The storage that the variables `GRADSUM_STORAGE_…` describe, as `service.settings` has checked them."""
    url = environment.get("GRADSUM_STORAGE_URL", "")
    data_dir = Path(environment.get("GRADSUM_DATA_DIR") or ".gradsum").absolute()
    if not url.startswith(SCHEME):
        return Directory(Path(url) if url else data_dir / "storage")
    from workers.bucket import Bucket  # noqa: PLC0415 - whoever has a directory does not wait for pyarrow
    from workers.object_store import ObjectStore, Place  # noqa: PLC0415

    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    place = Place(
        bucket=bucket,
        prefix=prefix.strip("/"),
        endpoint=environment.get("GRADSUM_STORAGE_S3_ENDPOINT", ""),
        region=environment.get("GRADSUM_STORAGE_S3_REGION", ""),
        access_key_id=environment.get("GRADSUM_STORAGE_S3_ACCESS_KEY_ID", ""),
        secret_access_key=environment.get("GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY", ""),
    )
    limit = int(environment.get("GRADSUM_STORAGE_CACHE_BYTES") or CACHE_BYTES)
    return Bucket(data_dir / CACHE, ObjectStore(place), limit)
