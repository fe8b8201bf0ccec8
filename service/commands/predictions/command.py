"""`gradsum model predict`: where rows come from, where predictions go, and what is said meanwhile."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.progress import Progress

from service.client import joined
from service.commands.job_files import STANDARD_INPUT, named
from service.commands.predictions.formats import MOST_JSON_ROWS, check_json_rows
from service.commands.predictions.learned import Learned, learned
from service.commands.predictions.output import check_output, open_output
from service.commands.predictions.run import answers
from service.commands.predictions.source import open_source
from service.commands.session import CommandError, Session, show_json
from service.connection import Answer
from service.model_rendering import predictions_table

MOST_SHOWN_ROWS = 1000


class Asked(NamedTuple):
    """What stands on the command line."""

    name: str
    file: str
    version: int | None
    output: Path | None
    options: dict[str, Any]


def predict_file(session: Session, asked: Asked) -> None:
    """Predict the rows of a file; write the predictions to another, or show them."""
    most = MOST_JSON_ROWS if session.json else MOST_SHOWN_ROWS
    try:
        with (
            tempfile.TemporaryDirectory(prefix="gradsum-", ignore_cleanup_errors=True) as scratch,
            _predicted(session, asked, Path(scratch)) as (model, found),
        ):
            if asked.output is not None:
                n_rows = _write(found, asked.output)
            else:
                answer = joined(_more_than(most, found))
    except KeyboardInterrupt:
        left = "" if asked.output is None else f" Nothing was written to {asked.output}."
        typer.echo(f"\nStopped.{left}", err=True)
        raise typer.Exit(130) from None
    if asked.output is not None:
        _say(session, model, n_rows, asked.output)
    elif session.json:
        check_json_rows(len(answer["predictions"]))
        show_json(answer)
    else:
        _show(session, model, answer)


@contextmanager
def _predicted(session: Session, asked: Asked, scratch: Path) -> Iterator[tuple[Learned, Iterator[Answer]]]:
    """The version that predicts, and its answers, while a bar on a terminal shows how far they are."""
    path = _spooled(scratch) if asked.file == STANDARD_INPUT else Path(asked.file)
    if asked.output is not None:
        check_output(asked.output, path)
    with session.client() as client:
        model = learned(client, asked.name, asked.version, asked.options)
        source = open_source(path, scratch, model.features, model.options)
        with _bar(session, asked.file, source.size) as on_progress:
            found = answers(client, model, source, on_progress)
            first = next(found, None)
            if first is None:
                raise CommandError(f"{named(asked.file)} has no rows.")
            yield model, chain([first], found)


def _spooled(scratch: Path) -> Path:
    """Standard input as a file: how it is written shows in its beginning, and rows are counted again for an error."""
    path = scratch / "rows"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


@contextmanager
def _bar(session: Session, file: str, size: int) -> Iterator[Callable[[int], None]]:
    console = session.console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"predicting {Path(file).name}", total=size)
        yield lambda done: bar.update(task, completed=done)


def _write(found: Iterator[Answer], output: Path) -> int:
    n_rows = 0
    with open_output(output) as file:
        for answer in found:
            file.write(answer)
            n_rows += len(answer["predictions"])
    return n_rows


def _more_than(most: int, found: Iterator[Answer]) -> list[Answer]:
    """The first answers, as many as have more than `most` rows, or all."""
    kept, n_rows = [], 0
    for answer in found:
        kept.append(answer)
        n_rows += len(answer["predictions"])
        if n_rows > most:
            break
    return kept


def _say(session: Session, model: Learned, n_rows: int, output: Path) -> None:
    if session.json:
        show_json({"model": model.name, "version": model.version, "rows": n_rows, "file": str(output)})
    else:
        typer.echo(f"{n_rows:,} predictions of {model.name}, version {model.version}: {output}")


def _show(session: Session, model: Learned, answer: Answer) -> None:
    """The predictions as a table, the first of many only."""
    predictions, probabilities = answer["predictions"], answer["probabilities"]
    shown = predictions[:MOST_SHOWN_ROWS], probabilities and probabilities[:MOST_SHOWN_ROWS]
    session.console().print(f"{model.name}, version {model.version}", predictions_table(*shown), sep="\n")
    if len(predictions) > MOST_SHOWN_ROWS:
        typer.echo(f"These are the first {MOST_SHOWN_ROWS:,} rows. Write all of them to a file: -o predictions.csv")
