"""The statistics behind the check and the gate, with SciPy: in a child, never in a process that trains or decides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, chi2

from service.column_statistics import Statistics, counts_as, distinct_rows
from workers.dataset import Column
from workers.files import scratch_directory

Array = npt.NDArray[Any]
CHANCE = 1e-4
"""How often, over all columns of clean data, chance may make a shift that counts."""
SMOOTHING = 0.5
MOST_BUNDLES = 2000
RESAMPLES = 9999


class Difference(NamedTuple):
    """A mean difference in cost, the bounds between which it lies with some confidence, and its standard error."""

    mean: float
    lower: float
    upper: float
    standard_error: float


def compare_data(
    reference: Statistics, columns: Sequence[Column], used: Sequence[str], beside: Path | None = None
) -> dict[str, Any]:
    """How a dataset differs from the one of `reference`, above all in the columns that a model uses.

    What is kept meanwhile lies in the directory `beside`.
    """
    rows = len(columns[0].values) if columns else 0
    described = {column["name"]: column for column in reference["columns"]}
    here = {column.name: column for column in columns}
    both = [name for name in used if name in described and name in here]
    counts = {name: counts_as(described[name], here[name]) for name in both}
    with scratch_directory(beside) as scratch:
        n_distinct = distinct_rows(columns, scratch) if rows else 0
    return {
        "rows": rows,
        "distinct_rows": n_distinct,
        "reference_rows": reference["rows"],
        "reference_distinct_rows": reference["distinct_rows"],
        "columns": {
            "gone": [name for name in described if name not in here],
            "new": [name for name in here if name not in described],
            "other_type": [name for name in here if name in described and described[name]["type"] != here[name].type],
        },
        "null_fractions": {name: here[name].count_missing() / max(1, rows) for name in used if name in here},
        "used": list(used),
        "uncomparable": [name for name in used if name in described and _is_lost(described[name], counts.get(name))],
        "shifts": {
            name: shift(np.array(described[name]["counts"]), found, len(used))
            for name, found in counts.items()
            if found is not None
        },
    }


def _is_lost(described: Statistics, counts: Array | None) -> bool:
    """Whether a column that was counted can't be counted in the same way any more."""
    return described["counts"] is not None and counts is None


def shift(reference: Array, counts: Array, n_columns: int = 1) -> dict[str, Any]:
    """The population stability index between two rows of counts: {"psi", "by_chance"}.

    From n and m rows of one population it is about (1/n + 1/m) times a χ² of B − 1 degrees of freedom: its mean is
    taken off, and `by_chance` says whether χ² explains it.
    """
    n, m, bins = reference.sum(), counts.sum(), len(counts)
    if n == 0 or m == 0:
        return {"psi": 0.0, "by_chance": True}
    p, q = ((each + SMOOTHING) / (each.sum() + SMOOTHING * bins) for each in (reference, counts))
    psi = float(((p - q) * np.log(p / q)).sum())
    per_row = 1 / n + 1 / m
    chance = float(chi2.sf(psi / per_row, bins - 1))
    return {"psi": max(0.0, psi - (bins - 1) * per_row), "by_chance": chance * n_columns >= CHANCE}


def difference(costs: Array, others: Array, confidence: float, seed: int, resamples: int = RESAMPLES) -> Difference:
    """How much more the same rows cost than `others`, by paired bootstrap: positive is worse.

    Beyond 2 000 rows, bundles of consecutive rows are drawn instead of rows, so that the time is bounded.
    """
    each = bundled(costs - others)
    mean = float(each.mean())
    if len(each) < 2 or (each == each[0]).all():  # noqa: PLR2004 - nothing to draw from
        return Difference(mean, mean, mean, 0.0)
    drawn = bootstrap(
        (each,),
        np.mean,
        n_resamples=resamples,
        batch=500,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    bounds = drawn.confidence_interval
    return Difference(mean, float(bounds.low), float(bounds.high), float(drawn.standard_error))


def bundled(values: Array) -> Array:
    """At most 2 000 values of the same mean: sums of consecutive ones, scaled."""
    if len(values) <= MOST_BUNDLES:
        return values
    firsts = np.arange(MOST_BUNDLES) * len(values) // MOST_BUNDLES
    return np.asarray(np.add.reduceat(values, firsts) * (MOST_BUNDLES / len(values)))
