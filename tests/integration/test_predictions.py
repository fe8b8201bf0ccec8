"""Predictions over HTTP and on files: the same bits whatever the file is, and what is said of wrong rows (B54)."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.client import Client
from service.commands.predictions.command import Asked, predict_file
from service.commands.predictions.learned import Feature, learned
from service.commands.predictions.run import answers
from service.commands.predictions.source import open_source
from service.commands.session import CommandError, Session
from service.connection import ApiError
from service.file_options import FileOptions
from service.paths import model_directory
from service.store import jobs, models
from tests.integration.conftest import Api
from tests.running_service import PROJECT
from workers import model as trained_models
from workers.errors import DataError
from workers.network import Network, n_parameters
from workers.preprocessing import CategoryFeature, NumberFeature, Preprocessing

HEADER = "age;postcode;city;label;second"
SHOP = f"{HEADER}\n" + "".join(f"{n},5;0{n % 3};{('Oslo', 'Rom')[n % 2]};{n % 2};{n}\n" for n in range(20))
OPTIONS = {"delimiter": ";", "decimal": ",", "types": {"postcode": "category"}}
N_ROWS = 2500
"""More than the API takes in one request here."""
FEATURES = (
    NumberFeature("age", 3.0, 7.0),
    CategoryFeature("postcode", ("00", "01")),
    CategoryFeature("city", ("Rom",)),
)
FILLED = (FEATURES[0]._replace(fill=8.5), FEATURES[1]._replace(fill="01"), FEATURES[2]._replace(fill="Rom"))


def add_version(
    api: Api, name: str, preprocessing: Preprocessing, targets: list[str], *, regression: bool = False
) -> None:
    """One more version of a model, with weights of its own."""
    method = "most_frequent" if preprocessing.missing_markers else "error"
    body = {
        "dataset": "shop",
        "target": targets if len(targets) > 1 else targets[0],
        "features": ["age", "postcode", "city"],
        "task": "regression" if regression else "classification",
        "preprocessing": {"missing_values": method},
        "tracking": {"registered_model": name},
    }
    answer = api.http.post("/v1/jobs", json=body)
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["id"]
    for state in ("starting", "running", "succeeded"):
        with api.database.write() as connection:
            assert jobs.move(connection, jobs.required(connection, job_id), state)
    with api.database.write() as connection:
        directory = model_directory(api.settings.storage, jobs.required(connection, job_id))
        output, loss = ("identity", "squared_error") if regression else ("softmax", "cross_entropy")
        network = Network((preprocessing.n_inputs, 5, 2), "tanh", output, loss)
        flat = np.random.default_rng(len(job_id + name)).normal(size=n_parameters(network)).astype(np.float32)
        trained_models.save(directory, network, flat, preprocessing, targets, None if regression else ["no", "ja ☃"])
        relative = str(directory.relative_to(api.settings.storage))
        owner = {"project": "default", "actor": "anonymous"}
        models.add(connection, name=name, job_id=job_id, directory=relative, tags={}, **owner)


@pytest.fixture(scope="module")
def shop(api: Api) -> Api:
    """An API with a dataset of decimal commas and postcodes that look like numbers, and with models of it."""
    files, fields = {"file": ("shop.csv", SHOP)}, {"name": "shop", "options": json.dumps(OPTIONS)}
    answer = api.http.post("/v1/datasets", files=files, data=fields)
    assert answer.status_code == 201, answer.text
    api.prepare(answer.json()["id"])
    for _ in range(2):
        add_version(api, "shop", Preprocessing(FEATURES), ["label"])
    add_version(api, "pair", Preprocessing(FEATURES), ["label", "second"], regression=True)
    add_version(api, "filled", Preprocessing(FILLED, ("", "?")), ["label"])
    unfinished = {"dataset": "shop", "target": "label", "tracking": {"registered_model": "unfinished"}}
    assert api.http.post("/v1/jobs", json=unfinished).status_code == 201
    return api


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Rows with numbers that need all their digits, postcodes, and a city that no model knows."""
    ages = np.random.default_rng(1).normal(0, 40, N_ROWS).tolist()
    texts = [(f"0{n % 4}", ("Oslo", "Rom", "Århus")[n % 3]) for n in range(N_ROWS)]
    return [{"age": age, "postcode": code, "city": city} for age, (code, city) in zip(ages, texts, strict=True)]


def by_api(api: Api, name: str, rows: list[Any]) -> dict[str, list[Any]]:
    """What the API answers to the rows, in requests of 1000."""
    found: dict[str, list[Any]] = {"predictions": [], "probabilities": []}
    for first in range(0, len(rows), 1000):
        answer = api.http.post(f"/v1/models/{name}/predict", json={"rows": rows[first : first + 1000]})
        assert answer.status_code == 200, answer.text
        for key, values in found.items():
            values.extend(answer.json()[key] or [])
    return found


def predict(api: Api, name: str, file: Path, output: Path | None = None, **options: Any) -> None:
    """What `gradsum model predict` does."""
    session = Session(url=str(api.http.base_url), json=options.pop("json", False))
    predict_file(session, Asked(name, str(file), options.pop("version", None), output, options))


def as_csv(rows: list[dict[str, Any]]) -> str:
    """As the dataset was written: semicolons, decimal commas; another order of columns, and one more."""
    lines = [f"{row['city']};x;{str(row['age']).replace('.', ',')};{row['postcode']}" for row in rows]
    return "\n".join(["city;more;age;postcode", *lines]) + "\n"


def as_file(rows: list[dict[str, Any]], path: Path) -> Path:
    """The rows in a file of the kind that its name says."""
    match path.suffixes:
        case [".csv", ".gz"]:
            path.write_bytes(gzip.compress(as_csv(rows).encode()))
        case [".csv"]:
            path.write_text(as_csv(rows), encoding="utf-8-sig")
        case [".jsonl"]:
            path.write_text("\n".join(json.dumps(row) for row in rows))
        case _:
            pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=700)
    return path


@pytest.mark.parametrize("kind", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.jsonl"])
def test_any_file_gives_the_bits_of_the_api(shop: Api, rows: list[dict[str, Any]], tmp_path: Path, kind: str) -> None:
    expected = by_api(shop, "shop", rows)
    file = as_file(rows, tmp_path / kind)
    for ending in ("csv", "parquet", "jsonl", "json"):
        predict(shop, "shop", file, tmp_path / f"out.{ending}")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as opened:
        header, *cells = list(csv.reader(opened))
    assert header == ["prediction", "probability_no", "probability_ja ☃"]
    assert [row[0] for row in cells] == expected["predictions"]
    assert [{"no": float(row[1]), "ja ☃": float(row[2])} for row in cells] == expected["probabilities"]
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert [str(kind) for kind in table.schema.types] == ["string", "double", "double"]
    in_parquet = table.to_pylist()
    assert [list(row.values()) for row in in_parquet] == [[row[0], float(row[1]), float(row[2])] for row in cells]
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == in_parquet
    whole = json.loads((tmp_path / "out.json").read_text())
    assert (whole["predictions"], whole["probabilities"]) == (expected["predictions"], expected["probabilities"])


def test_several_targets_have_a_column_each(
    shop: Api, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = by_api(shop, "pair", rows[:5])["predictions"]
    file = as_file(rows[:5], tmp_path / "rows.csv")
    predict(shop, "pair", file, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as opened:
        found = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(opened)]
    assert found == [{f"prediction_{name}": value for name, value in row.items()} for row in expected]
    predict(shop, "pair", file)
    shown = capsys.readouterr().out.splitlines()
    assert ["row", "label", "second"] in [line.split() for line in shown]
    assert "{" not in shown[-1]


def test_a_table_shows_the_first_of_many_rows(
    shop: Api, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(shop, "shop", as_file(rows, tmp_path / "rows.parquet"))
    *_, last, said = capsys.readouterr().out.splitlines()
    assert last.split()[0] == "1000"
    assert "first 1,000 rows" in said
    assert "-o" in said


def test_json_on_standard_output_is_one_answer_and_only_a_summary_beside_a_file(
    shop: Api, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = as_file(rows, tmp_path / "rows.csv"), tmp_path / "out.csv"
    predict(shop, "shop", file, json=True)
    found = json.loads(capsys.readouterr().out)
    expected = by_api(shop, "shop", rows)
    assert found == {"model": "shop", "version": 1, **expected}
    predict(shop, "shop", file, output, json=True)
    assert json.loads(capsys.readouterr().out) == {
        "model": "shop",
        "version": 1,
        "rows": N_ROWS,
        "file": str(output),
    }


def test_the_version_of_the_beginning_predicts_to_the_end(
    shop: Api, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = as_file(rows, tmp_path / "rows.csv")
    with Client(str(shop.http.base_url)) as client:
        model = learned(client, "shop", None, {})
        found = answers(client, model, open_source(file, tmp_path, model.features, model.options))
        versions = [next(found)["version"]]
        client.promote("shop", 2)
        versions += [answer["version"] for answer in found]
        client.promote("shop", 1)
    assert len(versions) > 1
    assert set(versions) == {1}


def test_missing_values_are_filled_alike_in_csv_parquet_and_json(shop: Api, tmp_path: Path) -> None:
    gaps = [
        {"age": None, "postcode": "00", "city": "?"},
        {"age": 8.5, "postcode": None, "city": None},
        {"age": 1.0, "postcode": "01", "city": "Rom"},
    ]
    whole = [[8.5, "00", "Rom"], [8.5, "01", "Rom"], [1.0, "01", "Rom"]]
    expected = by_api(shop, "filled", gaps)["probabilities"]
    assert expected == by_api(shop, "filled", whole)["probabilities"]
    text = tmp_path / "gaps.csv"
    text.write_text("age;postcode;city\n?;00;?\n8,5;;\n1,0;01;Rom\n")
    for file in (text, as_file(gaps, tmp_path / "gaps.parquet")):
        predict(shop, "filled", file, tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text())["probabilities"] == expected


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "json"])
def test_a_run_that_fails_leaves_the_file_as_it_was(
    shop: Api, rows: list[dict[str, Any]], tmp_path: Path, ending: str
) -> None:
    file, output = tmp_path / "rows.csv", tmp_path / f"out.{ending}"
    file.write_text(as_csv(rows) + "Rom;x;seven;00\n")
    output.write_text("before")
    with pytest.raises(ApiError, match=f"Row {N_ROWS + 2}: column 'age' needs a number, not 'seven'"):
        predict(shop, "shop", file, output)
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "rows.csv"]


def test_ctrl_c_leaves_nothing(shop: Api, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(as_csv(rows * 100))
    command = [sys.executable, "-m", "service.cli", "model", "predict", "shop", str(file), "-o", f"{tmp_path}/out.csv"]
    environment = {**os.environ, "GRADSUM_URL": str(shop.http.base_url)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while len(list(tmp_path.iterdir())) == 1:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.splitlines()[-1]) == (130, f"Stopped. Nothing was written to {tmp_path}/out.csv.")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("output", "said"), [("out.txt", "must end in"), ("rows.csv", "holds the rows"), ("no/o.csv", "No such")]
)
def test_an_output_that_can_not_be_is_refused_at_once(shop: Api, tmp_path: Path, output: str, said: str) -> None:
    file = as_file([{"age": 1.0, "postcode": "00", "city": "Rom"}], tmp_path / "rows.csv")
    before = file.read_bytes()
    with pytest.raises(CommandError, match=said):
        predict(shop, "shop", file, tmp_path / output)
    assert file.read_bytes() == before


GOOD = {"age": 1.5, "postcode": "00", "city": "Rom"}
WRONG_OVER_HTTP: dict[str, tuple[str, object, int, str]] = {
    "wrong width": ("shop", [[1, "00"]], 422, "rows[0] has 2 values, the model takes 3: age, postcode, city."),
    "NaN": ("shop", [GOOD, {**GOOD, "age": float("nan")}], 422, "rows[1].age"),
    "null": ("shop", [{**GOOD, "age": None}], 422, "rows[0]: column 'age' needs a number, not null."),
    "empty rows": ("shop", [], 422, "rows"),
    "a million rows": ("shop", [[]] * 10**6, 413, "1,048,576"),
    "too many rows": ("shop", [GOOD] * 1001, 413, "limit of 1,000. Send them in parts."),
    "model not finished": ("unfinished", [GOOD], 409, "is not there yet: job job_"),
    "no such model": ("nothing", [GOOD], 404, "There is no model 'nothing'."),
    "missing column": ("shop", [GOOD, {"age": 1, "city": "Rom"}], 422, "rows[1] has no column 'postcode'."),
    "wrong type": ("shop", [GOOD, {**GOOD, "age": "old"}], 422, "rows[1]: column 'age' needs a number, not 'old'."),
    "number for text": ("shop", [{**GOOD, "postcode": 12}], 422, "rows[0]: column 'postcode' needs text, not 12."),
}


@pytest.mark.parametrize("case", WRONG_OVER_HTTP)
def test_B54_rows_that_do_not_fit_over_http(shop: Api, case: str) -> None:  # noqa: N802 - a row's number
    model, rows, status, said = WRONG_OVER_HTTP[case]
    content = json.dumps({"rows": rows}).encode()
    headers = {"Content-Type": "application/json"}
    answer = shop.http.post(f"/v1/models/{model}/predict", content=content, headers=headers)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), problem
    assert said in problem["detail"] + str(problem["errors"])


WRONG_IN_FILES: dict[str, tuple[str, str, type[Exception], str]] = {
    "wrong width": ("shop", "age;postcode;city\n1,5;00;Rom\n2;00\n", DataError, "Row 3 has 2 values, the header has 3"),
    "NaN": (
        "shop",
        "age;postcode;city\n1;00;Rom\nNaN;00;Rom\n",
        ApiError,
        "Row 3: column 'age' needs a number, not 'NaN'",
    ),
    "no value": ("shop", "age;postcode;city\n\n\n;00;Rom\n", ApiError, "Row 4: column 'age' needs a number, not null"),
    "no rows": ("shop", "age;postcode;city\n", DataError, "no rows"),
    "nothing": ("shop", "", DataError, "empty"),
    "model not finished": ("unfinished", "age\n1\n", ApiError, "is not there yet: job job_"),
    "no such model": ("nothing", "age\n1\n", ApiError, "no model 'nothing'"),
    "missing column": (
        "shop",
        "age;city\n1;Rom\n",
        CommandError,
        "no column 'postcode'. The model takes 3 columns: age,",
    ),
    "column twice": ("shop", "age;age;city;postcode\n1;2;Rom;00\n", CommandError, "more than one column 'age'"),
    "decimal point": (
        "shop",
        "age;postcode;city\n1.5;00;Rom\n",
        ApiError,
        "Row 2: column 'age' needs a number, not '1.5'",
    ),
    "over two lines": (
        "shop",
        'age;postcode;city\n1;00;"a\nb"\nx;0;Rom\n',
        ApiError,
        "Row 4: column 'age' needs a number",
    ),
    "open quote": ("shop", 'age;postcode;city\n1;00;"Rom\n2;00;Rom\n', DataError, "Row 2 can't be read"),
    "not UTF-8": ("shop", "age;postcode;city\n1;00;\udce9\n", DataError, "not in UTF-8"),
    "JSON": (
        "shop",
        '{"age": 1, "postcode": "0", "city": "a"}\n{"age": 1}\n',
        ApiError,
        "Row 2 has no column 'postcode'",
    ),
}


@pytest.mark.parametrize("case", WRONG_IN_FILES)
def test_B54_rows_that_do_not_fit_in_a_file(shop: Api, tmp_path: Path, case: str) -> None:  # noqa: N802
    model, text, kind, said = WRONG_IN_FILES[case]
    file, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(kind) as caught:
        predict(shop, model, file, output)
    assert said in str(caught.value)
    assert not output.exists()


def test_B54_columns_in_any_order_others_ignored_an_unseen_category_unknown(  # noqa: N802
    shop: Api, tmp_path: Path
) -> None:
    """Paris and Bonn are both unknown, so both rows get the same answer; a list is in the order of the features."""
    rows = [{"city": "Paris", "extra": [1], "postcode": "00", "age": 1.5}, [1.5, "00", "Bonn"]]
    by_name = by_api(shop, "shop", rows[:1])["probabilities"]
    assert by_name == by_api(shop, "shop", rows[1:])["probabilities"]
    file = tmp_path / "rows.csv"
    file.write_text("extra,city,age,postcode\n,Paris,1.5,00\n")
    predict(shop, "shop", file, tmp_path / "out.json", delimiter=",", decimal=".")
    assert json.loads((tmp_path / "out.json").read_text())["probabilities"] == by_name


def test_an_option_that_is_not_for_predictions_is_named(shop: Api, tmp_path: Path) -> None:
    file = as_file([GOOD], tmp_path / "rows.csv")
    with pytest.raises(CommandError, match="'types' is not for predictions"):
        predict(shop, "shop", file, types={"age": "category"})


def test_numbers_that_were_categories_are_found_again_in_parquet(tmp_path: Path) -> None:
    """Whole numbers are written as the dataset wrote them, whatever else stands in the same part of the file."""
    file = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pa.table({"size": [1.0, 2.5, None], "flag": [True, False, None]}), file)
    features = (
        Feature("size", is_number=False, has_whole_texts=True),
        Feature("flag", is_number=False, has_whole_texts=False),
    )
    (part,) = open_source(file, tmp_path, features, FileOptions()).parts
    assert part.rows == [("1", "true"), ("2.5", "false"), (None, None)]
