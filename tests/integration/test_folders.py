"""Folders of Parquet files: fetched from the file system and from S3, and read as one table."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from service.imports import folder
from service.imports.fetch import fetch
from service.imports.s3 import Bucket
from service.ingest import ingest_file
from service.uris import Rules
from workers.dataset import read_columns
from workers.errors import DataError

LIMIT_BYTES = 100_000
LIMITS = {"columns": 100, "rows": 10_000, "memory_bytes": 10_000_000}
FILES = {
    "part-1.parquet": {"a": [3, 4], "kind": ["x", "y"]},
    "part-0.parquet": {"a": [1, 2], "kind": ["x", "x"]},
    "part-10.parquet": {"kind": ["z"], "a": [5]},
}


def write(directory: Path, name: str, columns: Any) -> None:
    directory.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), directory / name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An import root with a folder as writers of Parquet files leave it."""
    directory = tmp_path / "root"
    directory.mkdir()
    for name, columns in FILES.items():
        write(directory / "people", name, columns)
    (directory / "people" / "_SUCCESS").touch()
    (directory / "people" / ".part-0.parquet.crc").write_bytes(b"crc")
    (directory / "people" / "_temporary").mkdir()
    return directory


def fetched(root: Path, uri: str, limit_bytes: int = LIMIT_BYTES) -> tuple[Path, str, int]:
    destination = root.parent / "fetched"
    found = fetch(uri, Rules(import_roots=(str(root),)), Bucket(), limit_bytes, destination)
    return destination, *found


def read(path: Path, destination: Path, **options: Any) -> dict[str, Any]:
    made = ingest_file(path, options, destination, LIMITS)
    return {name: column.values[:].tolist() for name, column in read_columns(destination, ["a", "kind"]).items()} | made


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_folder_is_one_table_in_the_order_of_the_names(root: Path, ending: str) -> None:
    path, sha256, n_bytes = fetched(root, f"file://{root}/people{ending}")
    made = read(path, root.parent / "dataset")
    assert (made["rows"], made["a"], made["kind"]) == (5, [1, 2, 3, 4, 5], [0, 0, 0, 1, 2])
    lines = [f"{hashlib.sha256((root / 'people' / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(FILES)]
    assert sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert n_bytes == sum((root / "people" / name).stat().st_size for name in FILES)


def test_a_folder_of_s3_is_what_lies_right_below_its_prefix(
    root: Path, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "word")
    host = s3.endpoint.removeprefix("http://")
    store = fs.S3FileSystem(
        endpoint_override=host, scheme="http", region=s3.region, access_key="key",
        secret_key="word",  # noqa: S106 - of a server of our own
        allow_bucket_creation=True,
    )  # fmt: skip
    store.create_dir("lake")
    for file in (root / "people").iterdir():
        if file.is_file():
            with store.open_output_stream(f"lake/all/people/{file.name}") as stream:
                stream.write(file.read_bytes())
    rules = Rules(import_roots=(str(root),), s3_buckets=("lake",))
    there = fetch("s3://lake/all/people/", rules, s3, LIMIT_BYTES, root.parent / "there")
    assert there == fetch(f"file://{root}/people", rules, s3, LIMIT_BYTES, root.parent / "here")
    assert read(root.parent / "there", root.parent / "dataset")["a"] == [1, 2, 3, 4, 5]
    for prefix, code in (("none/", "fetch_failed"), ("all/", "unsupported_folder")):
        with pytest.raises(DataError) as raised:
            fetch(f"s3://lake/{prefix}", rules, s3, LIMIT_BYTES, root.parent / "no")
        assert raised.value.code == code


@pytest.fixture
def s3() -> Iterator[Bucket]:
    """A server that speaks S3."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield Bucket("http://{}:{}".format(*server.get_host_and_port()), "eu-north-1")
    server.stop()


@pytest.mark.parametrize(
    ("name", "columns", "code", "said"),
    [
        ("b.parquet", {"a": [1.5], "kind": ["x"]}, "schema_mismatch", ("'b.parquet'", "'a'", "double", "int64")),
        ("b.parquet", {"a": [1]}, "schema_mismatch", ("'b.parquet'", "'kind'", "'a.parquet' has")),
        ("b.parquet", {"a": [1], "kind": ["x"], "c": [1]}, "schema_mismatch", ("'b.parquet'", "'c'", "not in 'a.parq")),
        ("b.parquet", {"a": [1], "kind": [["x"]]}, "unsupported_column", ("'b.parquet'", "'kind'", "list")),
        ("notes.txt", None, "format_mismatch", ("'notes.txt'", "text", "Parquet files only")),
        ("b.parquet", b"PAR1 and no more", "file_corrupt", ("'b.parquet'", "cut off")),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_named(root: Path, name: str, columns: Any, code: str, said: tuple[str]) -> None:
    write(root / "odd", "a.parquet", {"a": [1], "kind": ["x"]})
    if isinstance(columns, dict):
        write(root / "odd", name, columns)
    else:
        (root / "odd" / name).write_bytes(columns or b"some,text\n")
    path, *_ = fetched(root, f"file://{root}/odd")
    with pytest.raises(DataError) as raised:
        read(path, root.parent / "dataset")
    assert raised.value.code == code
    for words in said:
        assert words in raised.value.message
    assert not (root.parent / "dataset").exists()


def test_limits_are_those_of_all_files_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="more than 1,500 bytes"):
        fetched(root, f"file://{root}/people", 1500)
    path, *_ = fetched(root, f"file://{root}/people")
    with pytest.raises(DataError) as raised:
        ingest_file(path, {}, root.parent / "dataset", {**LIMITS, "rows": 4})
    assert raised.value.code == "too_many_rows"
    monkeypatch.setattr(folder, "MOST_FILES", 2)
    with pytest.raises(DataError, match="more than 2 files"):
        fetched(root, f"file://{root}/people")


def test_no_link_leads_out_of_the_root(root: Path) -> None:
    write(root.parent / "outside", "a.parquet", {"a": [1], "kind": ["x"]})
    write(root / "linked", "a.parquet", {"a": [1], "kind": ["x"]})
    (root / "linked" / "b.parquet").symlink_to(root.parent / "outside" / "a.parquet")
    (root / "away").symlink_to(root.parent / "outside")
    for uri in (f"file://{root}/linked", f"file://{root}/away", f"file://{root.parent}/outside", "file:///etc"):
        with pytest.raises(DataError) as raised:
            fetched(root, uri)
        assert raised.value.code == "uri_not_allowed"
    (root / "linked" / "b.parquet").unlink()
    (root / "linked" / "b.parquet").symlink_to(root / "people" / "part-0.parquet")
    path, *_ = fetched(root, f"file://{root}/linked")
    assert read(path, root.parent / "dataset")["a"] == [1, 1, 2]


@pytest.mark.parametrize(("inside", "code"), [(None, "dataset_empty"), ("year=2024", "unsupported_folder")])
def test_a_folder_of_folders_or_of_nothing_is_refused(root: Path, inside: str | None, code: str) -> None:
    (root / "odd").mkdir()
    if inside is not None:
        write(root / "odd" / inside, "a.parquet", {"a": [1]})
    with pytest.raises(DataError) as raised:
        fetched(root, f"file://{root}/odd")
    assert raised.value.code == code
    assert inside is None or inside in raised.value.message


def test_options_of_csv_are_not_for_folders(root: Path) -> None:
    path, *_ = fetched(root, f"file://{root}/people")
    for options, code in (({"format": "csv"}, "format_mismatch"), ({"header": False}, "invalid_options")):
        with pytest.raises(DataError) as raised:
            read(path, root.parent / "dataset", **options)
        assert raised.value.code == code
