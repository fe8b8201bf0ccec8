"""`gradsum model …`: list, show, predict, promote."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.session import ServiceCommand, session

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
        "versions": lambda model: model["versions"][0]["version"],
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
    from service.model_rendering import show_model  # noqa: PLC0415 - quick --help

    asked = session(context)
    with asked.client() as client:
        model = client.model(name)
    asked.show(model, lambda found: show_model(asked.console(), found))


@app.command(cls=ServiceCommand)
def predict(
    context: typer.Context,
    name: Name,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-", help="Rows: CSV (also in gzip), Parquet, Arrow, NumPy or JSON; - is standard input"
        ),
    ],
    version: Annotated[int | None, typer.Option(help="This version (default: the champion)")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="Write there: .csv, .parquet, .jsonl or .json"),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="How to read a CSV: delimiter, decimal, header (default: as its data)"),
    ] = None,
) -> None:
    """Predict the rows of a file of any size. Columns are found by name; others than the model's are ignored.

    For example:

      gradsum model predict digits new-digits.csv -o answers.parquet

      echo '[{"width": 1.5, "colour": "red"}]' | gradsum model predict flowers - --json
    """
    from service.commands.job_files import read_options  # noqa: PLC0415 - quick --help
    from service.commands.predictions.command import Asked, predict_file  # noqa: PLC0415

    predict_file(session(context), Asked(name, file, version, output, read_options(option or [])))


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
