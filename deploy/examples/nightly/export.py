"""Writes the day's file of digits, as the nightly export of a team would: DIRECTORY/digits-2026-11-24.csv.

A stand-in for your own export. It needs nothing but Python, and the same day always gives the same file.
"""

import argparse
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

DIGITS = Path(__file__).parent.parent / "digits" / "digits.csv"
TIMEZONE = ZoneInfo("Europe/Oslo")
ROWS_AT_NEW_YEAR = 1000
ROWS_A_DAY = 2
SUNDAY = 6


def main() -> None:
    """Write the file of one day, and say which."""
    parser = argparse.ArgumentParser(
        description="Write DIRECTORY/digits-DAY.csv: all digits that were read up to that day.",
        epilog="Nobody reads digits on a Sunday, so that file is like Saturday's.",
    )
    parser.add_argument("directory", metavar="DIRECTORY", type=Path, help="made where it is not there")
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=datetime.now(TIMEZONE).date(),
        metavar="DAY",
        help="such as 2026-11-24; today in Oslo where it is not given",
    )
    arguments = parser.parse_args()
    print(export(arguments.directory, arguments.day))  # noqa: T201 - it is a command


def export(directory: Path, day: date) -> Path:
    """The file of `day`, written in one move: whoever looks sees all of it, or none."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"digits-{day}.csv"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(content(day), encoding="utf-8")
    return unfinished.replace(path)


def content(day: date) -> str:
    """The header, and all rows up to `day`: a thousand at New Year, and two more with each day that is no Sunday."""
    new_year = date(day.year, 1, 1)
    days = (new_year + timedelta(days=number) for number in range((day - new_year).days + 1))
    rows = ROWS_AT_NEW_YEAR + ROWS_A_DAY * sum(day.weekday() != SUNDAY for day in days)
    lines = DIGITS.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[: 1 + rows])


if __name__ == "__main__":
    main()
