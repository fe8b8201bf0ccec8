"""The count of bad-input rows has every row for its denominator, whether it ran or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.rows import HERE, ROWS, all_were_asked_for, counted

PROJECT = HERE.parent.parent


@pytest.mark.parametrize("argument", ["tests", "tests/bad_input", "tests/bad_input/test_bad_input.py"])
def test_whoever_asks_for_the_folder_is_told_of_all_rows(argument: str) -> None:
    assert all_were_asked_for(["tests/unit", argument], PROJECT)
    assert all_were_asked_for([str(PROJECT / argument)], Path("/"))


@pytest.mark.parametrize("argument", ["tests/unit", "tests/bad_input/test_bad_input.py::test_bad_input[B54]"])
def test_whoever_asks_for_something_else_is_not_told_of_all_rows(argument: str) -> None:
    assert not all_were_asked_for([argument], PROJECT)


def test_rows_that_did_not_pass_are_named() -> None:
    assert counted(["B1", "B2"], {"B1", "B2"}) == "bad input: 2 of 2 rows passed"
    assert counted(["B1", "B2", "B3"], {"B2"}) == "bad input: 1 of 3 rows passed; not passed: B1, B3"


def test_a_run_that_leaves_rows_out_says_so() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "tests/bad_input", "-k", "none"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert f"bad input: 0 of {len(ROWS)} rows passed; not passed: B21, B22" in done.stdout, done.stdout
