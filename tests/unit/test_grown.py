"""Files of several chunks: what only the rest of a file shows, and memory that does not grow with it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.column_files import ColumnFiles
from service.column_types import Reading, numbers_of
from service.csv_file import csv_source, open_csv
from service.file_options import parse_options
from service.growing import growing_column
from service.ingest import ingest_file
from service.statistics import Statistics
from service.table_columns import reading_of
from service.text_memory import Kept, TextMemory
from tests import corpus
from workers.dataset import Column, read_columns
from workers.errors import DataError
from workers.split import split_by_time
from workers.stored import texts_at

MANY = 1_500_000
"""So many rows of three bytes or more are more than a chunk of 4 MiB."""


def grown(tmp_path: Path, content: bytes, **options: Any) -> tuple[dict[str, Any], dict[str, Column]]:
    (tmp_path / "upload").write_bytes(content)
    found = ingest_file(tmp_path / "upload", options, tmp_path / "dataset", {"columns": 10})
    return found, read_columns(tmp_path / "dataset", [column["name"] for column in found["columns"]])


def test_a_column_of_numbers_may_turn_out_to_be_text(tmp_path: Path) -> None:
    found, columns = grown(tmp_path, b"a\n" + b"17\n" * MANY + b"x\n" * MANY)
    assert (found["columns"][0]["type"], found["columns"][0]["categories"]) == ("category", ["17", "x"])
    assert np.bincount(columns["a"].values[:]).tolist() == [MANY, MANY]


def test_text_at_the_beginning_of_a_column_of_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="among its numbers in row 3 \\('x'\\)"):
        grown(tmp_path, b"a\n17\nx\n" + b"17\n" * MANY)


def test_what_is_missing_may_be_missing_from_some_row_on(tmp_path: Path) -> None:
    found, columns = grown(tmp_path, b"a,b\n" + b"17,x\n" * MANY + b",\n", missing_markers=["", "?"])
    assert [(column["type"], column["nulls"]) for column in found["columns"]] == [("number", 1), ("category", 1)]
    for column in columns.values():
        assert column.missing is not None
        assert (len(column.missing), np.flatnonzero(column.missing[:]).tolist()) == (MANY + 1, [MANY])
    assert columns["b"].values[-2:].tolist() == [0, -1]


def test_a_marker_that_is_a_number_is_known_with_blanks_around_it(tmp_path: Path) -> None:
    found, _ = grown(tmp_path, b"a,b\n -9 ,1\n-9,2\n3,3\n", missing_markers=["-9"])
    assert (found["columns"][0]["nulls"], found["columns"][0]["min"]) == (2, 3.0)


def test_rows_are_skipped_in_every_chunk(tmp_path: Path) -> None:
    part = b"17,1\n" * (MANY // 2)
    found, columns = grown(tmp_path, b"a,b\n" + part + b"x,1\n" + part + b"2\n17,inf\n", on_bad_rows="skip")
    assert (found["rows"], found["rejected_rows"]) == (MANY // 2 * 2, 3)
    assert set(columns["a"].values[:].tolist()) == {17.0}


def test_texts_beyond_those_that_are_remembered_are_kept(tmp_path: Path) -> None:
    texts = [f"text {number:07d}" for number in range(400_000, 0, -1)]
    found, columns = grown(tmp_path, b"key\n" + "\n".join(texts).encode())
    assert found["columns"][0]["type"] == "text"
    categories = columns["key"].categories
    assert categories is not None
    assert texts_at(categories, columns["key"].values[:]) == texts
    (tmp_path / "again").mkdir()
    with pytest.raises(DataError, match="more than 100000 different values"):
        grown(tmp_path / "again", b"key\n" + "\n".join(texts).encode(), types={"key": "category"})


def hiding(n_columns: int) -> bytes:
    """Rows whose columns look like text until what does not fit in the column before is left out."""
    rows = np.full((4000, n_columns), "1", object)
    first = 0
    for column in range(n_columns):
        last = first + (len(rows) - first) * 8 // 100
        rows[first:last, column:] = "x"
        first = last
    names = [f"c{place}" for place in range(n_columns)]
    return "\n".join(map(",".join, [names, *rows])).encode()


def test_bad_rows_that_hide_others_are_left_out_in_turns_and_not_for_ever(tmp_path: Path) -> None:
    found, _ = grown(tmp_path, hiding(9), on_bad_rows="skip")
    assert {column["type"] for column in found["columns"]} == {"number"}
    (tmp_path / "again").mkdir()
    with pytest.raises(DataError) as caught:
        grown(tmp_path / "again", hiding(10), on_bad_rows="skip")
    assert (caught.value.code, caught.value.errors[0].field) == ("too_many_bad_rows", "options.on_bad_rows")
    assert "10 times" in caught.value.message
    assert "options.types" in caught.value.message


LONG = "x" * 201
"""One character more than a category may have."""


def test_a_text_that_is_too_long_for_a_category_makes_an_undeclared_column_text(tmp_path: Path) -> None:
    rows = f"a,b,c\n{'x' * 200},{LONG},{LONG}\n" + "y,y,\n" * MANY + "z,z,\n"
    found, columns = grown(tmp_path, rows.encode(), types={"b": "text"})
    assert [column["type"] for column in found["columns"]] == ["category", "text", "text"]
    assert found["columns"][2]["categories"] is None
    assert columns["c"].categories is not None
    assert (columns["c"].categories[:], columns["c"].values[:2].tolist()) == ((LONG,), [0, -1])


def test_a_length_is_counted_in_characters_without_outer_blanks(tmp_path: Path) -> None:
    found, _ = grown(tmp_path, f"a,b\n  {'é' * 200}  ,1\n".encode())
    assert found["columns"][0]["type"] == "category"


@pytest.mark.parametrize("before", [1, MANY])
def test_a_text_that_is_too_long_for_a_declared_category_is_refused_with_its_row(tmp_path: Path, before: int) -> None:
    rows = "a,b\n" + "y,1\n" * before + f"{LONG},1\n"
    with pytest.raises(DataError) as caught:
        grown(tmp_path, rows.encode(), types={"a": "category"})
    assert (caught.value.code, caught.value.errors[0].field) == ("category_too_long", "options.types")
    assert f"'a' is declared a category and has a text of 201 characters in row {before + 2};" in caught.value.message
    assert "may have 200" in caught.value.message


def test_rows_with_a_text_that_is_too_long_for_a_declared_category_are_skipped(tmp_path: Path) -> None:
    rows = f"a,b\ny,1\n{LONG},2\nz,3\n"
    found, columns = grown(tmp_path, rows.encode(), types={"a": "category"}, on_bad_rows="skip")
    assert (found["rejected_rows"], columns["b"].values[:].tolist()) == (1, [1.0, 3.0])


def test_texts_beyond_the_bytes_that_are_remembered_are_kept(tmp_path: Path) -> None:
    texts = [f"{number:06d}" + "x" * 3000 for number in range(25_000)]
    rows = "few,key\n" + "".join(f"{number % 7},{text}\n" for number, text in enumerate(texts))
    found, columns = grown(tmp_path, rows.encode(), types={"few": "category"})
    assert [column["type"] for column in found["columns"]] == ["category", "text"]
    categories = columns["key"].categories
    assert categories is not None
    assert texts_at(categories, columns["key"].values[:]) == texts
    assert columns["few"].values[:8].tolist() == [0, 1, 2, 3, 4, 5, 6, 0]


def test_columns_that_keep_most_let_go_first_and_declared_categories_last() -> None:
    gone: list[str] = []
    memory = TextMemory(100)
    for place, (name, n_bytes) in enumerate({"category": 60, "small": 10, "large": 20}.items()):
        memory.note(place, Kept(n_bytes, name == "category", lambda name=name: gone.append(name)))  # type: ignore[misc]
    assert gone == []
    memory.note(1, Kept(21, is_category=False, let_go=lambda: gone.append("small")))
    assert gone == ["small", "large"]
    memory.note(0, Kept(101, is_category=True, let_go=lambda: gone.append("category")))
    assert gone == ["small", "large", "category"]


def test_dates_split_by_time_however_many_there_are(tmp_path: Path) -> None:
    times = np.arange(150_000).astype("datetime64[s]")[::-1]
    _, columns = grown(tmp_path, corpus.parquet(corpus.table(t=times)))
    assert columns["t"].categories is not None
    assert texts_at(columns["t"].categories, columns["t"].values[-2:]) == [
        "1970-01-01 00:00:01.000", "1970-01-01 00:00:00.000"
    ]  # fmt: skip
    split = split_by_time(columns["t"], 0.2, 0.1, scratch=tmp_path)
    assert split.sizes == (105_000, 30_000, 15_000)
    assert split.parts[:].tolist() == [2] * 15_000 + [1] * 30_000 + [0] * 105_000


def test_many_columns_of_few_texts_are_all_categories(tmp_path: Path) -> None:
    memory, files = TextMemory(1000), ColumnFiles(tmp_path)
    reading = Reading(parse_options({}), ".", lambda row: row, has_types=True)
    columns = [growing_column(f"c{place}", place, reading, files, "undeclared", memory) for place in range(4)]
    for column in columns:
        column.add(pa.array([f"some text number {number}" for number in range(900)]))
    assert {column.finish()["type"] for column in columns} == {"category"}


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    values = np.random.default_rng(3).normal(1e6, 1.0, 10_000)
    parts = Statistics()
    for part in np.array_split(values, 7):
        parts.add(part)
    figures = parts.figures()
    assert (figures["min"], figures["max"], figures["distinct_values"]) == (values.min(), values.max(), None)
    assert figures["mean"] == pytest.approx(values.mean(), rel=1e-14)
    assert figures["std"] == pytest.approx(values.std(), rel=1e-10)


def test_figures_of_all_that_float32_can_hold_are_finite() -> None:
    largest = float(np.finfo(np.float32).max)
    figures = Statistics()
    for part in ([largest] * 3, [-largest] * 3, [5e-324, 1.0]):
        figures.add(np.array(part))
    assert figures.fit_float32
    assert all(math.isfinite(value) for name, value in figures.figures().items() if name in {"mean", "std"})
    figures.add(np.array([np.nextafter(2.0**128 - 2.0**103, 0)]))  # is rounded to the largest one
    assert figures.fit_float32
    figures.add(np.array([-(2.0**128) + 2.0**103]))
    assert not figures.fit_float32


SPELLINGS = [
    "1", " 1", "1 ", "\t1", "+1", "-0", "1e5", "1E-5", ".5", "5.", "0x10", "1_000", "\u00a01", "\u0661", "1d", "1f",
    "inf", "-Infinity", "NaN", "nan(1)", '"1"', '" 1"', ' "1"', '""', " ", "?", " ?", '"?"', "1,5", '"1,5"', "1e999",
    "4.9e-324", "0.1000000000000000055511151231257827", "123456789012345678901234567890", "1.2.3", "--1", "true",
]  # fmt: skip


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_numbers_that_the_reader_makes_are_those_of_the_rule(tmp_path: Path, spelling: str, decimal: str) -> None:
    """Where the reader takes a text for a number or for missing, so does the rule; else the rule decides alone."""
    (tmp_path / "upload").write_text(f"a;b\n{spelling};x\n")
    options = parse_options({"delimiter": ";", "decimal": decimal, "missing_markers": ["", "?"]})
    source = csv_source(open_csv(tmp_path / "upload", options), options.missing_markers, {})
    try:
        fast = next(source.chunks(frozenset({0})))[0]
    except pa.ArrowInvalid:
        return
    values = next(source.chunks(frozenset()))[0]
    right = numbers_of(values, reading_of(source, options))
    assert np.array_equal(fast.to_numpy(zero_copy_only=False), right.to_numpy(zero_copy_only=False), equal_nan=True)
    assert fast.null_count == right.null_count
