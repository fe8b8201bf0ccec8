"""What the API answers to requests that make no sense: one row a request, and nothing is left of any."""

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from service.paths import model_directory
from service.store import datasets, jobs, models
from tests.integration.conftest import Api
from workers import model as trained_models
from workers.network import Network
from workers.preprocessing import NumberFeature, Preprocessing

FLOWERS = "width,height,kind,petals\n" + "".join(
    f"{i % 7},{i % 5}.5,{'rose' if i % 2 else 'iris'},{i % 3}\n" for i in range(40)
)
JSON = {"Content-Type": "application/json"}
JOB = {"dataset": "flowers", "target": "kind"}


class Row(NamedTuple):
    """A request, and what the answer must be."""

    name: str
    request: dict[str, Any]
    status: int
    code: str
    says: tuple[str, ...]
    path: str = "/v1/jobs"
    method: str = "POST"


def job(**fields: Any) -> dict[str, Any]:
    return {"json": JOB | fields}


def training(**fields: Any) -> dict[str, Any]:
    return job(training=fields)


def raw(content: bytes | str, **headers: str) -> dict[str, Any]:
    return {"content": content, "headers": JSON | headers}


def rate(number: str) -> dict[str, Any]:
    return raw(f'{{"dataset": "flowers", "target": "kind", "training": {{"learning_rate": {number}}}}}')


def csv(text: str | bytes, file_name: str = "table.csv", **fields: str) -> dict[str, Any]:
    return {"files": {"file": (file_name, text)}, "data": fields}


def chunks(n_bytes: int) -> Iterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    for _ in range(n_bytes // 1000):
        yield b"1" * 1000


def predict(**fields: Any) -> dict[str, Any]:
    return {"json": fields}


BODIES = [
    Row("malformed JSON", raw('{"dataset": "flowers",, }'), 400, "invalid_json", ("line 1, column 23",)),
    Row("truncated JSON", raw('{"dataset": "flo'), 400, "invalid_json", ("character 12",)),
    Row("empty body", raw(""), 400, "invalid_json", ("empty",)),
    Row("bad UTF-8", raw(b'{"dataset": "\xff"}'), 400, "invalid_json", ("byte 13",)),
    Row("UTF-16", raw(json.dumps(JOB).encode("utf-16")), 400, "invalid_json", ("UTF-8",)),
    Row("nested 100 000 deep", raw("[" * 100_000 + "]" * 100_000), 400, "too_deep", ("64",)),
    Row("nested 65 deep", raw('{"tags": ' + "[" * 65 + "]" * 65 + "}"), 400, "too_deep", ("64",)),
    Row("an integer of 5000 digits", rate("9" * 5000), 400, "invalid_number", ("5000 digits",)),
    Row("over 1 MiB", raw(b" " * (2**20 + 1)), 413, "body_too_large", ("1,048,576",)),
    Row("a key twice", raw('{"dataset": "a", "dataset": "b"}'), 400, "duplicate_key", ("'dataset'",)),
    Row("no object", raw("[1]"), 422, "invalid_spec", ("must be an object",)),
    Row("no content type", {"content": "{}"}, 415, "unsupported_media_type", ("application/json",)),
    Row(
        "another content type", {"data": {"a": "b"}}, 415, "unsupported_media_type", ("application/json", "urlencoded")
    ),
    Row("gzip", raw("{}", **{"Content-Encoding": "gzip"}), 415, "unsupported_media_type", ("gzip",)),
    Row(
        "no JSON accepted", {**job(), "headers": {"Accept": "image/png"}}, 406, "not_acceptable", ("application/json",)
    ),
    Row("a lone surrogate", raw('{"name": "\\ud800"}'), 422, "invalid_characters", ("name",)),
    Row("NUL in a tag", raw('{"tags": {"a": "\\u0000"}}'), 422, "invalid_characters", ("tags.a",)),
    Row("NUL in a key", raw('{"tags": {"\\u0000": "a"}}'), 422, "invalid_characters", ("tags",)),
]
NUMBERS = [
    Row(f"learning rate {text}", rate(text), 422, "nonfinite_number", ("training.learning_rate", "finite"))
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")
]
SPECS = [
    Row("an unknown field", job(trainning={}), 422, "invalid_spec", ("trainning", "did you mean 'training'")),
    Row("a misspelt field", training(epoch=5), 422, "invalid_spec", ("training.epoch", "'epochs'")),
    Row("no target", {"json": {"dataset": "flowers"}}, 422, "invalid_spec", ("target", "is required")),
    Row("a wrong target", job(target="kinds"), 422, "invalid_spec", ("'kinds'", "did you mean 'kind'")),
    Row("a target of another type", job(target=3), 422, "invalid_spec", ("target", "not 3")),
    Row("the target as a feature", job(features=["kind"]), 422, "invalid_spec", ("features[0]", "is the target")),
    Row("a feature that is not there", job(features=["weight"]), 422, "invalid_spec", ("features[0]", "'weight'")),
    Row("no dataset", {"json": {"target": "kind"}}, 422, "invalid_spec", ("dataset", "is required")),
    Row(
        "an unknown dataset",
        job(dataset="flower"),
        422,
        "dataset_not_found",
        ("gradsum dataset add FILE --name flower",),
    ),
    Row("an unknown version", job(dataset="flowers@7"), 422, "dataset_not_found", ("'flowers@7'",)),
    Row("a version that is none", job(dataset="flowers@x"), 422, "dataset_not_found", ("'flowers@x'",)),
    Row("a huge version", job(dataset="flowers@" + "9" * 30), 422, "dataset_not_found", ("flowers@9",)),
    Row("an unknown dataset id", job(dataset="ds_0"), 422, "dataset_not_found", ("'ds_0'",)),
    Row("SQL as a dataset", job(dataset="x'; DROP TABLE jobs; --"), 422, "dataset_not_found", ("DROP TABLE",)),
    Row("a dataset that failed", job(dataset="broken"), 422, "dataset_failed", ("Row 7 has 3 values",)),
    Row(
        "a layer of 0",
        job(network={"hidden_layers": [0]}),
        422,
        "invalid_spec",
        ("network.hidden_layers[0]", "at least 1"),
    ),
    Row("a layer of -3", job(network={"hidden_layers": [-3]}), 422, "invalid_spec", ("network.hidden_layers[0]",)),
    Row(
        "10 000 layers",
        job(network={"hidden_layers": [1] * 10_000}),
        422,
        "invalid_spec",
        ("network.hidden_layers", "100"),
    ),
    Row("a memory bomb", job(network={"hidden_layers": [10**7] * 2}), 422, "invalid_spec", ("1,000,000,000",)),
    Row(
        "a memory bomb before the data is read",
        job(dataset="unread", network={"hidden_layers": [10**7] * 2}),
        422,
        "invalid_spec",
        ("1,000,000,000",),
    ),
    Row(
        "learning rate 0", training(learning_rate=0), 422, "invalid_spec", ("training.learning_rate", "greater than 0")
    ),
    Row("learning rate 1e30", training(learning_rate=1e30), 422, "invalid_spec", ("at most 1e+06",)),
    Row("learning rate null", training(learning_rate=None), 422, "invalid_spec", ("training.learning_rate", "null")),
    Row("an integer beyond floats", training(learning_rate=10**299), 422, "invalid_spec", ("training.learning_rate",)),
    Row("momentum 1.5", training(optimizer={"name": "momentum", "beta": 1.5}), 422, "invalid_spec", ("beta",)),
    Row("batch size 0", training(batch_size=0), 422, "invalid_spec", ("training.batch_size", "at least 1")),
    Row("epochs as text", training(epochs="5"), 422, "invalid_spec", ("training.epochs", "whole number")),
    Row("epochs as truth", training(epochs=True), 422, "invalid_spec", ("training.epochs", "whole number")),
    Row("half an epoch", training(epochs=2.5), 422, "invalid_spec", ("training.epochs", "whole number")),
    Row("a thousand million epochs", training(epochs=10**9), 422, "invalid_spec", ("training.epochs", "10,000,000")),
    Row("a million workers", job(resources={"workers": 10**6}), 422, "invalid_spec", ("resources.workers", "1,024")),
    Row("a million shards", job(resources={"shards": 10**6}), 422, "invalid_spec", ("resources.shards", "4,096")),
    Row("an unknown loss", training(loss="mse"), 422, "invalid_spec", ("training.loss", "squared_error")),
    Row(
        "an unknown optimizer",
        training(optimizer="sgd"),
        422,
        "invalid_spec",
        ("training.optimizer", "gradient_descent"),
    ),
    Row("an unknown activation", job(network={"activation": "gelu"}), 422, "invalid_spec", ("relu",)),
    Row(
        "cross-entropy for a regression",
        {
            "json": {
                "dataset": "flowers",
                "target": "height",
                "task": "regression",
                "training": {"loss": "cross_entropy"},
            }
        },
        422,
        "invalid_spec",
        ("training.loss", "squared_error"),
    ),
    Row(
        "two targets to classify",
        job(target=["kind", "petals"], task="classification"),
        422,
        "invalid_spec",
        ("target",),
    ),
    Row("a control character in the name", job(name="a\x1b[31m"), 422, "invalid_spec", ("name",)),
    Row("a bidirectional name", job(name="a\u202egpj"), 422, "invalid_characters", ("U+202E",)),
    Row("an unknown query parameter", job(), 422, "unknown_field", ("did you mean 'dry_run'",), "/v1/jobs?dryrun=true"),
    Row(
        "a dry run of 'perhaps'", job(), 422, "invalid_request", ("must be true or false",), "/v1/jobs?dry_run=perhaps"
    ),
    Row("a dry run of a wrong target", job(target="kinds"), 422, "invalid_spec", ("'kinds'",), "/v1/jobs?dry_run=true"),
    Row("an empty key", {**job(), "headers": {"Idempotency-Key": ""}}, 400, "invalid_idempotency_key", ("1 to 255",)),
    Row(
        "a key of 10 KB",
        {**job(), "headers": {"Idempotency-Key": "k" * 10_000}},
        400,
        "invalid_idempotency_key",
        ("255",),
    ),
    Row(
        "a key with another body",
        {**job(name="other"), "headers": {"Idempotency-Key": "used"}},
        422,
        "idempotency_key_reused",
        ("another body",),
    ),
]
FILL = "Set preprocessing.missing_values to mean or most_frequent"
GAPS = {"dataset": "gaps", "target": "height", "task": "regression"}
MISSING = [
    Row(
        "a target with gaps", job(dataset="gaps"), 422, "missing_values", ("'kind'", "9 of 27 rows", "Fill the column")
    ),
    Row(
        "features with gaps",
        job(**GAPS, features=["width", "kind"]),
        422,
        "missing_values",
        ("'width' has no value in 18 of 27 rows", "1 more", FILL),
    ),
    Row(
        "features without a value",
        job(**GAPS, features=["width", "empty"], preprocessing={"missing_values": "mean"}),
        422,
        "all_missing",
        ("'empty'", "any of the 27 rows", "Leave it out"),
    ),
    Row(
        "weights with gaps",
        job(**GAPS, features=["empty"], weight_column="weight"),
        422,
        "invalid_spec",
        ("'weight'", "9 missing values", "give each row a weight"),
    ),
    Row("weights below 0", job(dataset="debts", weight_column="weight"), 422, "invalid_spec", ("below 0", "0 or more")),
]
UPLOADS = [
    row._replace(path=row.path if row.path != "/v1/jobs" else "/v1/datasets")
    for row in [
        Row(
            "text in a numeric column",
            csv("a,b\n" + "1,2\n" * 20 + "3,n/a\n"),
            422,
            "column_has_text",
            ("'b'", "n/a", "22"),
        ),
        Row("a ragged CSV", csv("a,b\n1,2\n3\n"), 422, "ragged_row", ("3",)),
        Row("an empty file", csv(""), 422, "dataset_empty", ("empty",)),
        Row("a header only", csv("a,b\n"), 422, "dataset_empty", ("no rows",)),
        Row("an unclosed quote", csv('a,b\n1,"2\n3,4\n'), 422, "unclosed_quote", ("quote",)),
        Row("not UTF-8", csv(b"a,b\n1,\xff\xfe\n"), 422, "not_utf8", ("UTF-8",)),
        Row("NaN in a column", csv("a,b\n1,NaN\n2,3\n"), 422, "nonfinite_values", ("'b'",)),
        Row("a column twice", csv("a,a\n1,2\n"), 422, "duplicate_column", ("'a'",)),
        Row("a web page", csv("<!DOCTYPE html><html><body>Log in</body></html>"), 422, "format_mismatch", ("HTML",)),
        Row("a zip file", csv(b"PK\x03\x04" + bytes(100)), 422, "file_corrupt", ("archive", "cut off")),
        Row(
            "an unknown option",
            csv("a\n1\n", options='{"delimitr": ";"}'),
            422,
            "invalid_options",
            ("options.delimitr",),
        ),
        Row("options that are no JSON", csv("a\n1\n", options="{"), 422, "invalid_json", ("options",)),
        Row("options that are no object", csv("a\n1\n", options="[]"), 422, "invalid_request", ("options",)),
        Row("tags that are no text", csv("a\n1\n", tags='{"a": 1}'), 422, "invalid_request", ("tags.a",)),
        Row("a name with @", csv("a\n1\n", name="a@3"), 422, "invalid_name", ("@",)),
        Row("a name with /", csv("a\n1\n", name="a/b"), 422, "invalid_name", ("/",)),
        Row("a name like an id", csv("a\n1\n", name="job_1"), 422, "invalid_name", ("job_",)),
        Row("an empty name", csv("a\n1\n", name=" "), 422, "invalid_name", ("1 to 200",)),
        Row("a name of 201 characters", csv("a\n1\n", name="n" * 201), 422, "invalid_name", ("200",)),
        Row("NUL in a name", csv("a\n1\n", name="a\0b"), 422, "invalid_characters", ("U+0000",)),
        Row("a bidirectional name", csv("a\n1\n", name="a\u202eb"), 422, "invalid_characters", ("U+202E",)),
        Row("no file", {"files": {"name": (None, "x")}}, 422, "invalid_request", ("file", "required")),
        Row("text for a file", {"files": {"file": (None, "a,b")}}, 422, "invalid_request", ("file",)),
        Row(
            "two files",
            {"files": [("file", ("a", "1")), ("file", ("b", "2"))]},
            400,
            "invalid_form",
            ("Too many files",),
        ),
        Row(
            "a misspelt field",
            csv("a\n1\n", nmae="zz", bogus="1"),
            422,
            "unknown_field",
            ("nmae is not a known field of this form (did you mean 'name'?)", "bogus is not"),
        ),
        Row(
            "a field after the file",
            {"files": [("file", ("a", "a\n1\n")), ("tag", (None, "{}"))]},
            422,
            "unknown_field",
            ("tag", "'tags'"),
        ),
        Row(
            "a file by another name",
            {"files": [("upload", ("a.csv", "a\n1\n"))]},
            422,
            "unknown_field",
            ("upload is not a known field",),
        ),
        Row(
            "a name twice",
            {"files": [("name", (None, "a")), ("name", (None, "b")), ("file", ("a.csv", "a\n1\n"))]},
            422,
            "repeated_field",
            ("name stands more than once",),
        ),
        Row(
            "a key with another upload",
            {**csv("a\n1\n"), "headers": {"Idempotency-Key": "used"}},
            422,
            "idempotency_key_reused",
            ("another body",),
        ),
        Row(
            "an empty key of an upload",
            {**csv("a\n1\n"), "headers": {"Idempotency-Key": ""}},
            400,
            "invalid_idempotency_key",
            ("1 to 255",),
        ),
        Row(
            "too many fields", {"files": [(f"f{i}", (None, "x")) for i in range(99)]}, 400, "invalid_form", ("fields",)
        ),
        Row(
            "no boundary",
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "invalid_form",
            ("boundary",),
        ),
        Row(
            "a truncated form",
            {"content": list(chunks(2000)), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "invalid_form",
            ("last boundary",),
        ),
        Row("a URI that is not allowed", {"json": {"uri": "file:///etc/passwd"}}, 422, "uri_not_allowed", ("uri",)),
        Row("a JSON body over 1 MiB", raw(b" " * (2**20 + 1)), 413, "body_too_large", ("1,048,576",)),
        Row("plain text", {"content": "a,b"}, 415, "unsupported_media_type", ("multipart/form-data",)),
        Row("over the limit", csv("a\n" + "1\n" * 200_000), 413, "body_too_large", ("200,000 bytes",)),
        Row(
            "over the limit in chunks",
            {"content": list(chunks(10**6)), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            413,
            "body_too_large",
            ("200,000 bytes",),
        ),
        Row("a dry run", csv("a,b\n1\n"), 422, "ragged_row", ("Row 2",), "/v1/datasets?dry_run=true"),
    ]
]
PLACES = [
    Row("an unknown path", {}, 404, "not_found", ("/v1/nothing",), "/v1/nothing", "GET"),
    Row("pause, which there is not", {}, 404, "not_found", ("pause",), "/v1/jobs/{queued}/pause"),
    Row("a slash too many", {}, 404, "not_found", (), "/v1/jobs/", "GET"),
    Row("a wrong method", {}, 405, "method_not_allowed", ("Allow",), "/v1/jobs/{queued}", "PATCH"),
    Row("an unknown job", {}, 404, "not_found", ("'job_x'",), "/v1/jobs/job_x", "GET"),
    Row("an unknown dataset", {}, 404, "not_found", ("'ds_x'",), "/v1/datasets/ds_x", "DELETE"),
    Row("an unknown model", {}, 404, "not_found", ("'x'",), "/v1/models/x", "GET"),
    Row("dots for an id", {}, 404, "not_found", (), "/v1/jobs/%2e%2e%2f%2e%2e", "GET"),
    Row("NUL for an id", {}, 404, "not_found", (), "/v1/jobs/job%00", "GET"),
    Row("bytes for an id", {}, 404, "not_found", (), "/v1/jobs/%ff%fe", "GET"),
    Row("an id of 10 KB", {}, 404, "not_found", (), "/v1/jobs/" + "x" * 10_000, "GET"),
    Row("SQL for an id", {}, 404, "not_found", (), "/v1/jobs/'%20OR%201=1--", "GET"),
    Row("limit 0", {}, 422, "invalid_request", ("limit", "1"), "/v1/jobs?limit=0", "GET"),
    Row("limit -1", {}, 422, "invalid_request", ("limit",), "/v1/models?limit=-1", "GET"),
    Row("limit 10⁹", {}, 422, "invalid_request", ("limit", "1000"), "/v1/datasets?limit=1000000000", "GET"),
    Row("limit in words", {}, 422, "invalid_request", ("from 1 to 1000, not",), "/v1/datasets?limit=ten", "GET"),
    Row("a name of 1 000", {}, 422, "invalid_request", ("at most 200",), "/v1/jobs?name=" + "x" * 1000, "GET"),
    Row("a forged cursor", {}, 400, "invalid_cursor", ("after",), "/v1/jobs?after=job_x", "GET"),
    Row("a foreign cursor", {}, 400, "invalid_cursor", ("after",), "/v1/datasets?after={queued}", "GET"),
    Row("a forged cursor of models", {}, 400, "invalid_cursor", ("after",), "/v1/models?after=zzz", "GET"),
    Row("NUL in a filter", {}, 422, "invalid_characters", ("NUL",), "/v1/jobs?name=%00", "GET"),
    Row("an unknown state", {}, 422, "invalid_request", ("status", "queued"), "/v1/jobs?status=waiting", "GET"),
    Row("an unknown filter", {}, 422, "unknown_field", ("'limit'",), "/v1/jobs?limt=3", "GET"),
    Row(
        "a huge epoch",
        {},
        422,
        "invalid_request",
        ("after_epoch",),
        "/v1/jobs/{queued}/metrics?after_epoch=1" + "0" * 30,
        "GET",
    ),
    Row("weights too early", {}, 409, "job_not_succeeded", ("is queued",), "/v1/jobs/{queued}/weights", "GET"),
    Row("B50 cancel of a final job", {}, 409, "wrong_state", ("is succeeded", "delete"), "/v1/jobs/{succeeded}/cancel"),
    Row("B50 resume of a queued job", {}, 409, "wrong_state", ("is queued", "cancel"), "/v1/jobs/{queued}/resume"),
    Row("B50 resume of a final job", {}, 409, "wrong_state", ("is succeeded", "delete"), "/v1/jobs/{succeeded}/resume"),
    Row("B50 delete of a queued job", {}, 409, "wrong_state", ("is queued", "cancel"), "/v1/jobs/{queued}", "DELETE"),
    Row("delete of a job with a model", {}, 409, "job_in_use", ("'garden'",), "/v1/jobs/{succeeded}", "DELETE"),
    Row("delete of a dataset in use", {}, 409, "dataset_in_use", ("flowers@1",), "/v1/datasets/{flowers}", "DELETE"),
]
PREDICTIONS = [
    row._replace(path=row.path if row.path != "/v1/jobs" else "/v1/models/garden/predict")
    for row in [
        Row("no rows", predict(), 422, "invalid_request", ("rows", "required")),
        Row("an empty list", predict(rows=[]), 422, "invalid_request", ("rows", "at least 1")),
        Row("too few values", predict(rows=[[1]]), 422, "wrong_width", ("rows[0]", "takes 2")),
        Row("a missing column", predict(rows=[{"width": 1}]), 422, "missing_column", ("'height'",)),
        Row("text for a number", predict(rows=[[1, "2"]]), 422, "invalid_rows", ("rows[0]", "'height'")),
        Row("null for a number", predict(rows=[[1, None]]), 422, "invalid_rows", ("null",)),
        Row("truth for a number", predict(rows=[[1, True]]), 422, "invalid_rows", ("rows[0].height",)),
        Row("rows of numbers", predict(rows=[1, 2]), 422, "invalid_rows", ("rows[0]",)),
        Row("NaN", raw('{"rows": [[1, NaN]]}'), 422, "nonfinite_number", ("rows[0][1]",)),
        Row("a number too large", predict(rows=[[1, 10**299]]), 422, "invalid_rows", ("rows[0]",)),
        Row("1001 rows", predict(rows=[[1, 2]] * 1001), 413, "too_many_rows", ("1,000",)),
        Row("an unknown field", predict(row=[[1, 2]]), 422, "invalid_request", ("'rows'",)),
        Row(
            "alias and version",
            predict(rows=[[1, 2]], alias="champion", version=1),
            422,
            "invalid_request",
            ("not both",),
        ),
        Row("an unknown alias", predict(rows=[[1, 2]], alias="best"), 422, "invalid_request", ("champion",)),
        Row("version 0", predict(rows=[[1, 2]], version=0), 422, "invalid_request", ("version",)),
        Row("a version beyond the table", predict(rows=[[1, 2]], version=10**12), 422, "invalid_request", ("version",)),
        Row("an unknown version", predict(rows=[[1, 2]], version=9), 404, "not_found", ("newest is 1",)),
        Row(
            "an unknown model", predict(rows=[[1, 2]]), 404, "not_found", ("registered_model",), "/v1/models/x/predict"
        ),
        Row(
            "promotion of nothing",
            {"json": {"version": 9}},
            404,
            "not_found",
            ("no version 9",),
            "/v1/models/garden/promote",
        ),
        Row(
            "promotion without a version",
            {"json": {}},
            422,
            "invalid_request",
            ("version",),
            "/v1/models/garden/promote",
        ),
    ]
]


@pytest.fixture(scope="module")
def places(api: Api) -> dict[str, str]:
    """Ids of what the requests refer to: datasets read, unread and failed; jobs queued and done; a model."""
    flowers = api.ready_dataset("flowers", FLOWERS)
    api.upload("unread", FLOWERS + "1,1,iris,1\n")
    api.ready_dataset("gaps", "width,height,empty,kind,weight\n" + "1,2,,iris,1\n,3,,rose,\n,4,,,-1\n" * 9)
    api.ready_dataset("debts", FLOWERS.replace("petals", "weight").replace(",2\n", ",-2\n"))
    broken = api.upload("broken", FLOWERS + "2,2,iris,1\n")["id"]
    with api.database.write() as connection:
        datasets.fail(connection, broken, {"code": "ragged_row", "message": "Row 7 has 3 values."})
    queued = api.http.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "used"}).json()["id"]
    succeeded = api.http.post("/v1/jobs", json=JOB).json()["id"]
    for state in ("starting", "running", "succeeded"):
        with api.database.write() as connection:
            assert jobs.move(connection, jobs.required(connection, succeeded), state)
    with api.database.write() as connection:
        directory = model_directory(api.settings.storage, jobs.required(connection, succeeded))
        network = Network((2, 1), "tanh", "identity", "squared_error")
        features = Preprocessing((NumberFeature("width", 0.0, 1.0), NumberFeature("height", 0.0, 1e-300)))
        trained_models.save(directory, network, np.ones(3, np.float32), features, ["kind"], None)
        relative = str(directory.relative_to(api.settings.storage))
        models.add(
            connection,
            project="default",
            actor="anonymous",
            name="garden",
            job_id=succeeded,
            directory=relative,
            tags={},
        )
    return {"flowers": flowers, "queued": queued, "succeeded": succeeded}


@pytest.mark.parametrize(
    "row", BODIES + NUMBERS + SPECS + MISSING + UPLOADS + PLACES + PREDICTIONS, ids=lambda row: row.name
)
def test_a_wrong_request_is_refused_with_a_reason_and_leaves_nothing(
    api: Api, places: dict[str, str], row: Row
) -> None:
    before = api.left()
    answer = api.http.request(row.method, row.path.format(**places), **row.request)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (row.status, f"/problems/{row.code}"), problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "errors", "request_id"}
    assert problem["status"] == row.status
    assert "Traceback" not in answer.text
    said = problem["detail"] + "".join(f" {error['field']} {error['message']}" for error in problem["errors"])
    assert [words for words in row.says if words not in said] == [], said
    assert api.left() == before


def test_a_wrong_method_names_every_right_one(api: Api, places: dict[str, str]) -> None:
    assert api.http.patch("/v1/jobs").headers["Allow"] == "GET, POST"
    assert api.http.put(f"/v1/jobs/{places['queued']}").headers["Allow"] == "GET, DELETE"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/jobs HTTP/1.1\r\nHost: a b/../c\r\n",
        b"GET /v1/jobs/job_x HTTP/1.1\r\nHost: x@127.0.0.1:99999999\r\nX-Request-ID: a\x00b\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999999\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\xff\r\nContent-Length: 2\r\n",
        b"GET /v1/jobs?name=%ff%fe%00 HTTP/1.1\r\nHost: localhost\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_a_strange_head_is_never_an_error_of_the_service(api: Api, head: bytes) -> None:
    before = api.left()
    url = api.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n{}")
        status = connection.recv(1000).split(b" ", 2)[1]
    assert status in {b"200", b"400", b"403", b"404", b"413", b"415", b"422"}
    assert api.left() == before


def test_an_upload_whose_client_goes_away_leaves_nothing(api: Api) -> None:
    before = api.left()
    url = api.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        head = b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 150000\r\n"
        head += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        connection.sendall(head + b"".join(chunks(50_000)))
    assert api.http.get("/healthz").status_code == 200
    assert api.left() == before
