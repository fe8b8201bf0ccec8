"""How jobs, what they would be and what they came to look on a terminal. Progress is in `service.watching`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.connection import Answer
from service.rendering import Row, figure, moment, new_table, printable, show_pairs, status_text
from workers.counting import counted

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


def show_job(console: Console, job: Answer) -> None:
    """A job: what it is, where it stands, what came out."""
    rows: list[Row] = [("id", job["id"]), ("status", status_text(job["status"]))]
    if job["status_reason"]:
        rows.append(("waiting", job["status_reason"]["message"]))
    rows += [("created", moment(job["created_at"])), ("started", moment(job["started_at"]))]
    rows += [("finished", moment(job["finished_at"])), ("attempt", job["attempt"])]
    if job["plan"]:
        rows.append(("plan", _spread(job["plan"])))
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
    rows: list[Row] = [("job", job["id"]), ("epochs", epochs_of(job["spec"], result)), *figures(result)]
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


def epochs_of(spec: Answer, result: Answer) -> str:
    """How many epochs there were, and whose weights are kept: the best one's with early stopping only."""
    trained, best = f"{result['epochs']} ({result['stopped_by']})", result.get("best_epoch")
    if best is None or best == result["epochs"]:
        return trained
    if spec["training"].get("early_stopping") is not None:
        return f"{trained}; the weights are those of epoch {best}"
    return f"{trained}; the weights are those of the end, and validation_loss was lowest after {best}"


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
        ("plan", _spread(plan)),
        ("an epoch takes", f"about {1000 * plan['estimated_epoch_seconds']:.3g} ms"),
        *[("warning", warning) for warning in answer.get("warnings", [])],
    ]
    show_pairs(console, "This job would be accepted. Nothing was submitted.", rows)


def figures(found: Mapping[str, Any]) -> list[Row]:
    """The figures that are there, by the names that people use."""
    return [(words, figure(found[name])) for name, words in FIGURES.items() if found.get(name) is not None]


def _spread(plan: Answer) -> str:
    return f"{counted(plan['workers'], 'worker')}, {counted(plan['shards'], 'shard')}. {plan['reason']}"


def _optimizer(optimizer: object) -> str:
    return str(optimizer["name"] if isinstance(optimizer, dict) else optimizer).replace("_", " ")


def _classes_table(classes: Sequence[Answer], split: str) -> Table:
    table = new_table("class")
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
