"""A bucket as storage: what it holds is the truth, what lies below `root` are copies for the processes of this node."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.cache import Cache
from workers.files import publish_directory, remove, sync_directory
from workers.object_store import Found, ObjectStore
from workers.storage import Kept, StorageUnavailableError, check_writable, is_full

MARKERS = {"datasets": "columns.json", "matrices": "matrix.json", "model": "model.json"}
"""By where a directory lies, or is named, the file that describes it. It is kept last: without it, nothing is there."""
FRESH_SECONDS = 86_400.0
"""So old, an equal marker is sent again: the sweep takes what nobody has used for some days."""
THREADS = 8


class Bucket:
    """The storage of processes that share no directory."""

    slowest_bytes_per_second = 5e6

    def __init__(self, root: Path, store: ObjectStore, cache_bytes: int) -> None:
        self.root = root
        self.url = store.place.url
        self.cache = Cache(root, cache_bytes)
        self._store = store

    def bring(self, path: Path) -> bool:
        """Download it beside its place and rename it, unless it is here."""
        key = self._key(path)
        if not path.exists():
            with self.cache.making(path), self._room():
                if not path.exists() and not self._download(key, path):
                    return False
            self.cache.evict_sometimes()
        self.cache.touch(path)
        return True

    @contextlib.contextmanager
    def hold(self, path: Path) -> Iterator[bool]:
        """No process of this node takes it out of the cache meanwhile."""
        self._key(path)
        with self.cache.used(path):
            yield self.bring(path)

    def keep(self, path: Path) -> None:
        """Upload what the bucket lacks of it; of a directory, its marker last and once a day, as its time of use."""
        key = self._key(path)
        self.cache.touch(path)
        if path.is_dir():
            self._upload_directory(key, path)
        else:
            self._upload(path, key)
        self.cache.evict_sometimes()

    def distrust(self, path: Path) -> bool:
        """Remove the copy."""
        remove(path)
        return True

    def drop(self, path: Path) -> None:
        """Of a directory, the marker goes first. Copies on other nodes leave their caches in time."""
        key = self._key(path)
        remove(path)
        marker = _marker(path)
        if marker is not None:
            self._store.delete(f"{key}/{marker}")
        self._store.delete(key)

    def reach(self) -> None:
        """StorageUnavailableError where the bucket does not answer."""
        self._store.reach()

    def check(self) -> None:
        """StorageUnavailableError where the bucket or the cache can't be written and read."""
        check_writable(self.root)
        self._store.check()

    def listed(self, place: str) -> list[Kept]:
        """What the bucket holds there."""
        newest: dict[str, float] = {}
        for found in self._store.find(place):
            name = found.name.partition("/")[0]
            newest[name] = max(newest.get(name, 0.0), found.touched)
        return [Kept(self.root / place / name, changed) for name, changed in newest.items() if name]

    def _key(self, path: Path) -> str:
        if not path.is_relative_to(self.root):
            raise StorageUnavailableError(
                f"{path} is not below {self.root}: GRADSUM_DATA_DIR has to be the same on all nodes.", refused=True
            )
        return path.relative_to(self.root).as_posix()

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """A full disk of this node is no reason to give up what can be brought later."""
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            way_out = "make room there, or lower GRADSUM_STORAGE_CACHE_BYTES"
            raise StorageUnavailableError(f"{self.root} has no room left for a copy: {way_out}.") from error

    def _download(self, key: str, path: Path) -> bool:
        """Whether the bucket has it: then it is here, whole."""
        found = self._store.find(key)
        marker = _marker(path)
        names = {each.name for each in found}
        if not found or (marker is not None and marker not in names):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it was dropped meanwhile
            if names == {""}:
                self._download_file(key, found[0].bytes, path)
            else:
                self._download_directory(key, found, path)
            return True
        return False

    def _download_file(self, key: str, n_bytes: int, path: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._store.get(key, n_bytes, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def _download_directory(self, key: str, found: list[Found], path: Path) -> None:
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}-", ignore_cleanup_errors=True
        ) as temporary:

            def get(each: Found) -> None:
                with (Path(temporary) / each.name).open("wb") as file:
                    self._store.get(f"{key}/{each.name}", each.bytes, file)

            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(get, (each for each in found if "/" not in each.name)))
            publish_directory(Path(temporary), path)

    def _upload_directory(self, key: str, path: Path) -> None:
        marker = _marker(path)
        there = self._there(key, path)
        files = [file for file in path.iterdir() if file.name != marker and not _is_equal(there.get(file.name), file)]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda file: self._upload(file, f"{key}/{file.name}"), files))
        if marker is not None and (marker not in there or time.time() - there[marker].touched > FRESH_SECONDS):
            self._upload(path / marker, f"{key}/{marker}")

    def _there(self, key: str, path: Path) -> dict[str, Found]:
        """What the bucket has of the directory; of another try, perhaps with other bytes, nothing counts."""
        marker = _marker(path)
        there = {found.name: found for found in self._store.find(key)}
        if marker is None:
            self._store.delete(key)
        elif marker in there and self._store.read(f"{key}/{marker}") == (path / marker).read_bytes():
            return there
        elif marker in there:
            self._store.delete(f"{key}/{marker}")
        return {}

    def _upload(self, path: Path, key: str) -> None:
        self._store.put(path, key, lambda: self.cache.touch(path))


def _is_equal(found: Found | None, file: Path) -> bool:
    return found is not None and found.bytes == file.stat().st_size


def _marker(path: Path) -> str | None:
    """The name of the file that describes a directory; None where the record says whether it is whole."""
    return MARKERS.get("model" if path.name == "model" else path.parent.name)
