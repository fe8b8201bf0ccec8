"""Datasets by URI: from the request to columns, through the real child, from real servers on loopback."""

import contextlib
import hashlib
import itertools
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest
import trustme
from fastapi.testclient import TestClient
from moto.server import ThreadedMotoServer
from pyarrow import fs

from service import logs, resources
from service.advancing import Advancing
from service.app import create_app
from service.child import Child
from service.imports.fetch import fetch
from service.imports.fetching import Fetching
from service.imports.registration import rules_of
from service.imports.s3 import Bucket
from service.paths import columns_directory
from service.preparation import Preparation
from service.progress import ToldProgress
from service.settings import Settings
from service.store import datasets
from service.store.database import Database, migrate
from service.uris import Rules
from tests.web import ROWS, Listener, listening
from workers.errors import DataError

LIMIT_BYTES = 100_000
BUCKET = "gradsum-test"


class Service(NamedTuple):
    """The API, and the dispatcher's part for datasets."""

    settings: Settings
    database: Database
    http: TestClient
    fetching: Fetching
    preparation: Preparation
    advancing: Advancing
    children: tuple[Child, Child]
    root: Path
    web: Listener
    secure: Listener

    def add(self, uri: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/datasets", json={"uri": uri, **fields})
        assert answer.status_code == 201, answer.text
        dataset: dict[str, Any] = answer.json()
        return dataset

    def step(self) -> None:
        for child in self.children:
            child.pump()
        with self.database.read() as connection:
            waiting = datasets.preparing(connection)
        for dataset in waiting:
            (self.preparation.ingest if dataset.uri is None else self.fetching.fetch)(dataset)
        self.advancing.record()

    def prepared(self, dataset_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (found := self.http.get(f"/v1/datasets/{dataset_id}").json())["status"] == "preparing":
            assert time.monotonic() < deadline
            self.step()
            time.sleep(0.01)
        dataset: dict[str, Any] = found
        return dataset

    def read(self, uri: str, **fields: Any) -> dict[str, Any]:
        return self.prepared(self.add(uri, **fields)["id"])

    def uploads(self) -> list[Path]:
        return list((self.settings.storage / "uploads").glob("*"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("imports")
    (root := directory / "root").mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as opened:
        patch.setenv("SSL_CERT_FILE", str(directory / "authority.pem"))
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "word")
        s3 = ThreadedMotoServer(port=0, verbose=False)
        s3.start()
        opened.callback(s3.stop)
        web, secure = opened.enter_context(listening()), opened.enter_context(listening(context))
        settings = Settings(
            data_dir=directory, limit_upload_bytes=LIMIT_BYTES, limit_fetch_seconds=2, import_roots=(root,),
            fetch_http=True, fetch_ports=(web.port, secure.port), fetch_private_hosts=("localhost",),
            s3_endpoint="http://{}:{}".format(*s3.get_host_and_port()), s3_region="eu-north-1",
            s3_buckets=(BUCKET, "gone"),
        )  # fmt: skip
        migrate(settings.database_url)
        database = Database(settings.database_url)
        opened.callback(database.close)
        log = logs.logger("test")
        fetching = Child("service.prepare", log, when_asked=True)
        children = fetching, Child("service.prepare", log, environment=resources.ENVIRONMENT)
        for child in children:
            opened.callback(child.stop)
        advancing = Advancing(database)
        fetching = Fetching(database, settings, children[0], log, advancing)
        preparation = Preparation(database, settings, children[1], log, advancing)
        with TestClient(create_app(settings, database), base_url="http://127.0.0.1") as http:
            yield Service(settings, database, http, fetching, preparation, advancing, children, root, web, secure)


def test_a_file_below_an_import_root_becomes_a_dataset(service: Service, tmp_path: Path) -> None:
    (service.root / "people 1.csv").write_bytes(ROWS)
    dataset = service.add(f"file://{service.root}/people%201.csv", tags={"team": "growth"})
    assert (dataset["status"], dataset["name"], dataset["sha256"], dataset["bytes"]) == (
        "preparing", "people 1", None, None,
    )  # fmt: skip
    ready = service.prepared(dataset["id"])
    assert (ready["status"], ready["rows"], ready["bytes"]) == ("ready", 50, len(ROWS))
    assert told(service, ready["source"]["uri"], tmp_path) == ("fetching", len(ROWS), len(ROWS))
    assert ready["sha256"] == hashlib.sha256(ROWS).hexdigest()
    assert ready["source"] == {"kind": "uri", "uri": f"file://{service.root}/people%201.csv"}
    assert ready["tags"] == {"team": "growth"}
    assert service.uploads() == []


def test_the_same_content_makes_no_new_version_and_both_ids_mean_the_same_dataset(service: Service) -> None:
    (service.root / "same.csv").write_bytes(ROWS)
    uri = f"file://{service.root}/same.csv"
    first = service.read(uri)
    again = service.add(uri)
    job = service.http.post("/v1/jobs", json={"dataset": again["id"], "target": "b"}).json()
    assert again["id"] != first["id"]
    assert service.prepared(again["id"]) == first
    assert [found["id"] for found in service.http.get("/v1/datasets?name=same").json()["data"]] == [first["id"]]
    assert service.http.delete(f"/v1/datasets/{first['id']}").json()["type"] == "/problems/dataset_in_use"
    uploaded = service.http.post("/v1/datasets", files={"file": ("same.csv", ROWS)}).json()
    assert uploaded["id"] == first["id"]
    (service.root / "same.csv").write_bytes(ROWS + b"7,7\n")
    assert service.read(uri)["version"] == 2
    assert service.http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_deleting_the_dataset_forgets_its_other_ids_too(service: Service) -> None:
    (service.root / "twice.csv").write_bytes(ROWS)
    uri = f"file://{service.root}/twice.csv"
    first, second = service.read(uri)["id"], service.add(uri)["id"]
    service.prepared(second)
    assert service.http.delete(f"/v1/datasets/{second}").json()["id"] == first
    assert {service.http.get(f"/v1/datasets/{key}").status_code for key in (first, second)} == {404}


def test_a_dataset_that_is_deleted_before_it_is_fetched_takes_nothing_else_with_it(service: Service) -> None:
    (service.root / "kept.csv").write_bytes(ROWS)
    kept = service.read(f"file://{service.root}/kept.csv")
    doomed = service.add(f"file://{service.root}/kept.csv", name="doomed")
    assert service.http.delete(f"/v1/datasets/{doomed['id']}").status_code == 200
    with service.database.read() as connection:
        row = datasets.get(connection, kept["id"])
    assert row is not None
    assert columns_directory(service.settings.storage, row.content_key).is_dir()
    assert service.http.get(f"/v1/datasets/{kept['id']}").json() == kept


def test_https_is_fetched_by_the_name_that_the_certificate_has(service: Service) -> None:
    service.secure.seen.clear()
    ready = service.read(f"https://localhost:{service.secure.port}/moved.csv?token=secret", name="secure")
    assert (ready["status"], ready["rows"]) == ("ready", 50), ready
    assert [host for host, _ in service.secure.seen] == [f"localhost:{service.secure.port}"] * 2
    assert [path for _, path in service.secure.seen] == ["/moved.csv?token=secret", "/data.csv?from=moved"]
    assert ready["source"]["uri"] == f"https://localhost:{service.secure.port}/moved.csv?token=…"


def test_the_record_keeps_no_secret_of_a_uri_once_it_is_fetched(service: Service) -> None:
    for path in ("data", "missing"):
        found = service.read(f"http://localhost:{service.web.port}/{path}.csv?token=hidden{path}", name="secret")
        with service.database.read() as connection:
            assert "hidden" not in repr(datasets.get(connection, found["id"]))


def test_a_certificate_of_another_name_is_refused(service: Service, tmp_path: Path) -> None:
    rules = Rules(fetch_ports=(service.secure.port,), fetch_private_hosts=("files.internal",))
    with pytest.raises(DataError, match="certificate verify failed"):
        fetch(
            f"https://files.internal:{service.secure.port}/data.csv",
            rules,
            Bucket(),
            1000,
            tmp_path / "x",
            lambda *_: ["127.0.0.1"],
        )


def test_an_object_of_s3_becomes_a_dataset(service: Service, tmp_path: Path) -> None:
    host = service.settings.s3_endpoint.removeprefix("http://")
    store = fs.S3FileSystem(
        endpoint_override=host, scheme="http", region="eu-north-1", access_key="key",
        secret_key="word",  # noqa: S106 - of a server of our own
        allow_bucket_creation=True,
    )  # fmt: skip
    store.create_dir(BUCKET)
    with store.open_output_stream(f"{BUCKET}/folder/data 1.csv") as stream:
        stream.write(ROWS)
    ready = service.read(f"s3://{BUCKET}/folder/data%201.csv")
    assert (ready["status"], ready["name"], ready["rows"]) == ("ready", "data 1", 50), ready
    assert told(service, f"s3://{BUCKET}/folder/data%201.csv", tmp_path) == ("fetching", len(ROWS), len(ROWS))
    for uri, cause in ((f"s3://{BUCKET}/none.csv", "none.csv"), ("s3://gone/a.csv", "gone")):
        error = service.read(uri)["error"]
        assert error["code"] == "fetch_failed"
        assert cause in error["message"]


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("missing", "404 Not Found"),
        ("broken", "500 Internal Server Error"),
        ("page", "web page"),
        ("bomb", "more than 100,000 bytes"),
        ("torn", "in gzip and not whole"),
        ("brotli", "compresses the answer (br)"),
        ("declared", "10,000,000,000 bytes"),
        ("endless", "more than 100,000 bytes"),
        ("cut", "broken or not whole"),
        ("circle", "more than 5 times"),
        ("lost", "Invalid URL"),
    ],
)
def test_a_fetch_that_fails_ends_as_failed_with_the_cause(service: Service, path: str, cause: str) -> None:
    started = time.monotonic()
    failed = service.read(f"http://localhost:{service.web.port}/{path}.csv")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "fetch_failed")
    assert cause in failed["error"]["message"]
    assert (failed["sha256"], failed["rows"]) == (None, None)
    assert service.uploads() == []
    assert time.monotonic() - started < 10


def test_a_fetch_that_takes_long_shows_how_far_it_is_until_it_ends(service: Service) -> None:
    dataset = service.add(f"http://localhost:{service.web.port}/drip.csv")
    seen = []
    while (found := service.http.get(f"/v1/datasets/{dataset['id']}").json())["status"] == "preparing":
        seen.append(found["progress"])
        service.step()
        time.sleep(0.01)
    assert "longer than 2 seconds" in found["error"]["message"]
    assert {"phase": "fetching", "unit": "bytes", "done": 0, "of": None} in seen  # less than a chunk came
    assert (seen[0], found["progress"]) == (None, None)


@pytest.mark.parametrize(("path", "of"), [("data", len(ROWS)), ("moved", len(ROWS)), ("packed", None)])
def test_a_fetch_is_of_as_many_bytes_as_are_announced(
    service: Service, tmp_path: Path, path: str, of: int | None
) -> None:
    assert told(service, f"http://localhost:{service.web.port}/{path}.csv", tmp_path) == ("fetching", len(ROWS), of)


def told(service: Service, uri: str, directory: Path) -> tuple[str, int, int | None]:
    """What was said last of a fetch: phase, bytes, and of how many."""
    said: list[dict[str, Any]] = []
    progress = ToldProgress(said.append, itertools.count().__next__)
    settings = service.settings
    s3 = Bucket(settings.s3_endpoint, settings.s3_region)
    fetch(uri, rules_of(settings), s3, LIMIT_BYTES, directory / "fetched", progress=progress)
    return said[-1]["phase"], said[-1]["done"], said[-1]["of"]


def test_an_answer_in_gzip_is_unpacked(service: Service) -> None:
    ready = service.read(f"http://localhost:{service.web.port}/packed.csv", name="packed")
    assert (ready["status"], ready["sha256"]) == ("ready", hashlib.sha256(ROWS).hexdigest()), ready


def test_a_folder_of_parquet_files_becomes_a_dataset_and_leaves_nothing(service: Service, tmp_path: Path) -> None:
    (folder := service.root / "parts.parquet").mkdir()
    for name, value in (("b", 2), ("a", 1)):
        pyarrow.parquet.write_table(pa.table({"x": [value]}), folder / name)
    ready = service.read(f"file://{folder}/")
    assert (ready["status"], ready["name"], ready["rows"]) == ("ready", "parts", 2), ready
    assert told(service, f"file://{folder}/", tmp_path) == ("fetching", ready["bytes"], None)
    assert service.uploads() == []


@pytest.mark.parametrize(
    ("content", "options", "code", "fields"),
    [
        (b"a,b\n1,2\n3\n", {}, "ragged_row", []),
        (ROWS, {"sha256": "0" * 64}, "checksum_mismatch", ["options.sha256"]),
        (ROWS, {"types": {"c": "text"}}, "column_not_found", ["options.types"]),
    ],
)
def test_data_that_is_fetched_but_wrong_is_refused_like_an_upload(
    service: Service, content: bytes, options: dict[str, Any], code: str, fields: list[str]
) -> None:
    (service.root / "wrong.csv").write_bytes(content)
    failed = service.read(f"file://{service.root}/wrong.csv", options=options)
    assert failed["status"] == "failed"
    late = failed["error"]
    assert (late.pop("code"), late.pop("message")) == (code, late["detail"])
    upload = {"files": {"file": ("wrong.csv", content)}, "data": {"options": json.dumps(options)}}
    answer = service.http.post("/v1/datasets", **upload)
    early = answer.json()
    assert early.pop("request_id")
    assert (answer.status_code, late) == (422, early)
    assert (late["type"], [error["field"] for error in late["errors"]]) == (f"/problems/{code}", fields)
    assert service.uploads() == []


def test_what_is_fetched_must_have_the_checksum_that_was_given(service: Service) -> None:
    """B36."""
    (service.root / "checked.csv").write_bytes(ROWS)
    uri, mine, other = f"file://{service.root}/checked.csv", hashlib.sha256(ROWS).hexdigest(), "0" * 64
    failed = service.read(uri, options={"sha256": other})
    assert (failed["status"], failed["error"]["code"]) == ("failed", "checksum_mismatch")
    assert other in failed["error"]["message"]
    assert mine in failed["error"]["message"]
    assert service.uploads() == []
    assert service.read(uri, options={"sha256": mine})["status"] == "ready"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"uri": "file:///etc/passwd"}, "uri_not_allowed", "uri"),
        ({"uri": "file:///no/such/file"}, "uri_not_allowed", "uri"),
        ({"uri": "https://169.254.169.254/latest"}, "uri_not_allowed", "uri"),
        ({"uri": "s3://other/a.csv"}, "uri_not_allowed", "uri"),
        ({"uri": "gopher://example.org/"}, "uri_not_allowed", "uri"),
        ({"uri": 3}, "invalid_request", "uri"),
        ({"uri": "https://example.org/a.csv", "option": {}}, "invalid_request", "option"),
        ({"uri": "https://example.org/a.csv", "options": {"x": 1}}, "invalid_options", "options.x"),
        ({"uri": "https://example.org/a.csv", "tags": {"a": 1}}, "invalid_request", "tags.a"),
        ({"uri": "https://example.org/"}, "invalid_name", "name"),
        ({"uri": "https://example.org/a.csv", "name": "a@1"}, "invalid_name", "name"),
        ({"name": "a"}, "invalid_request", "uri"),
        ([], "invalid_request", "body"),
    ],
)
def test_what_needs_no_network_is_refused_at_once(service: Service, body: Any, code: str, field: str) -> None:
    before = service.http.get("/v1/datasets").json()
    answer = service.http.post("/v1/datasets", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"/problems/{code}"), problem
    assert problem["errors"][0]["field"] == field
    assert service.http.get("/v1/datasets").json() == before


def test_json_has_the_limit_of_json_and_another_type_is_told_of_both(service: Service) -> None:
    answer = service.http.post("/v1/datasets", content=b" " * (2**20 + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    document = service.http.get("/openapi.json").json()["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]
    assert set(document) == {"application/json", "multipart/form-data"}


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (("127.0.0.1",), "/data.csv"),
        (("8.8.8.8", "127.0.0.1"), "/data.csv"),
        (("::1",), "/data.csv"),
        (("::ffff:127.0.0.1",), "/data.csv"),
        (("0.0.0.0",), "/data.csv"),  # noqa: S104 - not bound
        (("100.64.0.1",), "/data.csv"),
    ],
)
def test_a_name_that_leads_to_a_private_network_gets_no_packet(
    service: Service, tmp_path: Path, address: tuple[str, ...], path: str, connections: list[object]
) -> None:
    rules = Rules(fetch_http=True, fetch_ports=(service.web.port,))
    with pytest.raises(DataError) as raised:
        fetch(f"http://example.org:{service.web.port}{path}", rules, Bucket(), 1000, tmp_path / "x", lambda *_: address)
    assert raised.value.code == "uri_not_allowed"
    assert connections == []


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Where this process connects to, however it does; it still does."""
    found: list[object] = []
    create_connection, connect = socket.create_connection, socket.socket.connect

    def watched(address: Any, *rest: Any, **options: Any) -> socket.socket:
        found.append(address)
        return create_connection(address, *rest, **options)

    def watched_connect(self: socket.socket, address: Any) -> None:
        found.append(address)
        connect(self, address)

    monkeypatch.setattr(socket, "create_connection", watched)
    monkeypatch.setattr(socket.socket, "connect", watched_connect)
    return found


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/data.csv", "http://[::1]:{port}/data.csv", "http://2130706433:{port}/data.csv",
        "http://inner.example:{port}/data.csv", "//inner.example:{port}/data.csv", "file:///etc/passwd",
        "http://user@localhost:{port}/data.csv", "http://localhost:1/data.csv", "gopher://localhost:{port}/",
        "s3://gradsum-test/a.csv",
    ],
)  # fmt: skip
def test_a_redirect_is_held_to_the_same_rules(
    service: Service, tmp_path: Path, target: str, connections: list[object]
) -> None:
    with listening() as private:
        rules = Rules(
            fetch_http=True, fetch_ports=(service.web.port, private.port), fetch_private_hosts=("localhost",),
            s3_buckets=("gradsum-test",), import_roots=("/etc",),
        )  # fmt: skip
        uri = f"http://localhost:{service.web.port}/to?" + target.format(port=private.port)
        with pytest.raises(DataError) as raised:
            fetch(uri, rules, Bucket(), 1000, tmp_path / "x", lambda *_: ["127.0.0.1"])
        assert raised.value.code == "uri_not_allowed"
        assert private.seen == []
        assert {address[1] for address in connections if isinstance(address, tuple)} == {service.web.port}


def test_a_name_is_resolved_once_so_that_it_cannot_be_rebound(
    service: Service, tmp_path: Path, connections: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is connected to; a second answer of the name server is never asked for."""
    answers = iter([["192.88.98.1"], ["127.0.0.1"]])
    rules = Rules(fetch_http=True, fetch_ports=(service.web.port,))
    before = len(service.web.seen)

    def refuse(address: Any, *_: Any, **__: Any) -> socket.socket:
        connections.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    uri = f"http://example.org:{service.web.port}/data.csv"
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(DataError) as raised:
        fetch(uri, rules, Bucket(), 1000, tmp_path / "x", lambda *_: next(answers))
    assert raised.value.code == "fetch_failed"
    assert connections == [("192.88.98.1", service.web.port)]
    assert next(answers) == ["127.0.0.1"]
    assert len(service.web.seen) == before


def test_proxies_of_the_environment_are_not_asked(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    rules = Rules(fetch_http=True, fetch_ports=(service.web.port,), fetch_private_hosts=("localhost",))
    found = fetch(f"http://localhost:{service.web.port}/data.csv", rules, Bucket(), 10_000, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == ROWS
    assert found == (hashlib.sha256(ROWS).hexdigest(), len(ROWS))
