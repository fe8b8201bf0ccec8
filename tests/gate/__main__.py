"""`python -m tests.gate`: what the check and the gate before the champion are worth, in figures; some minutes."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from tests.gate.clean import findings, fresh_rows, growing_rows
from tests.gate.nights import ingested
from tests.gate.planted import EXAMPLE_TABLES, data_of, outcomes
from tests.gate.real import equal_nights
from tests.gate.simulation import nights, stopped

NIGHTS = 300
REAL_NIGHTS = 30
YEARS = 10
ROWS = 300


def main() -> int:
    """Print planted faults, clean nights, years of equal models, and worse models by how much worse they are."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as temporary:
        for example in EXAMPLE_TABLES.values():
            directory = Path(temporary) / example.name
            for fault, outcome in outcomes(example, directory):
                console.print(f"{example.name}: {fault}: {outcome.by}: {outcome.reason}")
            codes = Counter(verdict.code for verdict in equal_nights(example, directory / "equal", REAL_NIGHTS))
            console.print(f"{example.name}: {REAL_NIGHTS} models of other seeds and more rows: {dict(codes)}")
            dataset = ingested(directory / "all", data_of(example).to_csv(index=False))
            for kind in (fresh_rows, growing_rows):
                held = sum(bool(found) for found in findings(dataset, kind(example.rows, NIGHTS, 1)))
                console.print(f"{example.name}: of {NIGHTS} clean nights with {kind.__name__}, {held} are held")
    for year in range(YEARS):
        seen = list(nights(year, ROWS, [0.0] * 365, resamples=9999))
        codes = Counter(night.verdict.code for night in seen)
        console.print(f"equal models, year {year}: oldest champion {max(night.age for night in seen)} nights, {codes}")
    for errors in (2, 3, 4, 5, 6, 8):
        console.print(f"worse by {errors} standard errors: {stopped(errors, ROWS, range(YEARS)):.1%} stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
