"""A process of its own that runs epochs of one case when it is asked: both ends of the conversation.

Every line is JSON: a variant and a number of epochs go in, the seconds of each epoch come out.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.cases import CASES, DIRECTORY, PROJECT, Case

Variant = dict[str, Any]
"""How a system computes an epoch: `threads` and whatever else it can choose."""
STOP_SECONDS = 10.0
N_LAST_LINES = 12


class SubjectError(Exception):
    """Why a system could not be timed."""


class Subject(NamedTuple):
    """The parent's end."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    facts: dict[str, Any]
    """What the process says of itself; its `variants` are those worth a try."""

    def seconds(self, variant: Variant, epochs: int) -> list[float]:
        """What each epoch took, after one more that warms up."""
        answer = _exchange(self.name, self.process, self.log, {"variant": variant, "epochs": epochs})
        return list(answer["seconds"])


@contextmanager
def subject(name: str, python: Path, module: str, case: Case) -> Iterator[Subject]:
    """A process that runs `module` for the case, until the end of the block."""
    log = DIRECTORY / "logs" / f"{case.name}-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(python), "-m", module, case.name],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, who ends it in order
        )
    try:
        yield Subject(name, process, log, _exchange(name, process, log, {}))
    finally:
        process.kill()
        process.communicate()


def _exchange(name: str, process: subprocess.Popen[str], log: Path, request: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise TypeError("the process has no pipes")
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        last = "\n".join(f"  {text}" for text in log.read_text(errors="replace").splitlines()[-N_LAST_LINES:])
        raise SubjectError(f"{name} ended before it answered.\n{last}\nAll of it: {log.relative_to(PROJECT)}")
    return dict(json.loads(line))


def answer(prepare: Callable[[Case, Variant], Callable[[int], list[float]]], facts: Callable[[Case], Variant]) -> None:
    """The child's end, until there is no more input: `prepare` makes what runs epochs, `facts` tells of the process."""
    case = CASES[sys.argv[1]]
    prepared: tuple[Variant, Callable[[int], list[float]]] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if not request:
            _say(facts(case))
            continue
        if prepared is None or prepared[0] != request["variant"]:
            prepared = request["variant"], prepare(case, request["variant"])
        _say({"seconds": prepared[1](request["epochs"] + 1)[1:]})


def timed(epoch: Callable[[], object], epochs: int) -> list[float]:
    """What each of so many calls took."""
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - started)
    return seconds


def _say(answer: Variant) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
