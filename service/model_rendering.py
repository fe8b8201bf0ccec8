"""How models and their predictions look on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.connection import Answer
from service.job_rendering import figures
from service.rendering import figure, moment, new_table, printable, show_list, show_pairs


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
    promotion = model["promotion"] or {}
    pairs = [("champion", f"version {model['champion']}"), ("since", moment(promotion.get("promoted_at")))]
    pairs += [(words, promotion[name]) for name, words in (("actor", "by"), ("reason", "why")) if promotion.get(name)]
    show_pairs(console, f"Model {model['name']}", pairs)
    show_list(console, {"data": model["versions"], "has_more": False}, dict(rows), "")
    if judged:
        show_pairs(console, "Verdicts", [(f"version {each['version']}", each["verdict"]["reason"]) for each in judged])


def predictions_table(
    predictions: Sequence[Any], probabilities: Sequence[Mapping[str, float]] | None, truth: Sequence[Any] | None = None
) -> Table:
    """Predictions, with the probability of each where the model gives one, and the truth where it is known."""
    several = list(predictions[0]) if predictions and isinstance(predictions[0], dict) else []
    table = new_table()
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
