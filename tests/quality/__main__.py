"""`make quality`: the model of the smallest request beside scikit-learn's linear models and boosted trees."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.quality.cases import CASES
from tests.quality.table import HEADINGS, PAGE, cells, markdown, mean, measured, put

SPLITS = 10


def main() -> int:
    """The exit code: 0 where no model is worse than the linear one."""
    parser = argparse.ArgumentParser(prog='make quality QUALITY="…"', description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help="for example iris,wine; all if not given")
    parser.add_argument("--splits", type=int, default=SPLITS, help=f"how many splits; {SPLITS} if not given")
    parser.add_argument("--salt", default="", help="what the salts of the splits begin with, for other splits")
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{PAGE.name}")
    options = parser.parse_args()
    names = options.cases.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}: {', '.join(CASES)}")
    salts = [f"{options.salt}{number}" for number in range(options.splits)]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    with tempfile.TemporaryDirectory(prefix="gs-") as storage:
        waiting = track(names, "Training", console=console, transient=True, disable=not sys.stdout.isatty())
        rows = [measured(CASES[name], salts, Path(storage)) for name in waiting]
    table = Table(*HEADINGS, title=f"Scores on test rows, mean ± standard deviation over {options.splits} splits")
    for row in rows:
        table.add_row(*cells(row))
    console.print(table)
    if options.write:
        put(markdown(rows))
    worse = [row.case for row in rows if mean(row.gradsum) < mean(row.linear)]
    if worse:
        console.print(f"Worse than the linear model: {', '.join(worse)}.")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
