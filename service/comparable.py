"""What can be compared: whether a promotion makes sense for a job, and two models on the same test rows. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from workers.errors import FieldError

METRICS = {"test_loss": None, "test_accuracy": "classification", "test_r2": "regression"}
"""What can be compared, and the task that has it."""
SPLIT = ("by", "column", "salt", "validation", "test", "stratify")


def rule_problems(
    promotion: Mapping[str, Any], task: str | None, split: Mapping[str, Any], registered_model: str | None
) -> list[FieldError]:
    """Every field of a schedule that its `promotion` can't work with; `task` is None where it isn't known yet."""
    return [*_rule_problems(promotion, task, split, registered_model)]


def _rule_problems(
    promotion: Mapping[str, Any], task: str | None, split: Mapping[str, Any], registered_model: str | None
) -> Iterator[FieldError]:
    if registered_model is None:
        yield FieldError(
            "job.tracking.registered_model",
            "A promotion needs a model to promote: name it in tracking.registered_model.",
        )
    if split["test"] <= 0:
        yield FieldError("job.split.test", "A promotion compares models on test rows: set split.test, to 0.1 say.")
    if split["by"] == "row" or split.get("stratify"):
        what = "split.stratify" if split.get("stratify") else "split.by row"
        yield FieldError(
            f"job.{what.split(' ', maxsplit=1)[0]}",
            f"With {what} a test row of tonight may be a training row of the champion. Split by hash, group or time.",
        )
    named = [("promotion.metric", promotion.get("metric", "test_loss"))]
    named += [(f"promotion.floors.{name}", name) for name in promotion.get("floors") or {}]
    for place, metric in named:
        if metric not in METRICS:
            yield FieldError(place, f"There is no metric '{metric}'. Choose one of {', '.join(METRICS)}.")
        elif task is not None and has_no_metric(task, metric):
            yield FieldError(place, f"The job is a {task}, so it has no {metric}.")


def has_no_metric(task: str, metric: str) -> bool:
    """Whether the models of a task can't be compared by a metric."""
    return METRICS[metric] not in {None, task}


def difference_that_matters(
    challenger: Mapping[str, Any], champion: Mapping[str, Any], *, hashed: bool, tested_from: bool | None
) -> str | None:
    """Why two jobs' models can't be compared on the newer one's test rows, or None where they can.

    `challenger` and `champion` are resolved specs. `hashed`: the `hashed_columns` of their datasets are the same.
    `tested_from`: with a split by time, the newer test rows are no older than the champion's. What matters is that the
    champion can't have trained on any of the rows, which equal rows on equal sides promise.
    """
    if challenger["split"]["by"] == "row" or challenger["split"].get("stratify"):
        return "a split by row or by strata moves rows between training and test when data is added"
    reasons = [*_differences(challenger, champion), *_seen(challenger["split"], hashed, tested_from)]
    return reasons[0] if reasons else None


def hashed_columns(split: Mapping[str, Any], columns: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """The columns of a dataset whose values decide the side of each row, and whether they are numbers.

    A number is hashed otherwise than the text that it was written as. Empty where no hash decides.
    """
    if split["by"] not in {"hash", "group"}:
        return {}
    named = split["column"]
    return {column["name"]: column["type"] == "number" for column in columns if named in {None, column["name"]}}


def starts_elsewhere(split: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    """Why weights that were trained with the split `source` may have seen test rows of `split`, or None."""
    for name in SPLIT:
        if split.get(name) != source.get(name):
            return f"had another split ({name}: {source.get(name)!r}, not {split.get(name)!r})"
    return None


def _differences(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> Iterator[str]:
    mine, theirs = challenger["split"], champion["split"]
    for name in SPLIT:
        if mine.get(name) != theirs.get(name):
            yield f"another split ({name}: {mine.get(name)!r}, the champion's {theirs.get(name)!r})"
    for name in ("target", "task", "weight_column"):
        if challenger[name] != champion[name]:
            words = name.replace("_", " ")
            yield f"another {words} ({challenger[name]!r}, the champion's {champion[name]!r})"
    if challenger["features"] != champion["features"]:
        odd = sorted(set(challenger["features"]) ^ set(champion["features"]))
        yield f"other columns ({', '.join(odd[:3]) or 'in another order'})"


def _seen(split: Mapping[str, Any], hashed: bool, tested_from: bool | None) -> Iterator[str]:  # noqa: FBT001 - a fact
    """Why the champion may have trained on the test rows, though the split is the same."""
    if split["by"] == "time" and not tested_from:
        yield "the test rows begin before those of the champion, so it may have trained on them"
    if split["by"] not in {"hash", "group"} or hashed:
        return
    if split["column"] is None:
        yield (
            "the dataset's columns have changed, in name or between number and text, and with them the side of each "
            "row: set split.column to keep sides"
        )
    else:
        yield f"column '{split['column']}' has changed between number and text, and with it the side of each row"


def losses_differ(challenger: Mapping[str, Any], champion: Mapping[str, Any], metric: str) -> str | None:
    """Why the costs of two specs are of different kinds under a metric, or None."""
    if metric != "test_loss":
        return None
    for section, name in (("training", "loss"), ("network", "output_activation")):
        if challenger[section][name] != champion[section][name]:
            return f"another {name} ({challenger[section][name]}, the champion's {champion[section][name]})"
    if challenger["class_weight"] != champion["class_weight"]:
        return "other class weights"
    return None
