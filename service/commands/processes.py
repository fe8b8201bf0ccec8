"""`gradsum serve` and the processes it runs: api, dispatcher, tracker; and migrate."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.session import CommandError

if TYPE_CHECKING:
    from service.logs import Log
    from service.settings import Settings
    from service.store.database import Database

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIRECTORY", help="Where everything is kept (GRADSUM_DATA_DIR)")
]
Host = Annotated[str | None, typer.Option("--host", help="The address to listen on (GRADSUM_HOST)")]
Port = Annotated[int | None, typer.Option("--port", help="The API's port (GRADSUM_PORT)")]

PANEL = "Processes"
LONGEST_SLEEP_SECONDS = 0.1


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(rich_help_panel=PANEL)(serve)
    for process in (api, dispatcher, tracker, migrate):
        app.command(rich_help_panel=PANEL)(process)


def serve(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Run the whole service on this machine, in the foreground: API, Ray, dispatcher, tracker, MLflow.

    Example: gradsum serve --data-dir ~/gradsum --port 8080
    """
    from service.serve import serve as run  # noqa: PLC0415 - quick --help

    raise typer.Exit(run(_settings(data_dir, host, port)))


def api(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Run the HTTP API alone."""
    from service.api import run  # noqa: PLC0415 - quick --help
    from service.storage_check import refuse_wrong_storage  # noqa: PLC0415

    settings = _settings(data_dir, host, port)
    refuse_wrong_storage(settings)
    raise typer.Exit(run(settings))


def dispatcher(data_dir: DataDir = None) -> None:
    """Run the dispatcher alone: it turns jobs into training on the Ray cluster."""
    from service.dispatcher import Dispatcher  # noqa: PLC0415 - quick --help

    owner = os.environ.get("GRADSUM_DISPATCHER_NAME") or f"{socket.gethostname()}:{os.getpid()}"
    with _process("dispatcher", data_dir) as (settings, database, log, stopping):
        Dispatcher(database, settings, log, owner).run(stopping.is_set)


def tracker(data_dir: DataDir = None) -> None:
    """Run the tracker alone: it copies what is recorded to MLflow, and sends webhooks."""
    from service.imports.registration import rules_of  # noqa: PLC0415 - quick --help
    from service.notifications.sender import Sender  # noqa: PLC0415
    from service.tracker import run  # noqa: PLC0415

    with _process("tracker", data_dir) as (settings, database, log, stopping):
        # A thread of its own: MLflow may keep the other one waiting, and nothing here is lost where both end at once.
        sender = Sender(database, rules_of(settings), os.environ, log)
        threading.Thread(target=sender.run, args=(stopping,), daemon=True).start()
        run(settings, database, stopping)


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version's schema."""
    from service.store.database import DatabaseUnavailableError  # noqa: PLC0415 - quick --help
    from service.store.database import migrate as bring  # noqa: PLC0415
    from service.store.engines import shown_url  # noqa: PLC0415

    url = _settings(data_dir).database_url
    try:
        bring(url)
    except (DatabaseUnavailableError, OSError) as error:
        raise CommandError(f"The database can't be used ({error}). Check GRADSUM_DATABASE_URL.") from None
    typer.echo(f"The database {shown_url(url)} has this version's schema.", err=True)


@contextlib.contextmanager
def _process(name: str, data_dir: Path | None) -> Iterator[tuple["Settings", "Database", "Log", "Stopping"]]:
    """What a process needs; SIGTERM and SIGINT ask it to stop, and its crash is logged with its trace."""
    from service import logs  # noqa: PLC0415 - quick --help
    from service.storage_check import refuse_wrong_storage  # noqa: PLC0415
    from service.store.database import Database  # noqa: PLC0415

    settings = _settings(data_dir)
    refuse_wrong_storage(settings)
    stopping = Stopping()
    log = logs.logger(name)
    database = Database(settings.database_url)
    log.info("process_started")
    try:
        yield settings, database, log, stopping
        log.info("process_stopped")
    except Exception:
        log.exception("process_crashed")
        raise typer.Exit(1) from None
    finally:
        database.close()


def _settings(data_dir: Path | None, host: str | None = None, port: int | None = None) -> "Settings":
    from service.settings import load_settings  # noqa: PLC0415 - quick --help

    return load_settings(data_dir=data_dir, host=host, port=port)


class Stopping:
    """Whether SIGTERM or SIGINT has come. A bare flag: locks, as in `threading.Event`, are no good in a handler."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._asked

    def wait(self, timeout: float) -> bool:
        """Sleep at most `timeout` seconds, less where asked to stop; whether to stop."""
        deadline = time.monotonic() + timeout
        while not self._asked and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_SLEEP_SECONDS))
        return self._asked

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True
