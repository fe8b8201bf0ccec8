"""What a final job's run says of its result: figures of the kept weights, and tags."""

from collections import Counter
from typing import Any

from service.store.jobs import Job
from service.tracker.files import HELD_OUT, epoch_of_weights
from service.tracker.series import Point, is_figure
from service.tracker.words import LONGEST_NAME, LONGEST_TAG, cut, milliseconds, name, text

RESULT = ("loss", "validation_loss", "validation_accuracy", "validation_r2", "test_loss", "test_accuracy", "test_r2")
BY_CLASS = ("precision", "recall")
MOST_CLASSES = 20
"""A run shows the figures of each class where there are at most so many."""


def result_points(job: Job) -> list[Point]:
    """The figures of the kept weights, as `result/<name>` at their epoch."""
    if job.result is None:
        return []
    at, epoch = milliseconds(job.finished_at or job.created_at), epoch_of_weights(job)
    values: dict[str, Any] = {key: job.result.get(key) for key in RESULT} | class_figures(job.result)
    return [Point(f"result/{key}", float(v), at, epoch) for key, v in values.items() if is_figure(v)]


def class_figures(result: dict[str, Any]) -> dict[str, float | None]:
    """`validation_precision/<class>` and so on, by names that MLflow takes; not those that two classes would share."""
    found: list[tuple[str, float | None]] = []
    for split in HELD_OUT:
        classes = result.get(f"{split}_classes") or []
        if len(classes) <= MOST_CLASSES:
            found += [(_class_key(split, figure, row), row[figure]) for row in classes for figure in BY_CLASS]
    times = Counter(key for key, _ in found)
    return {key: value for key, value in found if times[key] == 1}


def _class_key(split: str, figure: str, row: dict[str, Any]) -> str:
    return f"{split}_{figure}/{name(str(row['class']))}"[: LONGEST_NAME - len("result/")]


def result_tags(job: Job) -> dict[str, str]:
    """What a final job says of itself beside its figures."""
    result = job.result or {}
    said = {f"gradsum.{key}": result.get(key) for key in ("weights_sha256", "stopped_by", "best_epoch")}
    said["gradsum.error"] = (job.error or {}).get("message")
    return {key: cut(text(value), LONGEST_TAG) for key, value in said.items() if value is not None}
