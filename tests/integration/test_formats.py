"""Files of every format over HTTP: accepted, refused at once, or looked at, and nothing is left of those not taken."""

import hashlib
import json
from typing import Any

import pytest

from tests import corpus
from tests.corpus import BAD, Bad
from tests.integration.conftest import Api

AT_UPLOAD = [
    "an array without rows",
    "NaN in Parquet",
    "complex numbers",
    "a million columns in an array",
    "a raw pickle",
    "an object in an .npz",
    "a zip bomb",
    "a member above",
    "a header of 800 GB",
    "an encrypted footer",
    "a list",
    "Parquet declared CSV",
    "an HTML page in gzip",
]
SMALLER = {
    "a million columns in an array": lambda: corpus.lying_npy(
        "{'descr': '|i1', 'fortran_order': False, 'shape': (1, 150000)}", bytes(150_000)
    )
}
PREVIEW = "/v1/datasets?dry_run=true"


def form(content: bytes, name: str = "table", **options: Any) -> dict[str, Any]:
    return {"files": {"file": (name, content)}, "data": {"options": json.dumps(options)}}


@pytest.fixture(scope="module", autouse=True)
def used(api: Api) -> None:
    """The first upload makes the directory of uploads."""
    api.upload("first", "a,b\n1,2\n")


@pytest.mark.parametrize("path", ["/v1/datasets", PREVIEW], ids=["upload", "dry run"])
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.name in AT_UPLOAD], ids=lambda bad: f"{bad.row} {bad.name}")
def test_a_bad_file_is_refused_at_upload_and_leaves_nothing(api: Api, bad: Bad, path: str) -> None:
    before = api.left()
    answer = api.http.post(path, **form(SMALLER.get(bad.name, bad.make)(), **bad.options))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"/problems/{bad.code}"), problem
    assert "Traceback" not in answer.text
    assert api.left() == before
    assert not corpus.CANARY.exists()


@pytest.mark.parametrize(
    "content",
    [
        corpus.parquet(corpus.good_table()),
        corpus.arrow(corpus.good_table()),
        corpus.npz(X=corpus.X, y=corpus.Y),
        b"a;b\n1,5;x\n",
    ],
    ids=["parquet", "arrow", "npz", "csv"],
)
def test_a_good_file_of_any_format_becomes_a_dataset(api: Api, content: bytes) -> None:
    answer = api.http.post("/v1/datasets", **form(content))
    assert answer.status_code == 201, answer.text
    dataset_id = answer.json()["id"]
    api.prepare(dataset_id)
    dataset = api.http.get(f"/v1/datasets/{dataset_id}").json()
    assert (dataset["status"], dataset["rejected_rows"]) == ("ready", 0)
    statistics = {"name", "type", "min", "max", "mean", "std", "nulls", "categories"}
    assert all(statistics <= set(column) for column in dataset["columns"])


def test_a_dry_run_says_what_would_be_understood_and_keeps_nothing(api: Api) -> None:
    before = api.left()
    answer = api.http.post(PREVIEW, **form(b"width;kind\n1,5;a\n;b\n", "flat.csv"))
    assert answer.status_code == 200, answer.text
    understood = answer.json()
    assert understood["name"] == "flat"
    assert [understood[name] for name in ("format", "delimiter", "decimal", "header")] == ["csv", ";", ",", True]
    assert understood["columns"] == [
        {"name": "width", "type": "number", "nulls": 1, "samples": ["1,5", None], "problem": None},
        {"name": "kind", "type": "category", "nulls": 0, "samples": ["a", "b"], "problem": None},
    ]
    assert api.left() == before


def test_a_name_of_a_file_is_never_a_path(api: Api) -> None:
    answer = api.http.post("/v1/datasets", **form(b"a,b\n1,2\n", "../../etc/passwd"))
    assert (answer.status_code, answer.json()["name"]) == (201, "passwd")
    assert api.http.post(PREVIEW, **form(b"a,b\n1,2\n", "..\\..\\boot.ini")).json()["name"] == "boot"


def test_forms_beyond_limits_are_refused_before_they_are_kept(api: Api) -> None:
    before = api.left()
    head = {"Content-Type": "multipart/form-data; boundary=b"}
    fields = b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % i for i in range(3000))
    large_head = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + b"a" * 150_000 + b'"\r\n\r\n1\r\n--b--\r\n'
    )
    preamble = b"x" * 150_000 + b'\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n--b--\r\n'
    for body in (fields + b"--b--\r\n", large_head, preamble):
        answer = api.http.post("/v1/datasets", content=body, headers=head)
        assert answer.status_code in {400, 413, 422}, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert api.left() == before


@pytest.mark.parametrize("path", ["/v1/datasets", PREVIEW], ids=["upload", "dry run"])
def test_a_file_of_another_checksum_is_refused_with_both(api: Api, path: str) -> None:
    """B36."""
    content, other = b"a,b\n1,2\n", hashlib.sha256(b"other").hexdigest()
    mine = hashlib.sha256(content).hexdigest()
    before = api.left()
    answer = api.http.post(path, **form(content, sha256=other))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/checksum_mismatch"), problem
    assert problem["errors"][0]["field"] == "options.sha256"
    assert other in problem["detail"]
    assert mine in problem["detail"]
    assert api.left() == before
    assert api.http.post(path, **form(content, sha256=mine.upper())).status_code in {200, 201}


def test_a_checksum_makes_no_other_dataset_and_has_64_digits(api: Api) -> None:
    content = b"checked,b\n1,2\n"
    first = api.http.post("/v1/datasets", **form(content, "checked")).json()
    again = api.http.post("/v1/datasets", **form(content, "checked", sha256=hashlib.sha256(content).hexdigest()))
    assert again.json()["id"] == first["id"]
    wrong = api.http.post("/v1/datasets", **form(content, sha256="abc"))
    assert wrong.json()["detail"] == (
        'options.sha256 must be 64 hexadecimal digits, as sha256sum prints them, not "abc".'
    )
