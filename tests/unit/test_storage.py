"""The laws of the storage, for a directory and for a bucket; and those of the copies that a node has of a bucket."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.object_server import BUCKET, PREFIX, SECRET, ObjectServer, object_server
from workers.bucket import Bucket
from workers.files import publish_directory, remove
from workers.object_store import ObjectStore, Place
from workers.patience import check_same, patiently
from workers.storage import CACHE, Directory, Storage, StorageUnavailableError, storage_of

Nodes = Callable[[], Storage]
"""The storage as one more node sees it."""


@pytest.fixture(scope="module")
def running() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture
def server(running: ObjectServer) -> ObjectServer:
    running.files().delete_dir_contents(BUCKET)
    return running


@pytest.fixture(params=["directory", "bucket"])
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Nodes:
    if request.param == "directory":
        return lambda: Directory(tmp_path / "shared")
    server: ObjectServer = request.getfixturevalue("server")
    numbers = iter(range(9))
    return lambda: server.storage(tmp_path / f"node-{next(numbers)}")


def matrix(storage: Storage, name: str = "key", rows: int = 1000) -> Path:
    """A finished matrix, here alone."""
    path = storage.root / "matrices" / name
    (beside := path.with_name(f".{name}-made")).mkdir(parents=True)
    (beside / "X.npy").write_bytes(bytes(rows))
    (beside / "matrix.json").write_text(f'{{"rows": {rows}}}')
    publish_directory(beside, path)
    return path


def test_what_one_node_keeps_another_one_brings(nodes: Nodes) -> None:
    one, other = nodes(), nodes()
    path = matrix(one)
    upload = one.root / "uploads" / "ds_1"
    upload.parent.mkdir()
    upload.write_bytes(b"a,b\n")
    for kept in (path, upload):
        one.keep(kept)
        assert one.bring(kept)
        there = other.root / kept.relative_to(one.root)
        assert other.bring(there)
        assert other.bring(there)
    assert {file.name for file in (other.root / "matrices" / "key").iterdir()} == {"X.npy", "matrix.json"}
    assert (other.root / "matrices" / "key" / "X.npy").read_bytes() == bytes(1000)
    assert (other.root / "uploads" / "ds_1").read_bytes() == b"a,b\n"
    assert [kept.path.name for kept in other.listed("matrices")] == ["key"]
    assert abs(other.listed("uploads")[0].touched - time.time()) < 60


def test_what_nobody_kept_is_not_there(nodes: Nodes) -> None:
    storage = nodes()
    path = storage.root / "matrices" / "key"
    assert not storage.bring(path)
    assert not path.exists()
    assert storage.listed("matrices") == []
    storage.drop(path)


def test_what_was_dropped_is_gone_for_everyone_who_has_no_copy(nodes: Nodes) -> None:
    one, other = nodes(), nodes()
    for path in (matrix(one), matrix(one, "other")):
        one.keep(path)
    one.drop(one.root / "matrices" / "key")
    assert not one.bring(one.root / "matrices" / "key")
    assert not other.bring(other.root / "matrices" / "key")
    assert other.bring(other.root / "matrices" / "other")


def test_a_storage_that_works_says_nothing_and_leaves_nothing(nodes: Nodes) -> None:
    storage = nodes()
    storage.check()
    storage.reach()
    assert [*storage.root.rglob("*")] == []


def test_keeping_and_bringing_may_be_repeated_and_moves_nothing_twice(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node")
    path = matrix(storage)
    storage.keep(path)
    (tmp_path / "node" / "matrices" / "key" / "X.npy").write_bytes(bytes([1] * 1000))  # would be seen if sent again
    storage.keep(path)
    other = server.storage(tmp_path / "other")
    other.bring(tmp_path / "other" / "matrices" / "key")
    assert (tmp_path / "other" / "matrices" / "key" / "X.npy").read_bytes() == bytes(1000)


def test_a_directory_is_whole_or_not_there_whenever_its_upload_ends(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node")
    path = matrix(storage)
    files = server.files()
    with files.open_output_stream(f"{BUCKET}/{PREFIX}/matrices/key/X.npy") as stream:  # killed before the marker
        stream.write(b"of other bits")
    other = server.storage(tmp_path / "other")
    copy = tmp_path / "other" / "matrices" / "key"
    assert not other.bring(copy)
    storage.keep(path)
    assert other.bring(copy)
    assert (copy / "X.npy").read_bytes() == bytes(1000)


def test_a_directory_made_anew_with_other_bits_takes_the_place_of_the_old_one(
    server: ObjectServer, tmp_path: Path
) -> None:
    one, two, three = (server.storage(tmp_path / name) for name in ("one", "two", "three"))
    one.keep(matrix(one, rows=10))
    two.keep(matrix(two, rows=20))
    three.bring(tmp_path / "three" / "matrices" / "key")
    assert len((tmp_path / "three" / "matrices" / "key" / "X.npy").read_bytes()) == 20


def settings_of_a_node(server: ObjectServer, data_dir: Path) -> dict[str, str]:
    """The environment of a process there, with the server as its storage."""
    return {**os.environ, **server.settings(), "GRADSUM_DATA_DIR": str(data_dir)}


def test_several_processes_may_bring_the_same_at_once(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node")
    storage.keep(matrix(storage, rows=30_000_000))
    code = (
        "import os, sys; from pathlib import Path; from workers.storage import storage_of\n"
        "storage = storage_of(os.environ); path = storage.root / 'matrices' / 'key'\n"
        "sys.exit(not (storage.bring(path) and (path / 'X.npy').stat().st_size == 30_000_000))"
    )
    environment = settings_of_a_node(server, tmp_path / "other")
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    left = {path.name for path in (tmp_path / "other" / CACHE / "matrices").iterdir()}
    assert left == {"key"}


def test_a_process_that_is_killed_while_it_brings_leaves_nothing_that_looks_whole(
    server: ObjectServer, tmp_path: Path
) -> None:
    storage = server.storage(tmp_path / "node")
    storage.keep(matrix(storage, rows=200_000_000))
    code = (
        "import os; from workers.storage import storage_of; storage = storage_of(os.environ)\n"
        "storage.bring(storage.root / 'matrices' / 'key')"
    )
    environment = settings_of_a_node(server, tmp_path / "other")
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    place = tmp_path / "other" / CACHE / "matrices"
    while not [*place.glob(".key-*/X.npy")]:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (place / "key").exists()
    other = storage_of(environment)
    assert other.bring(place / "key")
    assert (place / "key" / "X.npy").stat().st_size == 200_000_000


def test_the_least_recently_used_leave_a_full_cache_and_come_back(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node", cache_bytes=2500)
    paths = [matrix(storage, name) for name in ("first", "second", "third", "held")]
    for path in paths:
        storage.keep(path)
    now = time.time()
    age(paths, [now - 3000, now - 5000, now - 4000, now - 9000])
    storage.bring(paths[0])  # touches it
    with storage.hold(paths[3]):
        age(paths[3:], [now - 9000])
        assert storage.cache.evict(now) == [paths[1], paths[2]]
    assert [path.exists() for path in paths] == [True, False, False, True]
    assert storage.bring(paths[1])
    assert storage.cache.evict(now) == [paths[3]]


def test_what_was_touched_lately_stays_and_what_nobody_touched_for_a_week_goes(
    server: ObjectServer, tmp_path: Path
) -> None:
    now = time.time()
    full = server.storage(tmp_path / "full", cache_bytes=1)
    path = matrix(full)
    assert full.cache.evict(now + 300) == []
    roomy = server.storage(tmp_path / "roomy")
    old, new = matrix(roomy, "old"), matrix(roomy, "new")
    age([old], [now - 8 * 86_400])
    assert roomy.cache.evict(now) == [old]
    assert path.exists()
    assert new.exists()


def age(paths: list[Path], moments: list[float]) -> None:
    for path, moment in zip(paths, moments, strict=True):
        for each in (path, *path.iterdir()):
            os.utime(each, (moment, moment))


def test_while_the_server_is_away_everything_says_so_and_nothing_is_lost(tmp_path: Path) -> None:
    with object_server() as server:
        storage = server.storage(tmp_path / "node")
        path = matrix(storage)
        storage.keep(path)
        server.stop()
        assert storage.bring(path)  # it is here
        asked: list[Callable[[], object]] = [
            storage.check, storage.reach, lambda: storage.keep(path), lambda: storage.listed("matrices"),
            lambda: storage.bring(path.with_name("other")), lambda: storage.drop(path.with_name("other")),
        ]  # fmt: skip
        for ask in asked:
            with pytest.raises(StorageUnavailableError, match=f"s3://{BUCKET}/{PREFIX} does not answer") as error:
                ask()
            assert not error.value.refused
        waits: list[str | None] = []
        threading.Timer(1.0, server.start).start()
        patiently(lambda: storage.keep(path), waits.append)
        assert waits[-1] is None
        assert "does not answer" in str(waits[0])
        with pytest.raises(StorageUnavailableError):
            patiently(unusable, waits.append, seconds=-1)


def unusable() -> None:
    raise StorageUnavailableError("It is away.")


def test_a_bucket_that_is_not_there_is_a_mistake_of_the_settings(server: ObjectServer, tmp_path: Path) -> None:
    place = Place("no-such-bucket", "", server.address, "us-east-1", "key", SECRET)
    storage = Bucket(tmp_path, ObjectStore(place), 10**9)
    for ask in (storage.check, storage.reach, lambda: storage.bring(tmp_path / "uploads" / "ds_1")):
        with pytest.raises(StorageUnavailableError, match=r"s3://no-such-bucket .*GRADSUM_STORAGE_URL") as error:
            ask()
        assert error.value.refused
    assert SECRET not in repr(place)


def test_a_node_with_another_storage_or_directory_is_told(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node")
    check_same(storage, storage.url)
    check_same(Directory(tmp_path), "")
    for ours, theirs in ((storage, ""), (Directory(tmp_path), storage.url)):
        with pytest.raises(StorageUnavailableError, match="GRADSUM_STORAGE_URL"):
            check_same(ours, theirs)
    with pytest.raises(StorageUnavailableError, match="GRADSUM_DATA_DIR"):
        storage.bring(tmp_path / "elsewhere" / "matrices" / "key")


def test_a_directory_needs_no_pyarrow(tmp_path: Path) -> None:
    code = "import sys, workers.driver, workers.storage as s; s.storage_of({}); sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert storage_of({"GRADSUM_STORAGE_URL": str(tmp_path)}).root == tmp_path


def test_the_marker_goes_first_when_a_directory_is_dropped(server: ObjectServer, tmp_path: Path) -> None:
    storage = server.storage(tmp_path / "node")
    model = tmp_path / "node" / "jobs" / "job_1" / "attempts" / "1" / "model"
    model.mkdir(parents=True)
    (model / "weights.npz").write_bytes(b"1")
    (model / "model.json").write_bytes(b"{}")
    storage.keep(model)
    assert server.kept() == {f"jobs/job_1/attempts/1/model/{name}" for name in ("weights.npz", "model.json")}
    remove(model)
    assert storage.bring(model)
    storage.drop(tmp_path / "node" / "jobs" / "job_1")
    assert server.kept() == set()
