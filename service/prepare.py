"""The process that prepares data: `python -m service.prepare FD` answers requests over a pipe, one at a time.

Messages are JSON. {"ready": true} comes first; then {"id", "do": "ingest", "path", "options", "destination", "limits"},
{"id", "do": "fetch", "uri", "rules", "s3", "limit_bytes", "limit_seconds", "destination"},
{"id", "do": "build", "dataset_directory", "validation_directory" (or null), "request", "destination", "memory_bytes",
"start": null or {"spec", "source", "destination"}}, {"id", "do": "remember", "model"}, {"id", "do": "measure",
"champion", "dataset_directory"} or {"id", "do": "score", "challenger", "champion", "anchor" (or null), …} (see
`service.scoring`) is answered by {"id", "ok": …} or {"id", "error": {"code", "message", "errors"}}.
The process ends when the other end of the pipe is closed.
"""

import errno
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from service.child import pipe_from_arguments
from service.imports.fetch import fetch, time_limit
from service.imports.s3 import Bucket
from service.ingest import ingest_file
from service.making import making
from service.resources import memory_limit, too_much_to_build
from service.uris import rules_from_json
from workers.errors import GradsumError
from workers.matrix import request_from_json
from workers.matrix_build import build
from workers.spec import JobSpec
from workers.start import write_start

logger = logging.getLogger(__name__)

STORAGE_FULL = "The service has no room left on disk. Make room in its data directory, then try again."


def main() -> int:
    """Serve the pipe whose descriptor is the first argument until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    with pipe_from_arguments() as connection:
        try:
            connection.send_bytes(b'{"ready": true}')
            while True:
                found = answer(json.loads(connection.recv_bytes()))
                connection.send_bytes(json.dumps(found, allow_nan=False).encode())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return 0


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """What is sent back for a message: it is never an exception."""
    try:
        return {"id": message["id"], "ok": _do(message)}
    except GradsumError as error:
        errors = [found._asdict() for found in error.errors]
        return {"id": message["id"], "error": {"code": error.code, "message": error.message, "errors": errors}}
    except Exception as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return {"id": message["id"], "error": {"code": "storage_full", "message": STORAGE_FULL, "errors": []}}
        logger.exception("request_failed do=%s", message.get("do"))
        text = f"Preparing the data failed unexpectedly ({type(error).__name__}). The log has the details."
        return {"id": message.get("id"), "error": {"code": "internal", "message": text, "errors": []}}


def _do(message: dict[str, Any]) -> dict[str, Any]:
    if message["do"] in {"measure", "remember", "score"}:
        return _compare(message)
    destination = Path(message["destination"])
    if message["do"] == "ingest":
        limits = message["limits"]
        with memory_limit(limits.get("memory_bytes")), making(destination.parent):
            return ingest_file(Path(message["path"]), message["options"], destination, limits)
    if message["do"] == "fetch":
        return _fetch(message, destination)
    if message["do"] == "build":
        with memory_limit(message.get("memory_bytes"), too_much_to_build), making(destination.parent):
            return _build(message, destination)
    raise ValueError(f"unknown request {message['do']!r}")


def _build(message: dict[str, Any], destination: Path) -> dict[str, Any]:
    other = message.get("validation_directory")
    request = request_from_json(message["request"])
    matrix = build(Path(message["dataset_directory"]), request, destination, other and Path(other))
    if message["start"] is not None:
        _write_start(matrix, **message["start"])
    return matrix


def _compare(message: dict[str, Any]) -> dict[str, Any]:
    # SciPy takes a second to import: whoever compares nothing does not wait for it.
    from service.scoring import Candidate, measure_data, reference_of, score  # noqa: PLC0415

    if message["do"] == "remember":
        reference_of(Candidate.from_json(message["model"]))
        return {}
    champion = Candidate.from_json(message["champion"])
    if message["do"] == "measure":
        return measure_data(champion, Path(message["dataset_directory"]))
    anchor = message["anchor"]
    return score(
        Candidate.from_json(message["challenger"]),
        champion,
        None if anchor is None else Candidate.from_json(anchor),
        Path(message["matrix_directory"]),
        metric=message["metric"],
        confidence=message["confidence"],
        linear=message["linear"],
        seed=message["seed"],
    )


def _fetch(message: dict[str, Any], destination: Path) -> dict[str, Any]:
    with time_limit(message["limit_seconds"]):
        rules, s3 = rules_from_json(message["rules"]), Bucket(**message["s3"])
        return fetch(message["uri"], rules, s3, message["limit_bytes"], destination)._asdict()


def _write_start(matrix: dict[str, Any], spec: dict[str, Any], source: str | None, destination: str) -> None:
    model = None if source is None else Path(source)
    write_start(JobSpec.model_validate(spec), matrix, model, Path(destination))


if __name__ == "__main__":
    sys.exit(main())
