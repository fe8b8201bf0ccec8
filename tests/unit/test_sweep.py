"""What killed processes leave goes, and nothing that anyone still needs or writes."""

import os
import time
from pathlib import Path

from service.making import making
from service.sweep import FORGOTTEN_DAYS, MADE_SECONDS, MATRIX_DAYS, STALE_SECONDS, sweep
from tests.object_server import BUCKET, object_server
from workers.storage import Directory

NOW = 2_000_000_000.0


def test_only_stale_leavings_are_swept(tmp_path: Path) -> None:
    stale = [".key-a1b2", ".ds_1.removed"]
    for name in [*stale, ".fresh-a1b2", ".busy-a1b2", "key"]:
        make(tmp_path / "datasets" / name / "columns.json", NOW - 1 if "fresh" in name else NOW - STALE_SECONDS - 1)
    make(tmp_path / "datasets" / ".busy-a1b2" / "000001.npy", NOW - 1)
    make(tmp_path / "matrices" / ".matrix-a1b2" / "X.npy", NOW - STALE_SECONDS - 1)
    make(tmp_path / "uploads" / "ds_known", NOW - STALE_SECONDS - 1)
    make(tmp_path / "uploads" / "ds_unknown", NOW - STALE_SECONDS - 1)
    make(tmp_path / "uploads" / "ds_coming", NOW - 1)
    make(tmp_path / "jobs" / ".job", NOW - STALE_SECONDS - 1)
    swept = sweep(Directory(tmp_path), {"ds_known"}, {"needed"}, NOW)
    assert {path.name for path in swept} == {*stale, ".matrix-a1b2", "ds_unknown"}
    assert not any(path.exists() for path in swept)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")}
    assert left == {
        "datasets/.fresh-a1b2", "datasets/.busy-a1b2", "datasets/key", "uploads/ds_known", "uploads/ds_coming",
        "jobs/.job",
    }  # fmt: skip


def test_what_is_being_made_is_not_swept_however_long_its_file_is_read(tmp_path: Path) -> None:
    surveyed = tmp_path / "datasets" / ".surveyed-a1b2"
    make(surveyed / "expanded.csv", NOW - STALE_SECONDS - 1)
    make(tmp_path / "datasets" / ".ancient-a1b2" / "000000.npy", NOW - MADE_SECONDS - 1)
    make(tmp_path / "matrices" / ".left-a1b2" / "X.npy", NOW - STALE_SECONDS - 1)
    with making(tmp_path / "datasets"), making(tmp_path / "datasets"):
        swept = sweep(Directory(tmp_path), set(), set(), NOW)
    assert {path.name for path in swept} == {".ancient-a1b2", ".left-a1b2"}
    assert sweep(Directory(tmp_path), set(), set(), NOW) == [surveyed]


def test_a_matrix_goes_a_week_after_the_last_job_that_used_it(tmp_path: Path) -> None:
    long_ago = NOW - MATRIX_DAYS * 86_400 - 1
    for name, touched in {"needed": long_ago, "forgotten": long_ago, "fresh": NOW - STALE_SECONDS - 1}.items():
        make(tmp_path / "matrices" / name / "X.npy", touched)
    swept = sweep(Directory(tmp_path), set(), {"needed"}, NOW)
    assert [path.name for path in swept] == ["forgotten"]
    assert sorted(path.name for path in (tmp_path / "matrices").iterdir()) == ["fresh", "needed"]


def test_a_bucket_is_swept_by_what_it_says_and_each_node_by_what_lies_there(tmp_path: Path) -> None:
    now = time.time()
    with object_server() as server:
        server.files().delete_dir_contents(BUCKET)
        storage = server.storage(tmp_path)
        for name in ("uploads/ds_known", "uploads/ds_unknown"):
            make(tmp_path / name, now)
            storage.keep(tmp_path / name)
        for name in ("matrices/needed", "matrices/other"):
            make(tmp_path / name / "matrix.json", now)
            storage.keep(tmp_path / name)
        assert sweep(storage, set(), set(), now) == []
        later = now + MATRIX_DAYS * 86_400 + 60
        make(tmp_path / "matrices" / ".key-a1b2" / "X.npy", later - STALE_SECONDS - 1)
        swept = sweep(storage, {"ds_known"}, {"needed"}, later)
        assert {path.name for path in swept} == {"ds_unknown", "other", ".key-a1b2"}
        assert server.kept() == {"uploads/ds_known", "matrices/needed/matrix.json"}


def test_what_no_row_knows_goes_after_a_month_if_its_name_is_one_of_ours(tmp_path: Path) -> None:
    now = time.time()
    keys = [letter * 64 for letter in "ab"]
    ids = [f"job_{letter * 24}" for letter in "ab"]
    with object_server() as server:
        server.files().delete_dir_contents(BUCKET)
        storage = server.storage(tmp_path)
        for path in (*(f"datasets/{key}/columns.json" for key in keys), "datasets/mine/columns.json"):
            make(tmp_path / path, now)
            storage.keep((tmp_path / path).parent)
        for path in (*(f"jobs/{job_id}/start.npz" for job_id in ids), "jobs/mine/start.npz"):
            make(tmp_path / path, now)
            storage.keep(tmp_path / path)
        known = {"datasets": keys[:1], "jobs": ids[:1]}
        later = now + FORGOTTEN_DAYS * 86_400
        assert sweep(storage, set(), set(), later - 60, known) == []
        assert sweep(storage, set(), set(), later + 60) == []
        swept = sweep(storage, set(), set(), later + 60, known)
        assert [path.name for path in swept] == [keys[1], ids[1]]
        assert {key.split("/")[1] for key in server.kept()} == {keys[0], ids[0], "mine"}


def test_what_the_record_does_not_know_stays_in_a_directory(tmp_path: Path) -> None:
    make(tmp_path / "datasets" / ("a" * 64) / "columns.json", NOW - FORGOTTEN_DAYS * 86_400 - 60)
    assert sweep(Directory(tmp_path), set(), set(), NOW, {"datasets": [], "jobs": []}) == []


def test_what_was_being_removed_when_its_process_was_killed_goes(tmp_path: Path) -> None:
    left = tmp_path / "jobs" / ".job_1.removed-a1b2"
    make(left / "file", NOW - STALE_SECONDS - 1)
    os.utime(left, (NOW - STALE_SECONDS - 1,) * 2)
    assert sweep(Directory(tmp_path), set(), set(), NOW) == [left]


def test_a_storage_that_is_not_there_yet_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(Directory(tmp_path / "storage"), set(), set(), NOW) == []


def make(path: Path, touched: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (touched, touched))
    if path.parent.name not in {"uploads", "jobs"}:
        os.utime(path.parent, (touched, touched))
