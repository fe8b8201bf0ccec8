"""Values for every `auto` of a spec, from what is known of the dataset; and whether the two fit together."""

import difflib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from workers.counting import counted
from workers.errors import SpecError
from workers.held_out import check_split, check_split_column, check_validation_columns, left_out, notes_and_warnings
from workers.missing import check_targets
from workers.presets import apply_preset
from workers.sense import check_sense, check_weights, doubts
from workers.settled import settled_shards
from workers.spec import JobSpec
from workers.targets import MOST_CLASSES

Column = Mapping[str, Any]
"""A column's metadata: name, type, distinct_values, whole, categories (see `workers.dataset`)."""

LARGEST_AUTOMATIC_CLASS_COUNT = 20


class DatasetFacts(NamedTuple):
    """What resolving needs to know of a dataset."""

    id: str
    name: str
    rows: int
    columns: list[dict[str, Any]]


class Limits(NamedTuple):
    """What a job may ask for at most."""

    parameters: int
    epochs: int
    shards: int
    workers: int


class Resolution(NamedTuple):
    """A spec without `auto` (workers are planned later, shards where they are not settled), why, and what to know."""

    spec: JobSpec
    notes: list[str]
    warnings: list[str]


def resolve(spec: JobSpec, dataset: DatasetFacts, limits: Limits, validation: DatasetFacts | None = None) -> Resolution:
    """The spec with a value for every `auto`; SpecError where the spec and its datasets do not fit."""
    columns = {column["name"]: column for column in dataset.columns}
    _check_columns_exist(spec, columns)
    task, note = _task(spec, columns)
    features, warnings = _features(spec, dataset.columns)
    chosen = apply_preset(spec.model_dump(), task, dataset.rows, len(features))
    chosen |= {"dataset": dataset.id, "task": task, "features": features}
    chosen["name"] = spec.name or dataset.name
    chosen["validation_dataset"] = None if validation is None else validation.id
    if chosen["checkpoint"]["every_epochs"] == "auto":
        chosen["checkpoint"]["every_epochs"] = None
    if chosen["tracking"]["experiment"] == "auto":
        chosen["tracking"]["experiment"] = spec.tracking.registered_model or chosen["name"]
    resolved = JobSpec.model_validate(chosen)
    check_split(resolved)
    check_split_column(resolved, columns)
    check_sense(resolved)
    check_targets(resolved, columns, dataset.rows)
    _check_targets(resolved, columns, warnings)
    check_weights(resolved, columns, classes(resolved, columns))
    if validation is not None:
        theirs = {column["name"]: column for column in validation.columns}
        check_validation_columns(resolved, columns, theirs, classes(resolved, columns))
    notes, more = notes_and_warnings(resolved)
    warnings += [*more, *doubts(resolved)]
    check_limits(
        resolved, limits, n_inputs=len(features), n_outputs=len(classes(resolved, columns) or resolved.targets)
    )
    return Resolution(_with_shards(resolved, dataset.rows), [note, *notes], warnings)


def _with_shards(spec: JobSpec, rows: int) -> JobSpec:
    shards = settled_shards(spec, rows)
    changes = {} if shards is None else {"resources": spec.resources.model_copy(update={"shards": shards})}
    return spec.model_copy(update=changes)


def classes(spec: JobSpec, columns: Mapping[str, Column]) -> list[Any] | None:
    """The classes of the target as its matrix has them: numbers by value, text by code point. None for a regression."""
    if spec.task == "regression":
        return None
    target = columns[spec.targets[0]]
    found = target["categories"] or target["distinct_values"] or []
    return [int(value) for value in found] if target["whole"] else list(found)


def check_limits(spec: JobSpec, limits: Limits, n_inputs: int, n_outputs: int) -> None:
    """SpecError where the network, the epochs, the shards or the workers go over a limit."""
    hidden = spec.network.hidden_layers
    sizes = [n_inputs, *(hidden if isinstance(hidden, list) else []), n_outputs]
    parameters = sum((before + 1) * after for before, after in pairwise(sizes))
    found = {
        "network.hidden_layers": (parameters, limits.parameters, "parameters"),
        "training.epochs": (spec.training.epochs, limits.epochs, "epochs"),
        "resources.shards": (spec.resources.shards, limits.shards, "shards"),
        "resources.workers": (spec.resources.workers, limits.workers, "workers"),
    }
    for field, (value, limit, unit) in found.items():
        if isinstance(value, int) and value > limit:
            raise SpecError(f"{field} asks for {value:,} {unit}; the limit is {limit:,}.", field=field)


def _check_columns_exist(spec: JobSpec, columns: Mapping[str, Column]) -> None:
    asked = [("target", name) for name in spec.targets]
    asked += [(f"ignore[{place}]", name) for place, name in enumerate(spec.ignore)]
    asked += [(f"features[{place}]", name) for place, name in enumerate(_given_features(spec))]
    asked += [("weight_column", spec.weight_column)] if spec.weight_column is not None else []
    if spec.split.column is not None:
        asked.append(("split.column", spec.split.column))
    for field, name in asked:
        if name not in columns:
            nearest = difflib.get_close_matches(name, columns, n=1)
            hint = f"; did you mean '{nearest[0]}'?" if nearest else f". Its columns are {_listed(list(columns))}."
            raise SpecError(f"The dataset has no column '{name}'{hint}", field=field)
    for place, name in enumerate(_given_features(spec)):
        if name in spec.targets or name == spec.weight_column:
            role = "the target" if name in spec.targets else "the weight column"
            raise SpecError(f"Column '{name}' is {role}, so it can't be a feature.", field=f"features[{place}]")


def _task(spec: JobSpec, columns: Mapping[str, Column]) -> tuple[str, str]:
    if spec.task != "auto":
        return spec.task, f"The task is {spec.task}, as the request says."
    if len(spec.targets) > 1:
        return "regression", "The task is regression: there are several targets."
    column = columns[spec.targets[0]]
    if column["type"] != "number":
        return "classification", f"The task is classification: '{column['name']}' holds text."
    distinct = column["distinct_values"]
    if column["whole"] and distinct is not None and len(distinct) <= LARGEST_AUTOMATIC_CLASS_COUNT:
        why = f"'{column['name']}' holds whole numbers with {counted(len(distinct), 'distinct value')} (at most 20)."
        return "classification", f"The task is classification: {why}"
    return "regression", f"The task is regression: '{column['name']}' holds numbers that are not few whole ones."


def _features(spec: JobSpec, columns: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    usable = {column["name"] for column in columns if column["type"] in {"number", "category"}}
    given = _given_features(spec)
    for place, name in enumerate(given):
        if name not in usable:
            message = f"Column '{name}' holds free text or dates, which can't be a feature. Leave it out."
            raise SpecError(message, field=f"features[{place}]")
    if given:
        return list(given), []
    no_features = {*spec.targets, *spec.ignore, spec.weight_column, *left_out(spec)}
    candidates = [column["name"] for column in columns if column["name"] not in no_features]
    features = [name for name in candidates if name in usable]
    if not features:
        raise SpecError("No column is left to learn from.", field="features")
    unused = [name for name in candidates if name not in usable]
    return features, [f"Column '{name}' holds free text or dates and is not used." for name in unused]


def _given_features(spec: JobSpec) -> list[str]:
    return spec.features if isinstance(spec.features, list) else []


def _check_targets(spec: JobSpec, columns: Mapping[str, Column], warnings: list[str]) -> None:
    for name in spec.targets:
        column = columns[name]
        if column["type"] == "date":
            raise SpecError(
                f"Column '{name}' holds dates, which can't be a target. Take another one; or add the file again with "
                f"the column as numbers (days since a date), or declared a category in options.types.",
                field="target",
            )
        if spec.task == "regression" and column["type"] != "number":
            raise SpecError(f"Column '{name}' holds text, so it can't be the target of a regression.", field="target")
        bounded = spec.task == "regression" and spec.network.output_activation == "sigmoid"
        if bounded and (column["min"] < 0 or column["max"] > 1):
            warnings.append(
                f"Column '{name}' goes beyond 0 to 1, which sigmoid outputs can't reach: "
                "set network.output_activation to identity."
            )
    known = classes(spec, columns)
    if known is not None and len(known) < 2:  # noqa: PLR2004 - two is the fewest that can be told apart
        name, count = spec.targets[0], _class_count(columns[spec.targets[0]])
        raise SpecError(f"Column '{name}' has {count}; a classification needs 2 to {MOST_CLASSES}.", field="target")


def _class_count(column: Column) -> str:
    known = column["categories"] or column["distinct_values"]
    return f"more than {MOST_CLASSES} classes" if known is None else f"{len(known)} class"


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(f"'{name}'" for name in names[:most]) + (" …" if len(names) > most else "")
