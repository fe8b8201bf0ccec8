"""CSV files for prediction, however they are written: the same rows, and the lines they stand on."""

from pathlib import Path

import pytest

from service.commands.predictions.learned import Feature
from service.commands.predictions.source import open_source
from service.file_options import FileOptions

FEATURES = (Feature("x", is_number=True, has_whole_texts=False), Feature("y", is_number=False, has_whole_texts=False))
ROWS = [(1.5, "a"), (-2e300, None), (None, "00"), ("?", 'b"c')]


def rows_of(file: Path, options: FileOptions | None = None) -> list[object]:
    source = open_source(file, file.parent, FEATURES, options or FileOptions())
    return [row for part in source.parts for row in part.rows]


@pytest.mark.parametrize(
    ("text", "last_line"),
    [
        ('x,y\n1.5,a\n-2e300,\n,00\n?,"b""c"\n', 5),
        ('x,y\r\n1.5,a\r\n-2e300,\r\n,00\r\n?,"b""c"', 5),
        ('\ufeffy\tx\n a \t1.5\n\t-2e300\n00\t \n"b""c"\t ?\n', 5),
        ('\n\n"x","y"\n\n1.50,a\n\n-2e300,\n,00\n?,"b""c"\n', 9),
        ('y;"more\nthan a line";x\na;"1\n2";1,5\n;;-2e300\n00;;\n"b""c";;?\n', 7),
    ],
    ids=["plain", "CRLF", "BOM and tabs", "blank lines", "values over lines"],
)
def test_rows_are_the_same_however_they_are_written(tmp_path: Path, text: str, last_line: int) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(text.encode())
    assert rows_of(file) == ROWS
    source = open_source(file, tmp_path, FEATURES, FileOptions())
    assert source.row_number(3) == last_line


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("1.5,a\n2,b\n")
    features = tuple(feature._replace(name=f"column_{place}") for place, feature in enumerate(FEATURES, 1))
    source = open_source(file, tmp_path, features, FileOptions(header=False))
    assert [part.rows for part in source.parts] == [[(1.5, "a"), (2.0, "b")]]
    assert source.row_number(1) == 2


def test_every_part_of_a_large_file_is_read_in_order(tmp_path: Path) -> None:
    """Three parts of 4 MiB, one cut in the middle of a value over two lines."""
    file = tmp_path / "rows.csv"
    file.write_text("x,y\n" + "".join(f'{n},"{"a" * 50}\n{n}"\n' for n in range(160_000)))
    source = open_source(file, tmp_path, FEATURES, FileOptions())
    parts = list(source.parts)
    assert len(parts) > 1
    assert parts[-1].done == source.size
    assert [row[0] for part in parts for row in part.rows] == list(range(160_000))
    assert source.row_number(159_999) == 2 * 160_000
