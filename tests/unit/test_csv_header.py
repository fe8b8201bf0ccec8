"""Whether the first row holds names."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from service.csv_dialect import find_dialect
from service.csv_header import has_header
from service.file_options import parse_options
from service.ingest import ingest_file

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*/*.csv"))


def found(text: str, decimal: str = ".", delimiter: str = ",", **options: Any) -> bool:
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    return has_header(rows, decimal, parse_options(options))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a,b\nx,y\nz,y\n",  # text only
        "1,2\n",  # a row alone
        "",
        "name,city\nname,city\n",  # text that stands there again, and no number
        "country,2019,2020\nA,1,2\nB,3,4\n",  # a header of years
        "0,1,2\n5,6,7\n",  # as programs write that know no names
        "1,2,3\n5.5,6,7\n",
        "x,1\n1,2\n3,4\n",  # text over a column of numbers
        ",0,1\n0,5,6\n1,7,8\n",  # the name of an index is missing
        "id,NaN\n1,2\n",
        "a,b\n,\n,\n",  # nothing below
        "2019,kind\n1,a\n2,b\n",
    ],
)
def test_names_are_a_header(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        "5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n6.3,3.3,Iris-virginica\n",
        "842302,M,17.99\n842517,B,20.57\n84300903,M,19.69\n",
        "39, State-gov, 77516\n50, Private, 83311\n38, State-gov, 215646\n",
        "3,4\n5,6\n",
        "1.5,-2\n,3\n2,4\n",
        "7,u1,a\n8,u2,a\n9,u3,b\n",  # a text of its own in each row beside one that repeats
        "2.5\n3.5\n",
    ],
)
def test_one_more_row_of_the_table_is_none(text: str) -> None:
    assert not found(text)


def test_what_is_said_is_believed_and_what_is_declared_helps() -> None:
    assert found("3,4\n5,6\n", header=True)
    assert not found("a,b\n1,2\n", header=False)
    assert found("2019,2020\n5,6\n", types={"2019": "category"})
    assert not found("3,4\n?,6\n7,8\n", missing_markers=["?"])
    assert not found("1,5;2\n2,5;3\n", decimal=",", delimiter=";")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_have_a_header_and_without_it_none(path: Path, tmp_path: Path) -> None:
    options = parse_options({})
    assert find_dialect(path, options).has_header
    (tmp_path / "bare").write_text(path.read_text().partition("\n")[2])
    assert not find_dialect(tmp_path / "bare", options).has_header


def test_a_file_without_names_keeps_its_first_row(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1.5,a\n2.5,a\n")
    made = ingest_file(tmp_path / "file", {}, tmp_path / "dataset", {})
    assert (made["rows"], [column["name"] for column in made["columns"]]) == (2, ["column_1", "column_2"])
