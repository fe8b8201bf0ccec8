"""Timings as rows of results.json and as a table."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.benchmarks.cases import CASES
from tests.benchmarks.measure import Timing
from tests.benchmarks.threads import n_cores
from tests.benchmarks.words import in_words, milliseconds

Row = dict[str, Any]
NEGLIGIBLE_SHARE = 0.05
"""Of a core, used by the idle service while another system is timed."""


def rows_of(case: str, timings: Sequence[Timing], machine: Row) -> list[Row]:
    """A row for each system: the median over its rounds, and beside ours."""
    medians = {timing.system: statistics.median(timing.rounds) for timing in timings}
    return [
        {
            "case": case,
            "system": timing.system,
            "seconds_per_epoch": medians[timing.system],
            "least": min(timing.rounds),
            "most": max(timing.rounds),
            "rounds": timing.rounds,
            "ratio_to_gradsum": medians[timing.system] / medians["gradsum"],
            "variant": timing.variant,
            "version": timing.version,
            "note": timing.note,
            **timing.details,
            "machine": machine,
        }
        for timing in timings
    ]


def write(rows: Sequence[Row], file: Path) -> None:
    """The rows as the contract wants them, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(rows, indent=1) + "\n")
    unfinished.replace(file)


def machine() -> Row:
    """What the figures depend on beside the programs."""
    switches = {
        name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_", "MKL_", "NPY_"))
    }
    return {"cpu": _cpu(), "cores": n_cores(), "python": platform.python_version(), "environment": switches}


def table(rows: Sequence[Row]) -> Table:
    """Milliseconds an epoch, system by system, and how many times ours that is."""
    found = Table(title="Time per epoch; the range is over rounds", title_justify="left")
    for heading in ("case", "system", "ms", "range", "× gradsum", "variant", "note"):
        found.add_column(heading, justify="right" if heading in {"ms", "range", "× gradsum"} else "left")
    for place, row in enumerate(rows):
        first = place == 0 or rows[place - 1]["case"] != row["case"]
        ours = row["system"] == "gradsum"
        found.add_row(
            row["case"] if first else "",
            row["system"],
            milliseconds(row["seconds_per_epoch"]),
            f"{milliseconds(row['least'])}–{milliseconds(row['most'])}",
            "" if ours else f"{row['ratio_to_gradsum']:.2f}",
            in_words(row["variant"]),
            row["note"],
            style="bold" if ours else None,
            end_section=place + 1 == len(rows) or rows[place + 1]["case"] != row["case"],
        )
    return found


def closing_lines(rows: Sequence[Row]) -> list[str]:
    """The cases in words, how near the floor we are, the idle service's share, the programs and the machine."""
    lines = [f"Case {name}: {CASES[name].words}." for name in dict.fromkeys(row["case"] for row in rows)]
    floors = [f"{row['case']} {row['ratio_to_gradsum']:.2f}" for row in rows if row["system"] == "floor"]
    lines.append(f"Floor over ours (1 is as fast as the matrix products alone): {', '.join(floors)}.")
    shares = [share for row in rows for share in row.get("service_share_of_a_core", [])]
    if shares and statistics.median(shares) > NEGLIGIBLE_SHARE:
        share = statistics.median(shares)
        lines.append(f"While the others ran, the idle service used {share:.0%} of a core: a bias against them.")
    versions = dict.fromkeys(f"{row['system']}: {row['version']}" for row in rows)
    found = rows[0]["machine"]
    lines.append("; ".join(versions))
    switches = " ".join(f"{name}={value}" for name, value in found["environment"].items())
    lines.append(f"{found['cpu']}, {found['cores']} cores, Python {found['python']}. {switches}".rstrip())
    return lines


def _cpu() -> str:
    """The name of the processor, where the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        facts = dict(line.partition(":")[::2] for line in information.read_text().splitlines() if ":" in line)
        names = {name.strip(): value.strip() for name, value in facts.items()}
        return f"{names.get('model name', platform.machine())} (family {names.get('cpu family', '?')})"
    return platform.processor() or platform.machine()
