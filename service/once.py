"""One question to a process of its own, with little memory and time: `python -m MODULE` reads it, and answers."""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from service.processes import how_it_ended
from service.resources import ENVIRONMENT, memory_limit
from workers.errors import DataError, FieldError, GradsumError

MEMORY_BYTES = 2**30
CPU_SECONDS = 60
PATIENCE_SECONDS = 30.0
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR", "HOME")
"""What the process gets of the environment: none of the service's keys and passwords."""


class EndedError(Exception):
    """The process ended, or was ended, without an answer."""


class Turns:
    """So many at once, whatever the number of those who ask: each process may take the memory and the time above."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def taken(self, what: str) -> Iterator[None]:
        """From here to the end of the block; UnavailableError `busy` where nobody is ready in half a minute."""
        if not self._free.acquire(timeout=PATIENCE_SECONDS):
            from service.errors import UnavailableError  # noqa: PLC0415 - heavy, and the process imports this as well

            message = f"Too many {what} are being looked at. Send this one again in a moment."
            raise UnavailableError(message, code="busy", headers={"Retry-After": "10"})
        try:
            yield
        finally:
            self._free.release()


def ask_once(
    module: str, request: Mapping[str, Any], seconds: float, inherited: Sequence[str] = INHERITED
) -> dict[str, Any]:
    """The answer of `python -m module`; its DataError, or EndedError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=json.dumps(request).encode(),
            env={name: os.environ[name] for name in inherited if name in os.environ} | ENVIRONMENT,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EndedError(f"it was stopped after {seconds:g} s") from None
    if done.returncode != 0 or not done.stdout:
        raise EndedError(how_it_ended(done.returncode))
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        error = answer["error"]
        errors = tuple(FieldError(**found) for found in error["errors"])
        raise DataError(error["message"], code=error["code"], errors=errors)
    return answer


def answer_once(work: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """The process's side: what `work` makes of the request on standard input, or its error, on standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    request = json.loads(sys.stdin.buffer.read())
    try:
        with memory_limit(MEMORY_BYTES):
            answer = work(request)
    except GradsumError as error:
        errors = [found._asdict() for found in error.errors]
        answer = {"error": {"code": error.code, "message": error.message, "errors": errors}}
    sys.stdout.buffer.write(json.dumps(answer, allow_nan=False).encode())
    return 0
