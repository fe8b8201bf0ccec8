"""A disposable child process that answers questions over a pipe, each in time; replaced when it dies or hangs."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from service.logs import Log

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0

Message = dict[str, Any]


class Lost(NamedTuple):
    """No answer will come: the child died, hung, or could not start."""

    reason: str


OnAnswer = Callable[[Message | Lost], None]


class Question(NamedTuple):
    """A message that waits for its answer until `deadline` (monotonic seconds)."""

    deadline: float
    on_answer: OnAnswer


class Child:
    """Runs `python -m module FD` and keeps it running; never blocks longer than a write to a pipe."""

    def __init__(self, module: str, log: Log, start_seconds: float = 60.0) -> None:
        self.module = module
        self.ready: Message | None = None
        self.connection: Connection | None = None
        self._log = log
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._questions: dict[int, Question] = {}
        self._answers: deque[tuple[OnAnswer, Message | Lost]] = deque()
        self._numbers = itertools.count(1)
        self._pause = FIRST_PAUSE_SECONDS
        self._start_at = 0.0
        self._ready_by = 0.0

    def ask(self, message: Message, deadline_seconds: float, on_answer: OnAnswer) -> None:
        """Send `message`; `on_answer` is called once, from `pump`, with the answer or with Lost."""
        if self.connection is None or self.ready is None:
            self._answers.append((on_answer, Lost(f"{self.module} is not running")))
            return
        number = next(self._numbers)
        self._questions[number] = Question(time.monotonic() + deadline_seconds, on_answer)
        try:
            self.connection.send_bytes(json.dumps({"id": number, **message}, allow_nan=False).encode())
        except OSError:
            self._lose("it closed its pipe")

    def pump(self) -> None:
        """Start the child if it is time to, take the answers that have come, and give up on those that are late.

        An error in an `on_answer` comes out of here; the answers behind it wait for the next call.
        """
        self._look()
        for _ in range(len(self._answers)):
            on_answer, answer = self._answers.popleft()
            on_answer(answer)

    def _look(self) -> None:
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
            return
        self._receive()
        now = time.monotonic()
        if self._process is not None and self.ready is None and now > self._ready_by:
            self._lose(f"it was not ready after {self._start_seconds:g} s")
        if any(now > question.deadline for question in self._questions.values()):
            self._lose("it did not answer in time")

    def stop(self) -> None:
        """End the child for good."""
        if self._process is None:
            return
        if self.connection is not None:
            self.connection.close()  # its end of file: it leaves by itself
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self, now: float) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", self.module, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self.connection = Connection(ours.detach())
        self.ready = None
        self._ready_by = now + self._start_seconds

    def _receive(self) -> None:
        try:
            while self.connection is not None and self.connection.poll():
                self._take(json.loads(self.connection.recv_bytes()))
        except (EOFError, OSError):
            self._lose(self._how_it_ended())

    def _take(self, answer: Message) -> None:
        if self.ready is None:
            self.ready = answer
            self._pause = FIRST_PAUSE_SECONDS
            return
        question = self._questions.pop(answer.get("id", 0), None)
        if question is not None:
            self._answers.append((question.on_answer, answer))

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it was stopped"
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _lose(self, reason: str) -> None:
        """Forget this child, tell everyone who waits, and let the next one start after a pause."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self.connection is not None:
            self.connection.close()
        self._process, self.connection, self.ready = None, None, None
        self._log.warning("child_lost", child=self.module, reason=reason, restart_seconds=self._pause)
        self._start_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        questions, self._questions = self._questions, {}
        for question in questions.values():
            self._answers.append((question.on_answer, Lost(f"{self.module} was lost: {reason}")))


def pipe_from_arguments() -> Connection:
    """The child's end of the pipe: its descriptor is the first argument."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
    return Connection(descriptor)
