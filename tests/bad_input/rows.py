"""The rows of the table of faults that the corpus of bad input covers, and how many of them passed."""

from collections.abc import Collection, Iterable
from pathlib import Path

ROWS = (*(f"B{number}" for number in range(21, 44)), "B54")
HERE = Path(__file__).parent


def all_were_asked_for(arguments: Iterable[str], directory: Path) -> bool:
    """Whether pytest, called in `directory`, was to run this folder, and not tests of it by their ids."""
    paths = [(directory / argument).resolve() for argument in arguments if "::" not in argument]
    return any(path in {HERE, HERE / "test_bad_input.py", *HERE.parents} for path in paths)


def counted(wanted: Collection[str], passed: Collection[str]) -> str:
    """The line that ends a run: a row that was left out has not passed."""
    missing = [row for row in wanted if row not in passed]
    said = f"; not passed: {', '.join(sorted(missing))}" if missing else ""
    return f"bad input: {len(wanted) - len(missing)} of {len(wanted)} rows passed{said}"
