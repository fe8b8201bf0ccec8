"""`gradsum model …`: list, show, predict, promote."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.session import CommandError, ServiceCommand, session

if TYPE_CHECKING:
    from service.client import Client

app = typer.Typer(no_args_is_help=True, help="Models: their versions, predictions, the champion.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name")]


@app.command("list", cls=ServiceCommand)
def list_models(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="At most so many")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this name")] = None,
) -> None:
    """List models."""
    from service.rendering import moment, show_list  # noqa: PLC0415 - quick --help

    columns = {
        "model": lambda model: model["name"],
        "champion": lambda model: f"version {model['champion']}",
        "versions": lambda model: len(model["versions"]),
        "newest": lambda model: moment(model["versions"][0]["created_at"]),
    }
    asked = session(context)
    with asked.client() as client:
        page = client.models(limit=limit, after=after)
    if_empty = "No models. A job makes one where tracking.registered_model names it."
    asked.show(page, lambda found: show_list(asked.console(), found, columns, if_empty))


@app.command(cls=ServiceCommand)
def show(context: typer.Context, name: Name) -> None:
    """Show a model's versions and which of them serves."""
    from service.rendering import show_model  # noqa: PLC0415 - quick --help

    asked = session(context)
    with asked.client() as client:
        model = client.model(name)
    asked.show(model, lambda found: show_model(asked.console(), found))


@app.command(cls=ServiceCommand)
def predict(
    context: typer.Context,
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Rows: CSV with a header, JSON or JSON lines; - is standard input")
    ],
    version: Annotated[int | None, typer.Option(help="This version (default: the champion)")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write there: .json, else CSV")
    ] = None,
) -> None:
    """Predict rows with a model. Columns are found by name; those that the model does not know are ignored.

    For example:

      gradsum model predict digits new-digits.csv -o answers.csv

      echo '[{"width": 1.5, "colour": "red"}]' | gradsum model predict flowers - --json
    """
    from service.commands.job_files import read_rows  # noqa: PLC0415 - quick --help
    from service.rendering import predictions_table  # noqa: PLC0415

    asked = session(context)
    with asked.client() as client:
        rows = read_rows(file, _text_columns(client, name, version))
        answer = client.predict(name, rows, version)
    if output is not None:
        _write(output, answer)
    title = f"{answer['model']}, version {answer['version']}"
    if output is not None and not asked.json:
        typer.echo(f"{len(rows):,} predictions of {title}: {output}")
        return
    table = predictions_table(answer["predictions"], answer["probabilities"])
    asked.show(answer, lambda _answer: asked.console().print(title, table, sep="\n"))


@app.command(cls=ServiceCommand)
def promote(
    context: typer.Context,
    name: Name,
    version: Annotated[int, typer.Argument(help="The version that is to serve")],
    reason: Annotated[str | None, typer.Option(help="Why, for the record")] = None,
) -> None:
    """Make a version the champion: the one that answers where no version is asked for."""
    asked = session(context)
    with asked.client() as client:
        answer = client.promote(name, version, reason)
    asked.show(answer, lambda _answer: typer.echo(f"Version {version} of {name} is its champion now."))


def _text_columns(client: "Client", name: str, version: int | None) -> frozenset[str]:
    """The columns whose values are text even where they look like numbers, in the data that the version learned."""
    model = client.model(name)
    wanted = model["champion"] if version is None else version
    dataset_id = next((found["dataset_id"] for found in model["versions"] if found["version"] == wanted), None)
    if dataset_id is None:
        return frozenset()
    columns = client.dataset(dataset_id)["columns"] or []
    return frozenset(column["name"] for column in columns if column["type"] != "number")


def _write(output: Path, answer: dict[str, Any]) -> None:
    text = json.dumps(answer, indent=2, ensure_ascii=False) if output.suffix == ".json" else _csv(answer)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{output} can't be written: {error.strerror or error}. Choose another file with -o."
        ) from None


def _csv(answer: dict[str, Any]) -> str:
    """`prediction`, or a column a target where there are several; `probability_<class>`."""
    probabilities = answer["probabilities"] or [{}] * len(answer["predictions"])
    rows = [
        (prediction if isinstance(prediction, dict) else {"prediction": prediction})
        | {f"probability_{name}": value for name, value in likely.items()}
        for prediction, likely in zip(answer["predictions"], probabilities, strict=True)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
