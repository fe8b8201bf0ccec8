"""The `api` process: the application behind uvicorn."""

import signal

import uvicorn

from service import logs
from service.app import create_app
from service.settings import Settings
from service.slow_headers import SlowHeadersProtocol
from service.store.database import Database

GRACE_SECONDS = 5
"""How long requests may go on after a request to stop."""


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; the exit code."""
    log = logs.logger("api")
    database = Database(settings.database_url)
    config = uvicorn.Config(
        create_app(settings, database),
        host=settings.host,
        port=settings.port,
        http=SlowHeadersProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    log.info("api_started", host=settings.host, port=settings.port)
    try:
        uvicorn.Server(config).run()
    finally:
        database.close()
        log.info("api_stopped")
    return 0


def _stopped(_number: int, _frame: object) -> None:
    """What is left to do for a signal that uvicorn has obeyed and raises once more: nothing."""
