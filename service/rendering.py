"""How answers of the API look on a terminal: tables, one job, its result. Progress is in `service.watching`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.connection import Answer

MOST_COLUMNS = 20
FIGURES = {
    "loss": "loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "validation_r2": "validation R²",
    "test_loss": "test loss",
    "test_accuracy": "test accuracy",
    "test_r2": "test R²",
}
MOST_SHOWN = 20
"""Classes or targets of a result."""
LONGEST_LABEL = 40
UNDELIVERED = {"pending": "is not delivered yet", "given_up": "was given up"}
STYLES = {"succeeded": "green", "ready": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}

Row = tuple[str, object]


def printable(text: object) -> str:
    """The text without characters that could move the cursor or end the line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def figure(value: object) -> str:
    """A number as people read it; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else printable(value)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `2:03:05`."""
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def moment(time: str | None) -> str:
    """`2026-11-24 10:00:00`, in UTC as the API gives it."""
    return "–" if time is None else printable(time)[:19].replace("T", " ")


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(printable(status), STYLES.get(status, ""))


def show_pairs(console: Console, title: str, rows: Iterable[Row]) -> None:
    """A title and indented names with their values."""
    console.print(Text(printable(title), "bold"), soft_wrap=True)
    shown = [(name, value if isinstance(value, Text) else Text(printable(value))) for name, value in rows]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        console.print(Text(f"  {name:<{width}}  ", "dim") + value, soft_wrap=True)


def show_list(console: Console, page: Answer, columns: Mapping[str, Callable[[Answer], object]], if_empty: str) -> None:
    """A page of a list as a table; `if_empty` says what to do where there is nothing."""
    if not page["data"]:
        console.print(if_empty, markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for item in page["data"]:
        cells = [column(item) for column in columns.values()]
        table.add_row(*(cell if isinstance(cell, Text) else Text(figure(cell)) for cell in cells))
    console.print(table)
    if page["has_more"]:
        console.print(Text(f"There are more: --after {printable(page['last_id'])}", "dim"))


def show_dataset(console: Console, dataset: Answer) -> None:
    """A dataset, and what was understood of its columns."""
    error = dataset["error"]
    rows: list[Row] = [("id", dataset["id"]), ("status", status_text(dataset["status"]))]
    if dataset["rows"] is not None:
        rows += [("rows", f"{dataset['rows']:,}"), ("columns", f"{len(dataset['columns']):,}")]
    if dataset["rejected_rows"]:
        rows.append(("rejected rows", f"{dataset['rejected_rows']:,}"))
    if dataset["sha256"] is not None:
        rows += [("bytes", f"{dataset['bytes']:,}"), ("sha256", dataset["sha256"])]
    rows += [("from", dataset["source"]["uri"])] if "uri" in dataset["source"] else []
    rows += [("created", moment(dataset["created_at"]))]
    rows += [("error", error["message"])] if error else []
    show_pairs(console, f"Dataset {dataset['name']}@{dataset['version']}", rows)
    if dataset["columns"]:
        console.print(_columns_table(dataset["columns"]))


def show_preview(console: Console, preview: Answer) -> None:
    """What would be understood of a file."""
    written = {"\t": "tab"}.get(preview["delimiter"], preview["delimiter"])
    looked_at = f"{preview['rows_looked_at']:,} ({'all' if preview['whole_file'] else 'the beginning'})"
    rows: list[Row] = [("format", preview["format"] + (" in gzip" if preview["gzip"] else ""))]
    rows += [("delimiter", written), ("decimal", preview["decimal"])] if preview["format"] == "csv" else []
    rows += [("rows looked at", looked_at)]
    rows += [("problem", column["problem"]) for column in preview["columns"] if column["problem"]]
    show_pairs(console, f"{preview['name']} would be understood so; nothing was added", rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("column", "type", "missing", "first values"):
        table.add_column(name, overflow="fold")
    for column in preview["columns"][:MOST_COLUMNS]:
        values = ", ".join("–" if value is None else value for value in column["samples"])
        cells = (printable(column["name"]), column["type"] or "?", figure(column["nulls"]), printable(values))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def show_job(console: Console, job: Answer) -> None:
    """A job: what it is, where it stands, what came out."""
    rows: list[Row] = [("id", job["id"]), ("status", status_text(job["status"]))]
    if job["status_reason"]:
        rows.append(("waiting", job["status_reason"]["message"]))
    rows += [("created", moment(job["created_at"])), ("started", moment(job["started_at"]))]
    rows += [("finished", moment(job["finished_at"])), ("attempt", job["attempt"])]
    if job["plan"]:
        rows.append(
            ("plan", f"{job['plan']['workers']} workers, {job['plan']['shards']} shards. {job['plan']['reason']}")
        )
    if job["progress"] and not job["result"]:
        progress = job["progress"]
        rows.append(("epoch", f"{progress['epoch']} of {progress['epochs']}"))
        rows += figures(progress)
    rows += [("warning", warning) for warning in job["warnings"]]
    rows += undelivered(job["notifications"])
    show_pairs(console, f"Job {job['name'] or job['id']}", rows)
    if job["result"] or job["error"]:
        show_result(console, job)


def undelivered(webhooks: Iterable[Answer]) -> list[Row]:
    """A row for each webhook that its receiver does not have, though it was tried: the event, and why not."""
    return [
        ("webhook", f"{webhook['event']} {UNDELIVERED[webhook['status']]}: {webhook['error']}")
        for webhook in webhooks
        if webhook["status"] in UNDELIVERED and webhook["error"]
    ]


def show_result(console: Console, job: Answer) -> None:
    """What a job that is final came to."""
    name = job["name"] or job["id"]
    if job["error"]:
        show_pairs(console, f"{name} {job['status']}", [(job["error"]["code"], job["error"]["message"])])
        return
    if not job["result"]:
        show_pairs(console, f"{name} {job['status']}", [])
        return
    result, mlflow = job["result"], job["mlflow"]
    best = result.get("best_epoch")
    epochs = f"{result['epochs']} ({result['stopped_by']})" + (f", the best is {best}" if best else "")
    rows: list[Row] = [("job", job["id"]), ("epochs", epochs), *figures(result)]
    rows.append(("weights_sha256", result["weights_sha256"]))
    if mlflow["status"] == "current":
        rows.append(("MLflow run", mlflow["run_url"] or mlflow["run_id"]))
    else:
        rows.append(("MLflow run", "pending: it is copied there as soon as MLflow answers"))
    registered = job["spec"]["tracking"]["registered_model"]
    if registered is not None:
        rows.append(("model", f"{registered}, version {mlflow['model_version'] or 'pending'}"))
    if job["verdict"] is not None:
        rows.append((job["verdict"]["verdict"], job["verdict"]["reason"]))
    show_pairs(console, f"{name} {job['status']}", rows)
    show_report(console, result)


def show_report(console: Console, result: Answer) -> None:
    """The figures of each class or of each target, on test rows where there are some, else on validation rows."""
    for split in ("test", "validation"):
        classes, targets = result.get(f"{split}_classes"), result.get(f"{split}_r2_by_target")
        if classes:
            console.print(_classes_table(classes, split))
        if targets:
            shown = [(_label(name), figure(r2)) for name, r2 in targets.items()]
            more = [("…", f"{len(shown) - MOST_SHOWN} more")] if len(shown) > MOST_SHOWN else []
            show_pairs(console, f"R² on {split} rows", [*shown[:MOST_SHOWN], *more])
        if classes or targets:
            return


def show_plan(console: Console, answer: Answer) -> None:
    """What a job would be (--dry-run)."""
    spec, plan = answer["spec"], answer["plan"]
    network, training = spec["network"], spec["training"]
    hidden = ", ".join(str(size) for size in network["hidden_layers"]) or "none"
    rows: list[Row] = [
        ("task", spec["task"]),
        ("hidden layers", f"{hidden} ({network['activation']})"),
        ("output", f"{network['output_activation']}, {training['loss']}"),
        ("optimizer", f"{_optimizer(training['optimizer'])}, learning rate {figure(training['learning_rate'])}"),
        ("epochs", training["epochs"]),
        ("parameters", f"{plan['parameters']:,}"),
        ("plan", f"{plan['workers']} workers, {plan['shards']} shards. {plan['reason']}"),
        ("an epoch takes", f"about {1000 * plan['estimated_epoch_seconds']:.3g} ms"),
        *[("warning", warning) for warning in answer.get("warnings", [])],
    ]
    show_pairs(console, "This job would be accepted. Nothing was submitted.", rows)


def show_model(console: Console, model: Answer) -> None:
    """A model's versions, newest first."""
    rows = [
        ("version", lambda version: version["version"]),
        ("champion", lambda version: "champion" if version["version"] == model["champion"] else ""),
        ("created", lambda version: moment(version["created_at"])),
        ("job", lambda version: version["job_id"]),
        ("result", lambda version: ", ".join(f"{name} {value}" for name, value in figures(version["result"] or {}))),
    ]
    judged = [version for version in model["versions"] if version["verdict"]]
    if judged:
        rows.append(("verdict", lambda version: (version["verdict"] or {"verdict": ""})["verdict"]))
    show_pairs(console, f"Model {model['name']}", [("champion", f"version {model['champion']}")])
    show_list(console, {"data": model["versions"], "has_more": False}, dict(rows), "")
    if judged:
        show_pairs(console, "Verdicts", [(f"version {each['version']}", each["verdict"]["reason"]) for each in judged])


def figures(found: Mapping[str, Any]) -> list[Row]:
    """The figures that are there, by the names that people use."""
    return [(words, figure(found[name])) for name, words in FIGURES.items() if found.get(name) is not None]


def predictions_table(
    predictions: Sequence[Any], probabilities: Sequence[Mapping[str, float]] | None, truth: Sequence[Any] | None = None
) -> Table:
    """Predictions, with the probability of each where the model gives one, and the truth where it is known."""
    several = list(predictions[0]) if predictions and isinstance(predictions[0], dict) else []
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ["row", *(["truth"] if truth is not None else []), *(several or ["prediction"])]
    for name in [*names, *(["probability"] if probabilities else [])]:
        table.add_column(Text(printable(name)), justify="right")
    for place, prediction in enumerate(predictions):
        cells = [str(place + 1)]
        cells += [figure(truth[place])] if truth is not None else []
        cells += [figure(prediction[name]) for name in several] or [figure(prediction)]
        cells += [figure(probabilities[place].get(str(prediction)))] if probabilities else []
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _optimizer(optimizer: object) -> str:
    return str(optimizer["name"] if isinstance(optimizer, dict) else optimizer).replace("_", " ")


def _classes_table(classes: Sequence[Answer], split: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class", overflow="fold")
    for name in ("precision", "recall", f"{split} rows"):
        table.add_column(name, justify="right")
    for row in classes[:MOST_SHOWN]:
        shares = ["–" if row[name] is None else f"{row[name]:.3f}" for name in ("precision", "recall")]
        table.add_row(*(Text(cell) for cell in (_label(row["class"]), *shares, f"{row['rows']:,}")))
    if len(classes) > MOST_SHOWN:
        table.add_row(Text(f"… {len(classes) - MOST_SHOWN} more", "dim"))
    return table


def _label(name: object) -> str:
    text = printable(name)
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _columns_table(columns: Sequence[Answer]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("column", "type", "min", "max", "mean", "missing", "categories"):
        table.add_column(name, overflow="fold")
    for column in columns[:MOST_COLUMNS]:
        numbers = [figure(column.get(name)) for name in ("min", "max", "mean", "nulls")]
        categories = column.get("categories")
        shown = "–" if categories is None else f"{len(categories)}: {printable(', '.join(categories))[:40]}"
        table.add_row(*(Text(cell) for cell in (printable(column["name"]), column["type"], *numbers, shown)))
    if len(columns) > MOST_COLUMNS:
        table.add_row(Text(f"… {len(columns) - MOST_COLUMNS} more", "dim"))
    return table
