"""Looks at the beginning of a file in a process of its own, with little memory and time: `python -m service.look`.

The API opens no binary format itself. It calls `look_at`; the process reads one JSON request, and writes one answer.
"""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.processes import how_it_ended
from service.resources import ENVIRONMENT, memory_limit
from workers.errors import DataError, FieldError, GradsumError

MEMORY_BYTES = 2**30
SECONDS = 60
AT_ONCE = threading.BoundedSemaphore(2)
"""How many files are looked at at once, whatever their number: each may take the memory and the time above."""
PATIENCE_SECONDS = 30.0
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR", "HOME")
"""What the process gets of the environment: none of the service's keys and passwords."""


def look_at(path: Path, options: dict[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    """What `service.head.preview_of` says of the file; its DataError, or `file_corrupt` where the process ended."""
    request = json.dumps({"path": str(path), "options": options, "limits": dict(limits)})
    if not AT_ONCE.acquire(timeout=PATIENCE_SECONDS):
        from service.errors import UnavailableError  # noqa: PLC0415 - heavy, and this module is the process as well

        message = "Too many files are being looked at. Send this one again in a moment."
        raise UnavailableError(message, code="busy", headers={"Retry-After": "10"})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.look"],
            input=request.encode(),
            env={name: os.environ[name] for name in INHERITED if name in os.environ} | ENVIRONMENT,
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _ended(f"it was stopped after {2 * SECONDS} s") from None
    finally:
        AT_ONCE.release()
    if done.returncode != 0 or not done.stdout:
        raise _ended(how_it_ended(done.returncode))
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        error = answer["error"]
        errors = tuple(FieldError(**found) for found in error["errors"])
        raise DataError(error["message"], code=error["code"], errors=errors)
    return answer


def main() -> int:
    """Answer the request on standard input."""
    from service.head import preview_of  # noqa: PLC0415 - it imports this module to ask

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    request = json.loads(sys.stdin.buffer.read())
    try:
        with memory_limit(MEMORY_BYTES):
            answer = preview_of(Path(request["path"]), request["options"], request["limits"])
    except GradsumError as error:
        errors = [found._asdict() for found in error.errors]
        answer = {"error": {"code": error.code, "message": error.message, "errors": errors}}
    sys.stdout.buffer.write(json.dumps(answer, allow_nan=False).encode())
    return 0


def _ended(reason: str) -> DataError:
    message = f"The file ended the process that looked at it ({reason}): it is damaged, or made to do harm."
    return DataError(message, code="file_corrupt")


if __name__ == "__main__":
    sys.exit(main())
