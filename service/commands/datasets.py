"""`gradsum dataset …`: add, list, show, rm."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.session import ServiceCommand, Session, session

if TYPE_CHECKING:
    from service.client import Client

app = typer.Typer(no_args_is_help=True, help="Data: upload files, see what was understood of them.")

Reference = Annotated[str, typer.Argument(metavar="DATASET", help="An id (ds_…), a name, or a version of it: name@3")]


@app.command(cls=ServiceCommand)
def add(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URI",
            help="A CSV, Parquet, Arrow or NumPy file, or where the service finds one (https://…)",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Its name (default: the file's, without its ending)")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="How to read it, e.g. delimiter=';' (repeatable)")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Say what would be understood, and add nothing")] = False,  # noqa: FBT002
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is read and show its columns")] = True,  # noqa: FBT002
) -> None:
    """Upload a file as a dataset, or have the service fetch it.

    The same name again makes a new version, unless file and options are those of its newest one.
    A bar shows how far it is; Ctrl-C after the upload leaves the service at work on it.

    Options are those of the API: format, delimiter, decimal, header, missing_markers, types, on_bad_rows, sha256.
    For example:

      gradsum dataset add deploy/examples/digits/digits.csv --name digits

      gradsum dataset add https://example.org/people.csv

      gradsum dataset add people.csv --option delimiter=';' --option types.postcode=category
    """
    from service.commands.job_files import read_options  # noqa: PLC0415 - quick --help
    from service.dataset_rendering import preview_problems, show_dataset, show_preview  # noqa: PLC0415

    asked = session(context)
    options = read_options(option or [])
    with asked.client() as client:
        if "://" in file:
            dataset = (client.preview_import if preview else client.import_dataset)(file, name, options)
        else:
            dataset = _upload(asked, client, Path(file), name, options, preview=preview)
        if preview:
            asked.show(dataset, lambda found: show_preview(asked.console(), found))
            raise typer.Exit(1 if preview_problems(dataset) else 0)
        first = dataset
        if wait and dataset["status"] == "preparing":
            dataset = _prepared(asked, client, dataset)
    if is_unchanged(first, dataset):
        typer.echo(f"Nothing new: {dataset['name']}@{dataset['version']} has this content already.", err=True)
    asked.show(dataset, lambda found: show_dataset(asked.console(), found))
    raise typer.Exit(1 if dataset["status"] == "failed" else 0)


@app.command("list", cls=ServiceCommand)
def list_datasets(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only datasets of this status")] = None,
    name: Annotated[str | None, typer.Option(help="Only versions of this name")] = None,
    limit: Annotated[int, typer.Option(help="At most so many")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this id")] = None,
) -> None:
    """List datasets, newest first."""
    from service.rendering import moment, show_list, status_text  # noqa: PLC0415 - quick --help

    columns = {
        "dataset": lambda dataset: f"{dataset['name']}@{dataset['version']}",
        "id": lambda dataset: dataset["id"],
        "status": lambda dataset: status_text(dataset["status"]),
        "rows": lambda dataset: dataset["rows"],
        "columns": lambda dataset: None if dataset["columns"] is None else len(dataset["columns"]),
        "created": lambda dataset: moment(dataset["created_at"]),
    }
    asked = session(context)
    with asked.client() as client:
        page = client.datasets(status=status, name=name, limit=limit, after=after)
    if_empty = "No datasets. Add one: gradsum dataset add FILE"
    asked.show(page, lambda found: show_list(asked.console(), found, columns, if_empty))


@app.command(cls=ServiceCommand)
def show(context: typer.Context, dataset: Reference) -> None:
    """Show a dataset and its columns."""
    from service.dataset_rendering import show_dataset  # noqa: PLC0415 - quick --help

    asked = session(context)
    with asked.client() as client:
        found = client.find_dataset(dataset)
    asked.show(found, lambda answer: show_dataset(asked.console(), answer))


@app.command(cls=ServiceCommand)
def rm(context: typer.Context, dataset: Reference) -> None:
    """Delete a dataset that no job needs."""
    asked = session(context)
    with asked.client() as client:
        found = client.find_dataset(dataset)
        answer = client.delete_dataset(found["id"])
    asked.show(answer, lambda _answer: typer.echo(f"{found['name']}@{found['version']} deleted"))


def _prepared(asked: Session, client: "Client", dataset: dict[str, Any]) -> dict[str, Any]:
    """The dataset once it is ready or has failed; exits with 130 on Ctrl-C."""
    from service.waiting import wait  # noqa: PLC0415 - quick --help

    try:
        return wait(client, dataset, asked.console(stderr=True), shown=not asked.json)
    except KeyboardInterrupt:
        way = f"See how far it is: gradsum dataset show {dataset['id']}"
        typer.echo(f"\nLeft the dataset to be prepared. {way}", err=True)
        raise typer.Exit(130) from None


def is_unchanged(first: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether no new version was made: a new one is read first, and a fetched one gives way to that of its content."""
    return bool(first["status"] == "ready" or now["version"] < first["version"])


def _upload(
    asked: Session, client: "Client", file: Path, name: str | None, options: dict[str, Any], *, preview: bool
) -> dict[str, Any]:
    """The dataset, or what would become of the file, as the API answers; a bar shows the way of a large file."""
    from rich.progress import Progress  # noqa: PLC0415 - quick --help

    from service.commands.job_files import cannot_read  # noqa: PLC0415

    try:
        size = file.stat().st_size
        if file.is_dir():
            raise IsADirectoryError(0, "it is a directory")
        console = asked.console(stderr=True)
        with Progress(console=console, transient=True, disable=asked.json or not console.is_terminal) as bar:
            task = bar.add_task(f"uploading {file.name}", total=size)
            send = client.preview_dataset if preview else client.add_dataset
            return send(file, name, options, lambda sent: bar.update(task, completed=sent))
    except OSError as error:
        raise cannot_read(str(file), error) from None
