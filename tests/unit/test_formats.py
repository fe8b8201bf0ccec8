"""Files of every format: good ones become the same dataset, bad ones are refused and leave nothing."""

import contextlib
import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from service import head, ingest
from service.column_order import MOST_COMPRESSED_BYTES, check_compressed
from service.file_options import parse_options
from service.numpy_file import open_numpy
from service.parquet_pages import check_pages
from service.resources import ENVIRONMENT
from tests import corpus
from tests.corpus import BAD, Bad
from workers.dataset import read_columns
from workers.errors import DataError

LIMITS = {"columns": 100, "rows": 10**8, "bytes": 2**30, "memory_bytes": 100_000_000}


def ingested(tmp_path: Path, content: bytes, **options: Any) -> dict[str, Any]:
    path = tmp_path / "upload"
    path.write_bytes(content)
    found = ingest.ingest_file(path, options, tmp_path / "dataset", LIMITS)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["dataset", "upload"]
    return found


def types(found: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in found["columns"]}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.row} {bad.name}")
def test_a_bad_file_is_refused_with_the_reason_and_leaves_nothing(tmp_path: Path, bad: Bad) -> None:
    path = tmp_path / "upload"
    path.write_bytes(bad.make())
    before = psutil.Process().memory_info().rss
    with pytest.raises(DataError) as caught:
        ingest.ingest_file(path, dict(bad.options), tmp_path / "dataset", LIMITS)
    assert caught.value.code == bad.code, caught.value.message
    assert [words for words in bad.says if words not in caught.value.message] == [], caught.value.message
    assert [place.name for place in tmp_path.iterdir()] == ["upload"]
    assert psutil.Process().memory_info().rss - before < 100_000_000
    assert not corpus.CANARY.exists()


@pytest.mark.parametrize("write", [corpus.parquet, corpus.arrow], ids=["parquet", "arrow"])
def test_every_type_becomes_the_kind_it_is(tmp_path: Path, write: Any) -> None:
    found = ingested(tmp_path, write(corpus.good_table()))
    kinds = ["number", "number", "number", "category", "category", "category", "date", "date", "number"]
    assert list(types(found).values()) == kinds
    assert [column["nulls"] for column in found["columns"]] == [1, 0, 1, 0, 2, 1, 1, 1, 3]
    assert [column["categories"] for column in found["columns"][3:6]] == [["blue", "red"], ["a"], ["false", "true"]]
    columns = read_columns(tmp_path / "dataset", ["size", "price", "day", "time"])
    assert columns["price"].values[:].tolist() == [1.1, 2.2, 0.0]
    assert columns["day"].categories is not None
    assert columns["day"].categories[:] == ("2026-01-31", "2026-02-01")
    assert columns["day"].values[:].tolist() == [0, -1, 1]
    assert columns["time"].values[:].tolist() == [1, 0, -1]  # in the order of time


def test_the_same_values_are_the_same_columns_in_every_format(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(200, 2)).round(3)
    y = (values[:, 0] > 0).astype(np.int64)
    text = "x0,x1,y\n" + "".join(f"{a!r},{b!r},{c}\n" for a, b, c in zip(*values.T.tolist(), y.tolist(), strict=True))
    table = corpus.table(x0=values[:, 0], x1=values[:, 1], y=y)
    files = {
        "csv": text.encode(),
        "tsv": text.replace(",", "\t").encode(),
        "german": text.replace(",", ";").replace(".", ",").encode(),
        "gzip": gzip.compress(text.encode()),
        "parquet": corpus.parquet(table, row_group_size=64),
        "parquet.zstd": corpus.parquet(table, compression="zstd"),
        "arrow": corpus.arrow(table),
        "feather": corpus.arrow(table, "lz4"),
        "npz": corpus.npz(X=values, y=y),
        "npz.compressed": corpus.npz_compressed(X=np.asfortranarray(values), y=y.astype(">i2")),
    }
    found = []
    for name, content in files.items():
        (tmp_path / name).mkdir()
        found.append(ingested(tmp_path / name, content))
    assert [other for other in found[1:] if other != found[0]] == []
    assert types(found[0]) == {"x0": "number", "x1": "number", "y": "number"}


def test_an_array_alone_is_columns_by_number(tmp_path: Path) -> None:
    found = ingested(tmp_path, corpus.npy(np.array([[1, 2, 3], [4, 5, 6]], np.int8)))
    assert types(found) == {"x0": "number", "x1": "number", "x2": "number"}


@pytest.mark.parametrize("written", [{}, {"data_page_version": "2.0", "data_page_size": 512}, {"compression": "zstd"}])
def test_the_pages_of_a_parquet_file_are_counted_whatever_is_written_over_them(tmp_path: Path, written: Any) -> None:
    """Noise in a file is an error of ours or none: the reader of pages takes whatever it finds."""
    columns = {
        "a": [None if i % 7 == 0 else float(i) for i in range(5000)],
        "b": [f"text {i % 999}" for i in range(5000)],
    }
    good = corpus.parquet(corpus.table(**columns), **written)
    path, noise = tmp_path / "file.parquet", np.random.default_rng(5)
    metadata = pq.ParquetFile(io.BytesIO(good)).metadata
    check_pages(io.BytesIO(good), metadata)
    for _ in range(200):
        bad = bytearray(good)
        for place in noise.integers(4, len(good) - 8, 20):
            bad[place] = noise.integers(256)
        path.write_bytes(bad)
        with path.open("rb") as file, contextlib.suppress(DataError):
            check_pages(file, metadata)


@pytest.mark.parametrize("write", [np.save, np.savez, np.savez_compressed])
def test_arrays_in_either_order_are_the_same_columns(tmp_path: Path, write: Any) -> None:
    values = np.arange(1_400_000.0).reshape(-1, 7)
    found = []
    for name, array in (("rows", values), ("columns", np.asfortranarray(values))):
        with (tmp_path / name).open("wb") as file:
            write(file, array) if write is np.save else write(file, X=array, y=np.arange(200_000))
        found.append(ingest.ingest_file(tmp_path / name, {}, tmp_path / f"{name}.dataset", LIMITS))
    assert found[0] == found[1]
    columns = [read_columns(tmp_path / f"{name}.dataset", ["x0", "x6"]) for name in ("rows", "columns")]
    for name, place in (("x0", 0), ("x6", 6)):
        assert all(np.array_equal(each[name].values[:], values[:, place]) for each in columns)


@pytest.mark.parametrize("write", [np.save, np.savez])
def test_an_array_in_fortran_order_is_not_read_as_a_whole(tmp_path: Path, write: Any) -> None:
    with (tmp_path / "upload").open("wb") as file:
        array = np.asfortranarray(np.ones((1_000_000, 8)))
        write(file, array) if write is np.save else write(file, X=array)
    batches = open_numpy(tmp_path / "upload", parse_options({}), LIMITS)
    tracemalloc.start()
    assert sum(batch.num_rows for batch in batches.batches) == 1_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_compressed_array_in_fortran_order_has_a_limit() -> None:
    check_compressed("X", MOST_COMPRESSED_BYTES)
    with pytest.raises(DataError, match=r"ascontiguousarray\(X\)") as caught:
        check_compressed("X", MOST_COMPRESSED_BYTES + 1)
    assert caught.value.code == "file_too_large"


def test_labels_of_an_npz_may_be_text(tmp_path: Path) -> None:
    found = ingested(tmp_path, corpus.npz(X=corpus.X.astype(np.float16), y=np.array(["a", "é", "a"])))
    assert found["columns"][2]["categories"] == ["a", "é"]


def test_text_of_a_typed_file_is_never_taken_for_numbers(tmp_path: Path) -> None:
    content = corpus.parquet(corpus.table(zip=["0150", "0250"], code=[7, 8]))
    assert types(ingested(tmp_path, content, types={"code": "category"})) == {"zip": "category", "code": "category"}


def test_a_typed_files_marker_makes_nan_missing(tmp_path: Path) -> None:
    found = ingested(tmp_path, corpus.parquet(corpus.table(a=[1.0, np.nan])), missing_markers=["NaN"])
    assert found["columns"][0]["nulls"] == 1


def test_declared_dates_are_dates(tmp_path: Path) -> None:
    found = ingested(tmp_path, b"d,b\n2026-01-31,1\n,2\n2026-02-01,3\n", types={"d": "date"})
    assert types(found) == {"d": "date", "b": "number"}


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = ["1,2"] * 30 + ["1", "1,2,3", "1,n/a", "inf,2", "n/a,inf"] + ["3,4"] * 10
    found = ingested(tmp_path, ("a,b\n" + "\n".join(rows) + "\n").encode(), on_bad_rows="skip")
    assert (found["rows"], found["rejected_rows"], list(types(found).values())) == (40, 5, ["number", "number"])
    assert found["columns"][1]["max"] == 4


def test_bad_rows_of_a_typed_file_are_skipped_too(tmp_path: Path) -> None:
    content = corpus.parquet(corpus.table(a=[1.0, np.nan, 3.0], b=["x", "y", "z"]))
    found = ingested(tmp_path, content, on_bad_rows="skip")
    assert (found["rows"], found["rejected_rows"], found["columns"][1]["categories"]) == (2, 1, ["x", "z"])


def test_a_file_of_bad_rows_only_is_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Of 2 rows none can be used"):
        ingested(tmp_path, corpus.npy(np.full((2, 1), np.nan)), on_bad_rows="skip")


def test_a_quote_that_is_never_closed_is_no_row_to_skip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="never closed"):
        ingested(tmp_path, b'a,b\n1,2\n3,"4\n5,6\n', on_bad_rows="skip")


def test_the_dialect_is_that_of_the_beginning_of_the_file(tmp_path: Path) -> None:
    german = b"a;b\n" + b"1,5;x\n" * 300_000  # more than a megabyte
    path = tmp_path / "upload"
    path.write_bytes(german)
    limits = LIMITS
    understood = head.preview(path, {}, limits)
    assert [understood[name] for name in ("delimiter", "decimal", "whole_file")] == [";", ",", False]
    found = ingest.ingest_file(path, {}, tmp_path / "dataset", limits)
    assert (found["rows"], found["columns"][0]["max"]) == (300_000, 1.5)


def test_a_preview_shows_types_samples_and_problems(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"a\tb\n1\tred\n\tblue\n3\t\n" + b"4\tred\n" * 300_000)
    understood = head.preview(path, {}, LIMITS)
    assert (understood["format"], understood["delimiter"], understood["rows_looked_at"] > 1000) == ("csv", "\t", True)
    first = {"name": "a", "type": "number", "nulls": 1, "samples": ["1", None, "3", "4", "4"], "problem": None}
    assert understood["columns"][0] == first
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"x,2\n")
    assert head.preview(path, {}, LIMITS)["columns"][0]["problem"] is None


@pytest.mark.parametrize("rows", [3, 300_000], ids=["the whole file", "the beginning"])
def test_a_preview_counts_the_rows_that_would_be_left_out(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"a,b\nx,1\n1\n" + b"1,2\n" * 20 + b"4,5\n" * rows)
    understood = head.preview(path, {"on_bad_rows": "skip"}, LIMITS)
    assert understood["rejected_rows"] == 2
    assert rows > 3 or understood["rows_looked_at"] == 25
    assert [column["problem"] for column in understood["columns"]] == [None, None]
    assert [column["samples"][0] for column in understood["columns"]] == ["1", "2"]


def test_a_preview_shows_markers_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"a,b\n1,x\n NA ,NA\n")
    understood = head.preview(path, {"missing_markers": ["NA"]}, LIMITS)
    assert [column["samples"] for column in understood["columns"]] == [["1", None], ["x", None]]


def test_a_preview_of_parquet_is_its_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(corpus.parquet(corpus.table(a=np.arange(20_000.0), b=["x"] * 20_000)))
    understood = head.preview(path, {}, LIMITS)
    assert (understood["format"], understood["rows_looked_at"], understood["whole_file"]) == ("parquet", 10_000, False)
    assert [column["samples"][:2] for column in understood["columns"]] == [["0.0", "1.0"], ["x", "x"]]
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_a_file_that_needs_more_memory_than_allowed_ends_its_dataset_only(tmp_path: Path) -> None:
    """Through the preparing process: what no metadata gives away meets the process's own limit."""
    bomb, good = tmp_path / "bomb", tmp_path / "good"
    bomb.write_bytes(corpus.arrow_bomb())
    good.write_bytes(corpus.parquet(corpus.NUMBERS))
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "service.prepare", str(theirs.fileno())]
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment) as process:
        theirs.close()
        answers = [json.loads(ours.recv_bytes())]
        for path in (bomb, good):
            place = {"destination": str(tmp_path / "datasets" / path.name), "limits": LIMITS}
            ours.send_bytes(json.dumps({"id": 1, "do": "ingest", "path": str(path), "options": {}, **place}).encode())
            while "progress" in (answer := json.loads(ours.recv_bytes())):
                pass
            answers.append(answer)
        ours.close()
        assert process.wait(timeout=10) == 0
    assert answers[1]["error"]["code"] == "file_too_large"
    assert "100,000,000 bytes" in answers[1]["error"]["message"]
    assert answers[2]["ok"]["rows"] == 2
    assert [place.name for place in (tmp_path / "datasets").iterdir()] == ["good"]


def test_more_rows_than_allowed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    for content in (corpus.npy(np.ones((3, 1))), corpus.parquet(corpus.table(a=[1, 2, 3])), b"a\n1\n2\n3\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="3 rows, and 2 are allowed"):
            ingest.ingest_file(path, {}, tmp_path / "dataset", LIMITS | {"rows": 2})


def test_the_pickles_of_the_corpus_do_what_they_say_when_they_are_loaded() -> None:
    pickle.loads(pickle.dumps(corpus.Harm()))  # noqa: S301 - our own
    corpus.CANARY.rmdir()


def test_options_that_change_nothing_are_the_same_options() -> None:
    assert parse_options({}) == parse_options({"format": "auto", "delimiter": None, "decimal": None})
