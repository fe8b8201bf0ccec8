"""The command line, `gradsum`. Commands live in `service.commands`; here they meet, and errors become sentences."""

import io
import sys
from typing import Annotated

import typer

from service.commands import datasets, jobs, models, processes, schedules, storage, tokens
from service.commands.session import PANEL, URL_HELP, CommandError, session
from service.version import version_of_gradsum
from workers.errors import GradsumError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(jobs.app, name="job")
app.add_typer(datasets.app, name="dataset")
app.add_typer(schedules.app, name="schedule")
app.add_typer(models.app, name="model")
app.add_typer(tokens.app, name="token")
app.add_typer(storage.app, name="storage")
processes.register(app)


def _show_version(value: bool) -> None:  # noqa: FBT001 - as typer calls it
    if value:
        typer.echo(f"gradsum {version_of_gradsum()}")
        raise typer.Exit


@app.callback()
def gradsum(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help=URL_HELP, rich_help_panel=PANEL)] = None,
    token: Annotated[
        str | None, typer.Option(help="The token to show it (GRADSUM_TOKEN)", rich_help_panel=PANEL)
    ] = None,
    json: Annotated[  # noqa: FBT002
        bool, typer.Option("--json", help="Print the API's answer and nothing else", rich_help_panel=PANEL)
    ] = False,
    version: Annotated[  # noqa: ARG001, FBT002 - it ends before all else
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is")
    ] = False,
) -> None:
    """Train neural networks on a cluster: the same bits from any number of workers.

    Start a service, then train from another shell:

      gradsum serve

      gradsum dataset add deploy/examples/digits/digits.csv --name digits

      gradsum job submit deploy/examples/digits/job.yaml --follow

      gradsum model predict digits deploy/examples/digits/digits.csv

    Commands exit with 0 on success, 1 where something went wrong, 2 on wrong usage.
    """
    asked = session(context)
    asked.url, asked.token, asked.json = url, token, json


def main() -> None:
    """Run the command line; every error ends in one sentence (and a line for each field), never in a trace."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no “–” must not stop us
    try:
        app(prog_name="gradsum")
    except Exception as error:  # noqa: BLE001 - the edge of the program
        for line in _lines(error):
            typer.echo(line, err=True)
        sys.exit(1)


def _lines(error: Exception) -> list[str]:
    """What to say of an error: a sentence, and the fields that are wrong below it if they are several."""
    from service.connection import ApiError, Unreachable  # noqa: PLC0415 - quick --help
    from service.rendering import printable  # noqa: PLC0415
    from service.settings import SettingsError  # noqa: PLC0415

    match error:
        case Unreachable():
            way_out = "" if "address" in error.reason else " Start it: make serve, or gradsum serve."
            sentence = f"No Gradsum answers at {error.url} ({error.reason}).{way_out}"
        case ApiError(errors=[_, _, *_] as errors):
            head = f"Error: the service found {len(errors)} things wrong:"
            return [head, *(printable(f"  {field} {message}") for field, message in errors)]
        case ApiError() | CommandError() | SettingsError() | GradsumError():
            sentence = str(error)
        case OSError(filename=str() as name):
            sentence = f"{name}: {error.strerror}."
        case _:
            sentence = f"Something went wrong that nobody foresaw: {type(error).__name__}: {error}"
    return [printable(f"Error: {sentence}")]


if __name__ == "__main__":
    main()
