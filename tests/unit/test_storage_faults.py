"""What the storage does where S3 refuses, breaks off or forgets, and where a process is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.object_server import BUCKET, PREFIX, ObjectServer, object_server
from workers.cache import LEFT_SECONDS, Cache
from workers.files import remove
from workers.object_store import CHUNK_BYTES, ObjectStore, Place
from workers.patience import patiently
from workers.storage import Directory, StorageUnavailableError

DAY = 86_400.0


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as running:
        running.files().delete_dir_contents(BUCKET)
        yield running


def store(server: ObjectServer) -> ObjectStore:
    return ObjectStore(Place(BUCKET, PREFIX, server.address, "us-east-1", "key", "secret"))


def columns(root: Path, rows: int = 100) -> Path:
    path = root / "datasets" / "key"
    path.mkdir(parents=True)
    (path / "000000.npy").write_bytes(bytes(rows))
    (path / "columns.json").write_text("{}")
    return path


def test_a_refused_refresh_of_a_marker_leaves_what_was_kept(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = server.storage(tmp_path)
    path = columns(tmp_path)
    storage.keep(path)
    kept = server.kept()
    server.refuses = lambda request: request.startswith("PUT")
    storage.keep(path)  # an equal marker of today is not sent again
    later = time.time() + 2 * DAY
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(StorageUnavailableError, match="may not read, write"):
        storage.keep(path)
    assert server.kept() == kept
    server.refuses = lambda _request: False
    storage.keep(path)
    assert any(request.startswith("PUT") for request in server.requests[-2:])


def test_a_part_of_a_file_is_never_left_as_if_it_were_whole(server: ObjectServer, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(bytes(3 * CHUNK_BYTES))

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(server).put(path, "uploads/ds_1", interrupt)
    assert server.kept() == set()
    server.refuses = lambda request: "partNumber=2" in request
    with pytest.raises(StorageUnavailableError):
        store(server).put(path, "uploads/ds_1", lambda: None)
    assert server.kept() == set()


def test_several_may_check_the_storage_at_once(server: ObjectServer) -> None:
    checked = store(server)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _number: checked.check(), range(40)))
    assert server.kept() == set()


def test_a_download_that_ends_early_is_no_copy(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "one")
    storage.keep(columns(storage.root))
    with (tmp_path / "file").open("wb") as file, pytest.raises(StorageUnavailableError, match="sent a part"):
        store(server).get("datasets/key/000000.npy", 101, file)


def test_what_is_being_made_is_not_evicted_and_what_was_left_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1)
    made = columns(tmp_path).rename(tmp_path / "datasets" / ".key-a1b2")
    now = time.time()
    assert cache.evict(now + LEFT_SECONDS - 60) == []
    assert cache.evict(now + LEFT_SECONDS + 60) == [made]
    assert not made.exists()


def test_whoever_is_killed_while_it_removes_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    path = columns(tmp_path)
    for number in range(20_000):
        (path / f"{number:06}.npy").touch()
    code = f"from pathlib import Path; from workers.files import remove; remove(Path({str(path)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code])
    while path.exists():
        assert process.poll() is None
        time.sleep(0.0005)
    process.kill()
    process.wait()
    assert not path.exists()
    assert all(left.name.startswith(".key.removed-") for left in path.parent.iterdir())
    remove(path)


@pytest.mark.parametrize("kind", ["bucket", "directory"])
def test_holding_says_whether_it_is_here(server: ObjectServer, tmp_path: Path, kind: str) -> None:
    storage = server.storage(tmp_path) if kind == "bucket" else Directory(tmp_path)
    path = columns(tmp_path)
    with storage.hold(path) as here, storage.hold(path.with_name("other")) as other:
        assert (here, other) == (True, False)


def test_what_only_the_operator_can_change_is_not_waited_for() -> None:
    waits: list[str | None] = []

    def refused() -> None:
        raise StorageUnavailableError("The key is unknown.", refused=True)

    with pytest.raises(StorageUnavailableError, match="The key is unknown"):
        patiently(refused, waits.append)
    assert waits == []


def test_a_folder_that_is_fetched_again_takes_the_place_of_the_old_one(server: ObjectServer, tmp_path: Path) -> None:
    one, two, three = (server.storage(tmp_path / name) for name in ("one", "two", "three"))
    for storage, files in ((one, {"a": b"1", "b": b"1"}), (two, {"a": b"2"})):
        path = storage.root / "uploads" / "ds_1"
        path.mkdir(parents=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
        storage.keep(path)
    brought = three.root / "uploads" / "ds_1"
    assert three.bring(brought)
    assert {file.name: file.read_bytes() for file in brought.iterdir()} == {"a": b"2"}
    assert os.listdir(three.root / "uploads") == ["ds_1"]  # noqa: PTH208 - with names that begin with a dot
