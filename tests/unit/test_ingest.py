import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.head import check_head, preview
from service.ingest import check_options, content_key, ingest_file
from workers.dataset import read_columns, read_metadata
from workers.errors import DataError
from workers.stored import texts_at

DIGITS = Path("deploy/examples/digits/digits.csv")
LIMITS = {"columns": 100}
Ingest = Callable[..., dict[str, Any]]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    def run(content: str | bytes, **options: object) -> dict[str, Any]:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return ingest_file(path, options, tmp_path / "dataset", LIMITS)

    return run


def refused(ingest: Ingest, content: str | bytes, **options: object) -> tuple[str, str]:
    with pytest.raises(DataError) as caught:
        ingest(content, **options)
    return caught.value.code, caught.value.message


def test_digits_are_65_number_columns(tmp_path: Path) -> None:
    found = ingest_file(DIGITS, {}, tmp_path / "dataset", LIMITS)
    assert (found["rows"], found["rejected_rows"], len(found["columns"])) == (1797, 0, 65)
    digit = found["columns"][-1]
    assert (digit["name"], digit["type"], digit["whole"], digit["nulls"]) == ("digit", "number", True, 0)
    assert digit["distinct_values"] == [float(value) for value in range(10)]
    expected = np.loadtxt(DIGITS, delimiter=",", skiprows=1)
    columns = read_columns(tmp_path / "dataset", [column["name"] for column in found["columns"]])
    assert np.array_equal(np.stack([column.values[:] for column in columns.values()], axis=1), expected)
    assert digit["std"] == expected[:, -1].std()
    assert json.loads((tmp_path / "dataset/columns.json").read_bytes())["columns"] == found["columns"]


def test_numbers_categories_and_missing_values_are_told_apart(ingest: Ingest, tmp_path: Path) -> None:
    found = ingest('size,color,empty\n 1.5 ,red,\n,"blue",\n+2e0, red ,\n')
    assert [column["type"] for column in found["columns"]] == ["number", "category", "number"]
    assert found["columns"][1]["categories"] == ["blue", "red"]
    assert [column["nulls"] for column in found["columns"]] == [1, 0, 3]
    assert (found["columns"][0]["min"], found["columns"][0]["max"], found["columns"][2]["min"]) == (1.5, 2.0, None)
    size, color = read_columns(tmp_path / "dataset", ["size", "color"]).values()
    assert size.missing is not None
    assert (size.values[:].tolist(), size.missing[:].tolist()) == ([1.5, 0.0, 2.0], [False, True, False])
    assert (color.values[:].tolist(), color.categories) == ([1, 0, 1], ("blue", "red"))


def test_text_with_too_many_values_is_kept_but_is_no_category(ingest: Ingest, tmp_path: Path) -> None:
    texts = [f"näme {number}" for number in range(1001)]
    found = ingest("key\n" + "\n".join(texts) + "\n")
    assert (found["columns"][0]["type"], found["columns"][0]["categories"]) == ("text", None)
    column = read_columns(tmp_path / "dataset", ["key"])["key"]
    assert column.categories is not None
    assert texts_at(column.categories, column.values[:]) == texts
    assert list(column.categories[:]) == sorted(texts)


def test_byte_order_mark_and_windows_line_ends_are_accepted(ingest: Ingest) -> None:
    found = ingest(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4\r\n")
    assert ([column["name"] for column in found["columns"]], found["rows"]) == (["a", "b"], 2)


def test_the_two_ways_to_write_an_accent_are_one_category(ingest: Ingest) -> None:
    assert ingest("a,b\ncafe\u0301,1\ncaf\u00e9,2\n")["columns"][0]["categories"] == ["caf\u00e9"]


def test_options_say_how_the_file_is_written(ingest: Ingest) -> None:
    found = ingest(
        "1,5;NA;007\n-2,5;3;008\n",
        delimiter=";",
        decimal=",",
        header=False,
        missing_markers=["NA"],
        types={"column_3": "category"},
    )
    assert [column["name"] for column in found["columns"]] == ["column_1", "column_2", "column_3"]
    assert [column["type"] for column in found["columns"]] == ["number", "number", "category"]
    assert (found["columns"][0]["min"], found["columns"][1]["nulls"]) == (-2.5, 1)
    assert found["columns"][2]["categories"] == ["007", "008"]


def test_values_may_hold_delimiters_quotes_and_line_breaks(ingest: Ingest) -> None:
    found = ingest('a,b\n"x, ""y""\nz",1\nother 5",2\n')
    assert found["columns"][0]["categories"] == ['other 5"', 'x, "y"\nz']


def test_the_first_row_of_data_is_known(ingest: Ingest, tmp_path: Path) -> None:
    ingest("\na,b\n1,2\n")
    assert read_metadata(tmp_path / "dataset")["first_row"] == 3


@pytest.mark.parametrize(
    "text", ['a,b\n"x\ny",1\nz,2\n', "a,b\nx,1\n\ny,2\n"], ids=["a row of two lines", "a blank line"]
)
def test_rows_that_are_no_lines_are_not_counted_as_lines(ingest: Ingest, tmp_path: Path, text: str) -> None:
    ingest(text)
    assert read_metadata(tmp_path / "dataset")["first_row"] is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"on_bad_rows": "skip"}, (1, 1, "number")),
        ({"missing_markers": ["1e308"]}, (2, 0, "number")),
        ({"types": {"b": "text"}}, (2, 0, "text")),
    ],
)
def test_the_ways_out_of_a_number_that_is_too_large_work(
    ingest: Ingest, options: dict[str, Any], expected: tuple[int, int, str]
) -> None:
    found = ingest("a,b\n1,3.4028235e38\n2,1e308\n", **options)
    assert (found["rows"], found["rejected_rows"], found["columns"][1]["type"]) == expected


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (b"", "dataset_empty", "empty"),
        (b"\xef\xbb\xbf \n\n", "dataset_empty", "empty"),
        (b"a,b\n", "dataset_empty", "no rows"),
        (b"a,b\n1,2\n3\n", "ragged_row", "Row 3 has 1 value, the header has 2"),
        (b"a,b\n\n1,2\n1,2,3\n", "ragged_row", "Row 4 has 3 values, the header has 2"),
        (b"a,b\n1,2\n1;2\n", "ragged_row", "Row 3 has 1 value, the header has 2"),
        (b"a,b\n1,2\n3,\xff\n", "not_utf8", "Row 3"),
        (b"a,b\n1,2\n3,\xc3", "not_utf8", "Row 3"),
        ("a,b\n1,2\n".encode("utf-16"), "not_utf8", "UTF-16"),
        (b"a,b,a\n1,2,3\n", "duplicate_column", "2 columns are named 'a'"),
        (b",b\n1,2\n", "empty_column_name", "Column 1 has no name"),
        (b"a,b\n1,2\n3,NaN\n4,-inf\n", "nonfinite_values", "'b' has 2 numbers that are not finite, first in row 3"),
        (b"a,b\n1,1e999\n", "nonfinite_values", "'b' has 1 number that is not finite, first in row 2"),
        (b"a,b\n1,2\n1,1e308\n2,-1e39\n", "nonfinite_values", "'b' has 2 numbers that are beyond 3.4028235e38, the"),
        (b"a,b\n1,1e308\n1,inf\n", "nonfinite_values", "2 numbers that are not finite or beyond 3.4028235e38, the"),
        (b"a,b\n" + b"1,2\n" * 1_100_000 + b"1,3.5e38\n", "nonfinite_values", "1 number that is beyond"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "unclosed_quote", "Row 3"),
        (b'a,b\n1,"2\n3,4\n5,"6\n7,8\n', "unclosed_quote", "Row 4"),
        (b'a,b\n1,"2\n3,4\n5,6"\n7,8,9\n', "ragged_row", "Row 5"),
        (b"a,b\n1,2\n3,\x00\n", "nul_byte", "Row 3"),
        (b"<!DOCTYPE html><html></html>", "format_mismatch", "HTML"),
        (b"\n <html lang='en'>", "format_mismatch", "HTML"),
        (b"PAR1\x15\x04", "file_corrupt", "Parquet"),
        (b"\x1f\x8b\x08\x00", "file_corrupt", "gzip file is cut off"),
        (b"\x89PNG\r\n\x1a\n", "format_mismatch", "PNG"),
        (b"PK\x03\x04\x14\x00", "file_corrupt", "archive"),
        (b",".join(b"c%d" % place for place in range(101)) + b"\n", "too_many_columns", "101 columns, and 100"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_file_is_refused_with_its_place(ingest: Ingest, content: bytes, code: str, part: str) -> None:
    found, message = refused(ingest, content)
    assert (found, part in message) == (code, True), message


def test_a_ragged_row_says_what_may_be_set(ingest: Ingest) -> None:
    skip = "Mend the file, or set options.on_bad_rows to skip, which leaves such rows out."
    assert refused(ingest, "a,b\n1,2\n3\n")[1] == f"Row 3 has 1 value, the header has 2. {skip}"
    assert refused(ingest, "1,2\n3\n", header=False)[1] == f"Row 2 has 1 value, the first has 2. {skip}"
    cut = "Row 2 has 2 values, the header has 1. Values are cut at ',': is options.delimiter another?"
    assert refused(ingest, "a;b\n1,5;2,5\n", delimiter=",")[1] == f"Row 2 has 3 values{cut[18:]} {skip}"


def test_names_that_are_read_as_data_are_told(ingest: Ingest) -> None:
    rows = "".join(f"{row},2\n" for row in range(20))
    told = "in row 1 ('a'). If it is a name, leave options.header out or set it to true. Clean it"
    assert told in refused(ingest, f"a,b\n{rows}", header=False)[1]
    assert "options.header" not in refused(ingest, f"a,b\n{rows}x,2\n")[1]


def test_a_row_without_end_is_refused(ingest: Ingest) -> None:
    code, message = refused(ingest, b"a,b\n1," + b"9" * 10 * 2**20 + b"\n")
    assert (code, message[:5]) == ("row_too_long", "Row 2")


def test_text_among_numbers_is_refused_with_three_offenders(ingest: Ingest) -> None:
    values = ["1"] * 50
    values[4], values[10], values[20], values[30] = "n/a", "x" * 50, "?", "unknown"
    code, message = refused(ingest, "a,age\n" + "".join(f"1,{value}\n" for value in values))
    assert code == "column_has_text"
    assert (
        f"'age' has text among its numbers in row 6 ('n/a'), row 12 ('{'x' * 40}…'), row 22 ('?') and 1 more" in message
    )
    assert "options.types" in message


def test_declared_types_win(ingest: Ingest) -> None:
    content = "a,b\n" + "1,2\n" * 20 + "x,2\n"
    assert refused(ingest, content, types={"c": "number"})[0] == "column_not_found"
    assert refused(ingest, content)[0] == "column_has_text"
    assert ingest(content, types={"a": "category"})["columns"][0]["categories"] == ["1", "x"]


def test_a_column_declared_a_number_has_no_text(ingest: Ingest) -> None:
    code, message = refused(ingest, "c,d\nred,1\n2,1\n", types={"c": "number"})
    assert (code, "row 2 ('red')" in message) == ("column_has_text", True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"format": "xlsx"}, "options.format"),
        ({"on_bad_rows": "drop"}, "options.on_bad_rows"),
        ({"delimter": ";"}, "options.delimter"),
        ({"delimiter": "ab"}, "options.delimiter"),
        ({"decimal": ",", "delimiter": ","}, "options.delimiter"),
        ({"header": "yes"}, "options.header"),
        ({"types": {"a": "time"}}, "options.types"),
        ({"missing_markers": "NA"}, "options.missing_markers"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        check_options(options)
    assert caught.value.code == "invalid_options"
    assert [error.field.startswith(field) for error in caught.value.errors] == [True]


def test_the_content_key_follows_what_the_options_mean() -> None:
    assert content_key("ab", {}) == content_key("ab", {"delimiter": None, "header": "auto"})
    assert len({content_key("ab", {}), content_key("cd", {}), content_key("ab", {"header": False})}) == 3


def test_a_second_ingest_of_the_same_dataset_changes_nothing(tmp_path: Path) -> None:
    first = ingest_file(DIGITS, {}, tmp_path / "dataset", LIMITS)
    before = (tmp_path / "dataset/columns.json").stat().st_mtime_ns
    assert ingest_file(DIGITS, {}, tmp_path / "dataset", LIMITS) == first
    assert (tmp_path / "dataset/columns.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_refused_file_leaves_nothing(ingest: Ingest, tmp_path: Path) -> None:
    refused(ingest, "a,b\n1\n")
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_the_head_of_a_large_file_shows_what_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_text("a,b\n" + "1,2\n" * 100 + "3\n" + "1,2\n" * 1000)
    with pytest.raises(DataError, match="Row 102 has 1 value"):
        check_head(path, {}, LIMITS, limit_bytes=1000)
    check_head(path, {}, LIMITS, limit_bytes=300)
    path.write_text("a,b\n" + "1,2\n" * 95 + "3,x\n" + "1,2\n" * 1000)
    check_head(path, {}, LIMITS, limit_bytes=1000)
    with pytest.raises(DataError, match="row 97 \\('x'\\)"):
        check_head(path, {"types": {"b": "number"}}, LIMITS, limit_bytes=1000)
    with pytest.raises(DataError, match="row 97 \\('x'\\)"):
        check_head(path, {}, LIMITS)


def test_the_preparing_process_answers_and_ends_with_its_pipe(tmp_path: Path) -> None:
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "service.prepare", str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process:
        theirs.close()

        def ask(**message: object) -> dict[str, Any]:
            ours.send_bytes(json.dumps(message).encode())
            while "progress" in (answer := json.loads(ours.recv_bytes())):
                assert answer["id"] == message["id"]
            found: dict[str, Any] = answer
            return found

        assert json.loads(ours.recv_bytes()) == {"ready": True}
        place = {"destination": str(tmp_path / "dataset"), "limits": LIMITS}
        answer = ask(id=1, do="ingest", path=str(DIGITS), options={}, **place)
        assert (answer["id"], answer["ok"]["rows"]) == (1, 1797)
        split = {"validation": 0.1, "test": 0.0, "by": "hash", "column": None, "salt": ""}
        request = {"targets": ["digit"], "task": "classification", "features": ["pixel_0_2"], "split": split}
        built = ask(
            id=2,
            do="build",
            start=None,
            dataset_directory=str(tmp_path / "dataset"),
            request=request | {"standardize": True, "dtype": "float32"},
            destination=str(tmp_path / "matrix"),
        )
        assert built["ok"]["classes"] == list(range(10))
        wrong = ask(id=3, do="ingest", path=str(DIGITS), options={"x": 1}, **place | {"destination": "/nowhere"})
        assert wrong["error"]["code"] == "invalid_options"
        assert [error["field"] for error in wrong["error"]["errors"]] == ["options.x"]
        assert ask(id=4, do="dance", destination="")["error"]["code"] == "internal"
        ours.close()
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert b"unknown request 'dance'" in process.stderr.read()


def test_a_gzip_file_that_is_cut_off_is_no_ragged_row(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    rows = "".join(f"{row},{row * 7919 % 1000003}\n" for row in range(2000))
    path.write_bytes(gzip.compress(f"a,b\n{rows}".encode())[:-4000])
    for look in (check_head, preview):
        with pytest.raises(DataError, match="The gzip file is cut off") as caught:
            look(path, {}, LIMITS)
        assert caught.value.code == "file_corrupt"
