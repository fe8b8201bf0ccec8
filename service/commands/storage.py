"""`gradsum storage`: whether the storage works, without a service."""

import typer

from service.commands.processes import DataDir
from service.commands.session import CommandError

app = typer.Typer(no_args_is_help=True, help="The storage of the service: a directory or a bucket.")


@app.callback()
def storage() -> None:
    """Keep `check` a command of its own, though it is the only one."""


@app.command()
def check(data_dir: DataDir = None) -> None:
    """Say whether the storage can be written and read; exits with 75 where it only does not answer now.

    Example: gradsum storage check
    """
    from service.settings import load_settings  # noqa: PLC0415 - quick --help
    from service.storage_check import AWAY  # noqa: PLC0415
    from workers.storage import StorageUnavailableError, storage_of  # noqa: PLC0415

    kept = storage_of(load_settings(data_dir=data_dir).environment())
    is_new = not kept.url and not kept.root.exists()
    try:
        kept.check()
    except StorageUnavailableError as error:
        if error.refused:
            raise CommandError(str(error)) from None
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(AWAY) from None
    made = " It is a new directory: GRADSUM_DATA_DIR or GRADSUM_STORAGE_URL names another one." if is_new else ""
    typer.echo(f"The storage {kept.url or kept.root} can be written and read.{made}")
