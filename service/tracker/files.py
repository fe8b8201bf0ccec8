"""The files of a run: every epoch as a table, the spec, the report, the weights, pictures."""

import csv
import json
from pathlib import Path
from typing import Any

from service.plots.confusion import Confusion, confusion_plot
from service.plots.labels import drawable
from service.plots.loss import Curve, loss_curve
from service.store.database import Database
from service.store.jobs import Job
from service.tracker import words
from service.tracker.series import all_chunks, shown
from workers.counting import counted

DRAWN_POINTS = 4000
LONGEST_TITLE = 80
HELD_OUT = ("validation", "test")


def write_files(directory: Path, model: Path, database: Database, job: Job) -> None:
    """Put everything that a final job leaves in its run into `directory`, under the names of the contract.

    `model` is where the files of its model are, if it left any.
    """
    _write_json(directory / "spec.json", words.without_addresses(job.spec))
    names = _names(database, job.id)
    if names:
        _write_table(directory / "loss_curve.csv", database, job.id, names)
        _write_picture(directory, "loss", loss_curve(_curve(database, job), _title(job)))
    if job.result is not None:
        _write_json(directory / "report.json", job.result)
        for split in HELD_OUT:
            confusion = _confusion(job, job.result, split)
            if confusion is not None:
                _write_picture(directory, f"confusion_matrix_{split}", confusion_plot(confusion))
    weights = model.absolute() / "weights.npz"
    if job.has_weights and weights.is_file():
        name = "last-good" if job.result is None else f"epoch-{epoch_of_weights(job):06d}"
        (directory / "weights").mkdir()
        (directory / "weights" / f"{name}.npz").symlink_to(weights)


def epoch_of_weights(job: Job) -> int:
    """The epoch that the kept weights left: the best one under early stopping, else the last."""
    result = job.result or {}
    stops_early = job.spec["training"].get("early_stopping") not in (None, "auto")
    return int((stops_early and result["best_epoch"]) or result["epochs"])


def _names(database: Database, job_id: str) -> list[str]:
    """The names of all figures, in the order of their first appearance."""
    return list(dict.fromkeys(name for chunk in all_chunks(database, job_id) for name in chunk.columns))


def _write_table(path: Path, database: Database, job_id: str, names: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([shown(name) for name in names])
        for chunk in all_chunks(database, job_id):
            nothing = [None] * (chunk.last_epoch - chunk.first_epoch + 1)
            table.writerows(zip(*(chunk.columns.get(name, nothing) for name in names), strict=True))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _write_picture(directory: Path, name: str, picture: bytes) -> None:
    (directory / "plots").mkdir(exist_ok=True)
    (directory / "plots" / f"{name}.png").write_bytes(picture)


def _title(job: Job) -> str:
    return drawable(job.name or job.id, LONGEST_TITLE) or job.id


def _confusion(job: Job, result: dict[str, Any], split: str) -> Confusion | None:
    matrix = result.get(f"{split}_confusion_matrix")
    if matrix is None:
        return None
    classes, accuracy = result[f"{split}_classes"], result.get(f"{split}_accuracy")
    rows = f"{counted(sum(found['rows'] for found in classes), f'{split} row')}"
    right = "" if accuracy is None else f", {accuracy:.1%} right"
    weighted = "" if job.spec.get("weight_column") is None else ", by weight"
    labels = [found["class"] for found in classes]
    return Confusion(matrix, labels, _title(job), rows + right + weighted)


def _curve(database: Database, job: Job) -> Curve:
    """At most about `DRAWN_POINTS` epochs, evenly spread, with the first, the last and the best."""
    last = max(chunk.last_epoch for chunk in all_chunks(database, job.id))
    best = (job.result or {}).get("best_epoch")
    every = -(-last // DRAWN_POINTS)
    rows: list[dict[str, Any]] = []
    for chunk in all_chunks(database, job.id):
        for place, epoch in enumerate(range(chunk.first_epoch, chunk.last_epoch + 1)):
            if epoch % every == 0 or epoch in {1, last, best}:
                rows.append({name: values[place] for name, values in chunk.columns.items()})
    score = "validation_r2" if any(row.get("validation_r2") is not None for row in rows) else "validation_accuracy"
    series = {name: [row.get(name) for row in rows] for name in ("loss", "validation_loss", score)}
    return Curve(
        epochs=[row["epoch"] for row in rows],
        loss=series["loss"],
        validation_loss=series["validation_loss"],
        score=series[score],
        score_name="validation R²" if score == "validation_r2" else "validation accuracy",
        best_epoch=best,
    )
