"""Whether what a spec says of its held-out rows can be meant: its split and its validation dataset."""

from collections.abc import Iterator, Mapping
from typing import Any

from workers.counting import counted
from workers.errors import FieldError, SpecError
from workers.spec import JobSpec

Column = Mapping[str, Any]
"""A column's metadata: name, type, nulls, categories, distinct_values (see `workers.dataset`)."""
OF_COLUMN = {"group", "time"}
SHOWN = 5


def check_split(spec: JobSpec) -> None:
    """SpecError with every field of the split that contradicts another; no dataset is needed to know."""
    found = [*_contradictions(spec)]
    if found:
        raise SpecError(" ".join(error.message for error in found), errors=tuple(found))


def check_split_column(spec: JobSpec, columns: Mapping[str, Column]) -> None:
    """SpecError where the column of the split, which the dataset has, can't be split by."""
    name = spec.split.column
    if name is None:
        return
    if name in spec.targets:
        message = f"Column '{name}' is the target, so it can't be split by. Use split.stratify to balance classes."
        raise SpecError(message, field="split.column")
    if spec.split.by == "time" and columns[name]["nulls"]:
        missing = counted(columns[name]["nulls"], "missing value")
        message = (
            f"Column '{name}' has {missing}. A split by time needs one in each row: fill the column, or take another."
        )
        raise SpecError(message, field="split.column")


def left_out(spec: JobSpec) -> set[str]:
    """The column that an automatic choice of features leaves out, because it would tell a row's group or time."""
    return {spec.split.column} if spec.split.by in OF_COLUMN and spec.split.column is not None else set()


def notes_and_warnings(spec: JobSpec) -> tuple[list[str], list[str]]:
    """What the user should know of the split's column, once the features are chosen."""
    notes, warnings = [], []
    for name in left_out(spec):
        if name in spec.features:
            warnings.append(
                f"Column '{name}' splits the rows by {spec.split.by} and is a feature: it may not carry over."
            )
        else:
            notes.append(f"Column '{name}' splits the rows by {spec.split.by}, so it is not a feature.")
    return notes, warnings


def check_validation_columns(
    spec: JobSpec, columns: Mapping[str, Column], theirs: Mapping[str, Column], classes: list[Any] | None
) -> None:
    """SpecError where the validation dataset lacks a column that is used, or has it of another type."""
    used = [*spec.targets, *spec.features, *([] if spec.weight_column is None else [spec.weight_column])]
    found = [*_differences(used, columns, theirs)]
    target = spec.targets[0]
    if classes is not None and target in theirs:
        known = {str(label) for label in columns[target]["categories"] or columns[target]["distinct_values"] or []}
        there = theirs[target]["categories"] or theirs[target]["distinct_values"] or []
        unknown = [str(label) for label in there if str(label) not in known]
        found += [f"its '{target}' has classes that the dataset has not: {_listed(unknown)}"] if unknown else []
    if found:
        raise SpecError(f"The validation dataset does not fit: {'; '.join(found)}.", field="validation_dataset")


def _differences(used: list[str], columns: Mapping[str, Column], theirs: Mapping[str, Column]) -> Iterator[str]:
    missing = [name for name in used if name not in theirs]
    if missing:
        yield f"it has no column {_listed(missing)}"
    for name in used:
        if name in theirs and (columns[name]["type"] == "number") != (theirs[name]["type"] == "number"):
            yield f"its '{name}' is {theirs[name]['type']}, that of the dataset {columns[name]['type']}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def _contradictions(spec: JobSpec) -> Iterator[FieldError]:
    split = spec.split
    if split.by in OF_COLUMN and split.column is None:
        yield FieldError("split.column", f"split.by {split.by} needs split.column: name the column to split by.")
    if split.by == "row" and split.column is not None:
        yield FieldError("split.column", "split.by row looks at no column. Leave it out, or set split.by to hash.")
    if split.by in {"row", "time"} and split.salt:
        yield FieldError("split.salt", f"split.by {split.by} draws nothing, so a salt has no effect. Leave it out.")
    if split.stratify and split.by != "hash":
        message = f"split.stratify goes with split.by hash only, not {split.by}: classes can't be balanced there."
        yield FieldError("split.stratify", message)
    if split.stratify and (spec.task == "regression" or len(spec.targets) > 1):
        yield FieldError("split.stratify", "split.stratify needs classes, and the task is regression. Leave it out.")
    if split.validation + split.test >= 1:
        message = f"split.validation {split.validation:g} and split.test {split.test:g} leave no row for training."
        yield FieldError("split.validation", message)
