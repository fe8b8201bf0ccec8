"""Whether new data is like the data that the champion learned from: the check before training, and drift. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workers.counting import counted

MOST_REPETITION = 1.5
"""How many times as often as in the champion's data a row may stand, on average."""
MOST_NAMED = 3

Measured = Mapping[str, Any]
"""What `service.comparison.compare_data` found."""


class Finding(NamedTuple):
    """`code`: no_data, too_few_rows, row_count, repeated_rows, columns, missing_values or shifted; and a sentence."""

    code: str
    message: str


def problems(check: Mapping[str, Any], measured: Measured) -> list[Finding]:
    """Everything in new data that a schedule's `check` does not let pass; none: train on it."""
    if measured["rows"] == 0:
        return [Finding("no_data", "The new data has no row.")]
    found: list[Finding | None] = [_too_few(check.get("min_rows"), measured["rows"])]
    if check.get("rows_vs_last") is not None:
        found += [_row_count(check["rows_vs_last"], measured), _repetition(measured)]
    if check.get("same_columns"):
        found.append(_columns(measured))
    if check.get("max_null_fraction") is not None:
        found.append(_missing(check["max_null_fraction"], measured))
    if check.get("max_psi") is not None:
        found.append(shifted(check["max_psi"], measured))
    return [finding for finding in found if finding is not None]


def problems_alone(check: Mapping[str, Any], rows: int, null_fractions: Mapping[str, float]) -> list[Finding]:
    """What can be said of data where there is no champion yet to compare it with."""
    if rows == 0:
        return [Finding("no_data", "The new data has no row.")]
    found = [_too_few(check.get("min_rows"), rows)]
    if check.get("max_null_fraction") is not None:
        found.append(_missing(check["max_null_fraction"], {"null_fractions": null_fractions}))
    return [finding for finding in found if finding is not None]


def shifted(max_psi: float, measured: Measured) -> Finding | None:
    """The columns of the model whose values are spread otherwise than in the champion's data: drift, if there are any.

    A shift counts where it is above `max_psi` and above what chance makes of so few rows.
    """
    over = {
        name: shift["psi"]
        for name, shift in measured["shifts"].items()
        if shift["psi"] > max_psi and not shift["by_chance"]
    }
    lost = [name for name in measured["used"] if name in measured["uncomparable"]]
    if not over and not lost:
        return None
    if lost:
        return Finding("shifted", f"{_listed('Column', lost)} can't be compared with the champion's data.")
    worst = sorted(over, key=lambda name: -over[name])
    figures = ", ".join(f"{over[name]:.2g}" for name in worst[:MOST_NAMED])
    are = "is" if len(worst) == 1 else "are"
    message = (
        f"{_listed('Column', worst)} {are} spread otherwise than in the champion's data: "
        f"PSI {figures}, at most {max_psi:g}."
    )
    return Finding("shifted", message)


class Drift(NamedTuple):
    """What is to be done about a dataset that may have drifted: `none`, `suggest` to retrain, or `run` it."""

    step: str
    reason: str


def drifted(drift: Mapping[str, Any], measured: Measured) -> Drift:
    """What a schedule's `drift` wants, once for each version of its dataset and each champion.

    Once, because data that has drifted stays so until a new champion has learned from it: asked each minute, it would
    train each minute.
    """
    found = shifted(drift["max_psi"], measured)
    if found is None:
        return Drift("none", f"No column has drifted by a PSI above {drift['max_psi']:g}.")
    return Drift(drift["mode"], found.message)


def _too_few(min_rows: int | None, rows: int) -> Finding | None:
    if min_rows is None or rows >= min_rows:
        return None
    return Finding("too_few_rows", f"The new data has {counted(rows, 'row')}, fewer than min_rows {min_rows:,}.")


def _row_count(bounds: Sequence[float], measured: Measured) -> Finding | None:
    """Exactly half and exactly double are out with [0.5, 2]: that is what a torn or doubled file has, to 1 %."""
    low, high = bounds
    ratio = round(measured["rows"] / max(1, measured["reference_rows"]), 2)
    if low < ratio < high:
        return None
    return Finding(
        "row_count",
        f"The new data has {counted(measured['rows'], 'row')}, {ratio:g} times the {measured['reference_rows']:,} of "
        f"the champion's; rows_vs_last wants between {low:g} and {high:g}.",
    )


def _repetition(measured: Measured) -> Finding | None:
    now = measured["rows"] / measured["distinct_rows"]
    before = max(1, measured["reference_rows"]) / max(1, measured["reference_distinct_rows"])
    if now < MOST_REPETITION * before:
        return None
    message = f"In the new data a row stands {now:.2g} times on average, in the champion's {before:.2g} times."
    return Finding("repeated_rows", message)


def _columns(measured: Measured) -> Finding | None:
    gone, new, other = (measured["columns"][kind] for kind in ("gone", "new", "other_type"))
    parts = [
        _listed(kind, names) for kind, names in (("gone:", gone), ("new:", new), ("of another type:", other)) if names
    ]
    if not parts:
        return None
    return Finding("columns", f"The columns are not those of the champion's data; {'; '.join(parts)}.")


def _missing(most: float, measured: Measured) -> Finding | None:
    over = {name: share for name, share in measured["null_fractions"].items() if share > most}
    if not over:
        return None
    name = max(over, key=lambda key: over[key])
    more = f" (and {counted(len(over) - 1, 'other column')} too)" if len(over) > 1 else ""
    message = f"Column '{name}' has no value in {over[name]:.1%} of the rows{more}; max_null_fraction is {most:g}."
    return Finding("missing_values", message)


def _listed(kind: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    plural = "s" if kind == "Column" and len(names) > 1 else ""
    return f"{kind}{plural} " + ", ".join(f"'{name}'" for name in names[:MOST_NAMED]) + more
