"""Previews of what a URI names: the rules of every fetch, no more than it takes to look, and nothing is kept."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from service.file_options import parse_options
from service.imports import beginning
from service.imports.beginning import Beginning
from service.settings import Settings
from tests.integration.conftest import Api, running_api
from tests.web import ROWS, Listener, listening
from workers.errors import DataError

BUCKET = "gradsum-previews"


class Place(NamedTuple):
    """An API that may fetch from a server on loopback and from a directory."""

    api: Api
    web: Listener
    root: Path

    def preview(self, uri: str, **fields: Any) -> Any:
        return self.api.http.post("/v1/datasets?dry_run=true", json={"uri": uri, **fields})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("previews")
    (root := directory / "root").mkdir()
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as opened:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "word")
        web, s3 = opened.enter_context(listening()), ThreadedMotoServer(port=0, verbose=False)
        s3.start()
        opened.callback(s3.stop)
        settings = Settings(
            data_dir=directory, limit_fetch_seconds=6, import_roots=(root,), fetch_http=True, fetch_ports=(web.port,),
            fetch_private_hosts=("localhost",), s3_endpoint="http://{}:{}".format(*s3.get_host_and_port()),
            s3_region="eu-north-1", s3_buckets=(BUCKET,),
        )  # fmt: skip
        yield Place(opened.enter_context(running_api(settings)), web, root)


def test_a_preview_of_a_uri_is_that_of_an_upload_and_keeps_nothing(place: Place) -> None:
    upload: dict[str, Any] = {
        "files": {"file": ("data.csv", ROWS)},
        "data": {"options": '{"types": {"a": "category"}}'},
    }
    expected = place.api.http.post("/v1/datasets?dry_run=true", **upload).json()
    before = place.api.left()
    assert expected["columns"][0]["type"] == "category"
    (place.root / "data.csv").write_bytes(ROWS)
    for uri in (f"http://localhost:{place.web.port}/moved.csv", f"file://{place.root}/data.csv"):
        answer = place.preview(uri, name="data", options={"types": {"a": "category"}})
        assert (answer.status_code, answer.json()) == (200, expected)
    assert place.api.left() == before


def test_binary_files_and_folders_are_looked_at_as_a_whole(place: Place) -> None:
    (folder := place.root / "parts.parquet").mkdir()
    for name, value in (("b", 2), ("a", 1)):
        pyarrow.parquet.write_table(pa.table({"x": [value]}), folder / name)
    found = place.preview(f"file://{folder}/").json()
    assert (found["format"], found["rows_looked_at"], found["whole_file"], found["name"]) == (
        "parquet",
        2,
        True,
        "parts",
    )
    assert found["columns"][0]["samples"] == ["1", "2"]
    np.save(place.root / "array.npy", np.ones((400_000, 2)))  # more than the beginning of a CSV file
    found = place.preview(f"file://{place.root}/array.npy").json()
    assert (found["format"], found["bytes"], found["rows_looked_at"]) == ("npz", 6_400_128, 10_000)


def test_an_object_of_s3_is_looked_at_with_the_api_s_keys(place: Place) -> None:
    store = fs.S3FileSystem(
        endpoint_override=place.api.settings.s3_endpoint.removeprefix("http://"), scheme="http", region="eu-north-1",
        access_key="key", secret_key="word",  # noqa: S106 - of a server of our own
        allow_bucket_creation=True,
    )  # fmt: skip
    store.create_dir(BUCKET)
    with store.open_output_stream(f"{BUCKET}/data.csv") as stream:
        stream.write(ROWS)
    found = place.preview(f"s3://{BUCKET}/data.csv").json()
    assert (found["name"], found["rows_looked_at"], found["bytes"]) == ("data", 50, len(ROWS)), found


def test_of_a_large_csv_file_the_beginning_is_fetched_even_if_it_never_ends(place: Place) -> None:
    before = place.api.left()
    found = place.preview(f"http://localhost:{place.web.port}/endless.csv", options={"sha256": "a" * 64}).json()
    assert (found["bytes"], found["whole_file"]) == (None, False)
    assert [column["type"] for column in found["columns"]] == ["number", "number"]
    assert place.api.left() == before


@pytest.mark.parametrize(
    ("uri", "options", "code", "says"),
    [
        ("http://localhost:{web}/missing.csv", {}, "fetch_failed", "404 Not Found"),
        ("http://localhost:{web}/page.csv", {}, "fetch_failed", "web page"),
        ("http://localhost:{web}/drip.csv", {}, "fetch_failed", "longer than 6 seconds, the limit of a preview"),
        ("http://localhost:{web}/to?http://127.0.0.1:{web}/data.csv", {}, "uri_not_allowed", "127.0.0.1"),
        ("http://127.0.0.1:{web}/data.csv", {}, "uri_not_allowed", "127.0.0.1"),
        ("file:///etc/passwd", {}, "uri_not_allowed", "GRADSUM_IMPORT_ROOTS"),
        ("s3://other/a.csv", {}, "uri_not_allowed", "bucket"),
        ("http://localhost:{web}/data.csv", {"sha256": "a" * 64}, "checksum_mismatch", "options.sha256"),
        ("http://localhost:{web}/data.csv", {"format": "parquet"}, "format_mismatch", "parquet"),
        ("http://localhost:{web}/data.csv", {"formt": "csv"}, "invalid_options", "formt"),
    ],
)
def test_what_is_refused_is_refused_in_a_preview_and_leaves_nothing(
    place: Place, uri: str, options: dict[str, Any], code: str, says: str
) -> None:
    before = place.api.left()
    answer = place.preview(uri.format(web=place.web.port), options=options)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{code}"), answer.text
    assert says in answer.json()["detail"]
    assert place.api.left() == before


def test_only_text_is_cut_and_the_rest_has_a_limit() -> None:
    chunk = b"1,2\n" * 2**17
    text = Beginning(parse_options({}))
    assert (sum(map(len, text([chunk] * 9))), text.is_cut) == (5 * len(chunk), True)
    arrow = Beginning(parse_options({}))
    whole = [b"ARROW1" + chunk, *[chunk] * 100]
    assert (list(arrow(whole)), arrow.is_cut) == (whole, False)
    with pytest.raises(DataError, match="67,108,864 bytes") as caught:
        list(arrow(whole))  # a second file: they count together
    assert caught.value.code == "preview_too_large"
    assert len(chunk) * 5 > beginning.BEGINNING_BYTES
