"""The process that prepares data: `python -m service.prepare FD` answers requests over a pipe, one at a time.

Messages are JSON. {"ready": true} comes first; then {"id", "do": "ingest", "path", "options", "destination", "limits"},
{"id", "do": "fetch", "uri", "rules", "s3", "limit_bytes", "limit_seconds", "destination"},
{"id", "do": "build", "dataset_directory", "validation_directory" (or null), "request", "destination", "memory_bytes",
"start": null or {"spec", "source", "destination"}}, {"id", "do": "remember", "model"}, {"id", "do": "measure",
"champion", "dataset_directory"}, {"id", "do": "score", "challenger", "champion", "anchor" (or null), …} (see
`service.scoring`), {"id", "do": "sweep", "uploads", "matrices", "known", "now"} (see `service.sweep`) or {"id",
"do": "drop", "path"} is answered by {"id", "ok": …}, {"id", "error": {"code", "message", "errors"}} or, where the
storage is away and the same should be asked again, {"id", "again": why}. Before the answer to "ingest" and "fetch" come
{"id", "progress": …} (see `service.progress`). The process ends when the other end of the pipe is closed.
"""

import errno
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from service.child import pipe_from_arguments
from service.prepare_work import work
from service.progress import SILENT, Progress, ToldProgress
from workers.errors import GradsumError
from workers.storage import Storage, StorageUnavailableError, storage_of

logger = logging.getLogger(__name__)

STORAGE_FULL = "The service has no room left on disk. Make room in its data directory, then try again."


def main() -> int:
    """Serve the pipe whose descriptor is the first argument until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    storage = storage_of(os.environ)
    with pipe_from_arguments() as connection:
        try:
            connection.send_bytes(b'{"ready": true}')
            while True:
                message = json.loads(connection.recv_bytes())
                found = answer(message, storage, ToldProgress(teller(connection, message["id"])))
                connection.send_bytes(json.dumps(found, allow_nan=False).encode())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return 0


def teller(connection: Connection, number: int) -> Callable[[dict[str, Any]], None]:
    """Tells whoever asked the question with this number how far it is, if they listen: nobody waits for them."""
    listening = select.poll()
    listening.register(connection, select.POLLOUT)

    def tell(progress: dict[str, Any]) -> None:
        with suppress(OSError):
            if listening.poll(0):
                connection.send_bytes(json.dumps({"id": number, "progress": progress}).encode())

    return tell


def answer(message: dict[str, Any], storage: Storage, progress: Progress = SILENT) -> dict[str, Any]:
    """What is sent back for a message: it is never an exception."""
    try:
        return {"id": message["id"], "ok": work(message, storage, progress)}
    except GradsumError as error:
        errors = [found._asdict() for found in error.errors]
        return {"id": message["id"], "error": {"code": error.code, "message": error.message, "errors": errors}}
    except StorageUnavailableError as error:
        return {"id": message["id"], "again": str(error)}
    except Exception as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return {"id": message["id"], "error": {"code": "storage_full", "message": STORAGE_FULL, "errors": []}}
        logger.exception("request_failed do=%s", message.get("do"))
        text = f"Preparing the data failed unexpectedly ({type(error).__name__}). The log has the details."
        return {"id": message.get("id"), "error": {"code": "internal", "message": text, "errors": []}}


if __name__ == "__main__":
    sys.exit(main())
