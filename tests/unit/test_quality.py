"""The promise of docs/MODELS.md on a few splits, and that its table is what `make quality` writes."""

from pathlib import Path

import numpy as np
import pytest

from tests.quality.cases import CASES, table, write
from tests.quality.gradsum import Outcome, problem
from tests.quality.peers import with_codes
from tests.quality.table import BEGIN, END, PAGE, Row, cells, markdown, mean, measured, put

SALTS = ("0", "1", "2")
TOLERANCE = {"iris": 0.015, "wine": 0.01, "breast_cancer": 0.01, "diabetes": 0.015, "abalone": 0.0}
"""What three splits may be short of the linear model: at most one or two rows of each, or a fifth of R²'s deviation."""
ROW = Row(
    "wine",
    1780,
    is_classification=True,
    gradsum=[Outcome(0.9, 0.5, 3)],
    linear=[Outcome(0.8, 0, 0)],
    trees=[Outcome(0.95, 0, 0)],
)


@pytest.mark.parametrize("name", TOLERANCE)
def test_the_smallest_request_is_no_worse_than_a_linear_model(name: str, tmp_path: Path) -> None:
    row = measured(CASES[name], SALTS, tmp_path)
    assert mean(row.gradsum) >= mean(row.linear) - TOLERANCE[name]


def test_the_page_says_that_no_model_is_worse_than_the_linear_one() -> None:
    found = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| \n").split(" | ") for line in found.splitlines()[2:]]
    assert [row[0] for row in rows] == list(CASES)
    assert all(row[6].startswith("+") for row in rows)


def test_the_table_is_written_into_the_page_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    put(markdown([ROW]), page)
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| wine | 1 780 | accuracy | 0.900 ± 0.000 | 0.800 ± 0.000 |" in written
    assert cells(ROW)[6:] == ["+0.100", "−0.050", "0.5 s"]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.loader is not None])
def test_the_files_hold_the_numbers_of_scikit_learn(name: str, tmp_path: Path) -> None:
    write(CASES[name], tmp_path / "data.csv")
    assert (tmp_path / "data.csv").read_bytes() == CASES[name].file.read_bytes()
    assert len(table(CASES[name])) == len(CASES[name].file.read_text().splitlines())


def test_trees_get_the_categories_that_the_job_has(tmp_path: Path) -> None:
    matrix = problem(CASES["abalone"], "0", tmp_path).matrix
    X, is_category = with_codes(matrix)
    assert is_category == [True] + [False] * 7
    assert np.array_equal(np.eye(4)[X[:, 0].astype(int)], matrix.X[:, :4])
    assert np.array_equal(X[:, 1:], matrix.X[:, 4:])
