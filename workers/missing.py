"""Refuses missing values that a dataset's description tells of, before anything is built of its rows.

What the description does not tell is seen when the matrix is built: which row is the first, and which rows train.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.counting import any_of, counted, part_of
from workers.errors import SpecError
from workers.matrix_rows import MISSING_WAY_OUT
from workers.spec import JobSpec

Columns = Mapping[str, Mapping[str, Any]]
"""By name: name, type, nulls, min (see `workers.dataset`)."""


def check_targets(spec: JobSpec, columns: Columns, rows: int) -> None:
    """SpecError `missing_values` where a target has missing values."""
    _refuse_gaps(spec.targets, columns, rows, "target")


def check_features(spec: JobSpec, columns: Columns, rows: int) -> None:
    """SpecError: `missing_values` where a feature has some that nothing fills, `all_missing` where it has no value."""
    if spec.preprocessing.missing_values == "error":
        _refuse_gaps(spec.features, columns, rows, "features")
        return
    for name in spec.features:
        if columns[name]["nulls"] == rows:
            raise SpecError(
                f"Column '{name}' has no value in {any_of(rows, 'row')}, so there is nothing to fill "
                f"it with. Leave it out: put it in `ignore`.",
                code="all_missing",
                field="features",
            )


def check_validation(spec: JobSpec, columns: Columns, rows: int) -> None:
    """SpecError where the validation dataset lacks values that it needs; gaps in features are filled as in training."""
    try:
        check_targets(spec, columns, rows)
        if spec.preprocessing.missing_values == "error":
            check_features(spec, columns, rows)
        _check_weights(spec, columns)
    except SpecError as error:
        message = f"In the validation dataset: {error.message}"
        raise SpecError(message, code=error.code, field="validation_dataset") from None


def _check_weights(spec: JobSpec, columns: Columns) -> None:
    column = None if spec.weight_column is None else columns[spec.weight_column]
    if column is not None and (column["type"] != "number" or column["nulls"] or column["min"] < 0):
        message = f"Column '{column['name']}' must hold a number of at least 0 in each row."
        raise SpecError(message, code="invalid_weights", field="weight_column")


def _refuse_gaps(names: Sequence[str], columns: Columns, rows: int, field: str) -> None:
    """In the words of `workers.matrix_rows`, with the number of the other columns."""
    gaps = [name for name in names if columns[name]["nulls"]]
    if not gaps:
        return
    n_others = len(gaps) - 1
    more = f", and {counted(n_others, 'more such column')} {'is' if n_others == 1 else 'are'} among the {field}"
    place = part_of(columns[gaps[0]]["nulls"], rows, "row")
    found = f"Column '{gaps[0]}' has no value in {place}{more if n_others else ''}."
    raise SpecError(f"{found} {MISSING_WAY_OUT[field]}", code="missing_values", field=field)
