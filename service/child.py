"""A disposable child process that answers questions over a pipe, each in time; replaced when it dies or hangs."""

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from service.logs import Log
from service.processes import how_it_ended

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
AGAIN_SECONDS = 3.0
"""How long a child is left alone that said to ask it again."""
AWAY_SECONDS = 30.0
"""How long after that it is believed, unless it says it once more."""

Message = dict[str, Any]


class Lost(NamedTuple):
    """No answer will come: the child died, hung, or could not start."""

    reason: str
    in_hand: bool
    """The child had the question: perhaps it is the reason."""
    too_late: bool = False
    """It had it as long as it may."""


OnAnswer = Callable[[Message | Lost], None]
OnProgress = Callable[[Message], None]


class Question(NamedTuple):
    """A message, how long its answer may take once it is sent, and who wants to know, also how far it is meanwhile."""

    message: Message
    seconds: float
    on_answer: OnAnswer
    on_progress: OnProgress


def unwatched(_progress: Message) -> None:
    """For questions of which nobody wants to know how far they are."""


class Child:
    """Runs `python -m module FD` and keeps it running.

    It gets one question at a time, when it has answered the last one: so it is reading whenever we write, and
    neither side can block the other. With `when_asked` only a question, which is Lost, starts it.
    """

    def __init__(
        self,
        module: str,
        log: Log,
        start_seconds: float = 60.0,
        *,
        environment: Mapping[str, str] | None = None,
        when_asked: bool = False,
    ) -> None:
        self.module = module
        self.ready: Message | None = None
        self.connection: Connection | None = None
        self.trouble: str | None = None
        """Why the last one could not begin its work, where it said so."""
        self._away: str | None = None
        self._log = log
        self._start_seconds = start_seconds
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: deque[Question] = deque()
        self._asked: Question | None = None
        self._answer_by = 0.0
        self._answers: deque[tuple[OnAnswer, Message | Lost]] = deque()
        self._number = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._start_at = math.inf if when_asked else 0.0
        self._ready_by = 0.0
        self._again_at = 0.0

    @property
    def away(self) -> str | None:
        """What the child waits for outside of itself, in a sentence, if it said so lately."""
        return self._away if time.monotonic() < self._again_at + AWAY_SECONDS else None

    def ask(
        self, message: Message, deadline_seconds: float, on_answer: OnAnswer, on_progress: OnProgress = unwatched
    ) -> None:
        """Send `message`; `on_answer` is called once, from `pump`, with the answer or with Lost.

        Before that, `on_progress` is called from there with what the child says of how far it is. It may not raise.
        """
        if self.ready is None:
            self._start_at = 0.0 if self._start_at == math.inf else self._start_at
            self._answers.append((on_answer, Lost(f"{self.module} is not running", in_hand=False)))
            return
        if self._away is not None and time.monotonic() < self._again_at:
            self._answers.append((on_answer, Lost(self._away, in_hand=False)))
            return
        self._waiting.append(Question(message, deadline_seconds, on_answer, on_progress))
        self._send_next()

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
        if self._asked is not None and now > self._answer_by:
            self._lose("it did not answer in time", too_late=True)

    def restart(self, reason: str) -> None:
        """End the child, and with it what it holds; the next `pump` after a pause starts another."""
        self._lose(reason)

    def hang_up(self) -> None:
        """Close the pipe: the child leaves by itself."""
        if self.connection is not None:
            self.connection.close()

    def stop(self) -> None:
        """End the child for good."""
        if self._process is None:
            return
        self.hang_up()
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
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=self._environment
            )
        self.connection = Connection(ours.detach())
        self.ready = None
        self._ready_by = now + self._start_seconds

    def _receive(self) -> None:
        try:
            while self.connection is not None and self.connection.poll():
                self._take(json.loads(self.connection.recv_bytes()))
        except (EOFError, OSError, json.JSONDecodeError):
            self._lose(self._how_it_ended())

    def _take(self, answer: Message) -> None:
        if self.ready is None and "trouble" in answer:
            self.trouble = str(answer["trouble"])
            return
        if self.ready is None:
            self.ready = answer
            self.trouble = None
            self._pause = FIRST_PAUSE_SECONDS
            return
        if self._asked is None or answer.get("id") != self._number:
            return
        if "progress" in answer:
            self._asked.on_progress(answer["progress"])
        else:
            self._away = answer.get("again")
            self._again_at = time.monotonic() + AGAIN_SECONDS
            lost = None if self._away is None else Lost(self._away, in_hand=False)
            self._answers.append((self._asked.on_answer, lost or answer))
            self._asked = None
            self._send_next()

    def _send_next(self) -> None:
        if self._asked is not None or not self._waiting or self.connection is None:
            return
        self._asked = self._waiting.popleft()
        self._number += 1
        self._answer_by = time.monotonic() + self._asked.seconds
        try:
            self.connection.send_bytes(json.dumps({"id": self._number, **self._asked.message}).encode())
        except OSError:
            self._lose("it closed its pipe")

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it was stopped"
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return how_it_ended(code)

    def _lose(self, reason: str, *, too_late: bool = False) -> None:
        """Forget this child, tell everyone who waits, and let the next one start after a pause."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self.ready is None and self.trouble is not None:
            reason = self.trouble
        if self.connection is not None:
            self.connection.close()
        self._process, self.connection, self.ready, self._away = None, None, None, None
        self._log.warning("child_lost", child=self.module, reason=reason, restart_seconds=self._pause)
        self._start_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        lost = Lost(f"{self.module} was lost: {reason}", in_hand=True)
        if self._asked is not None:
            self._answers.append((self._asked.on_answer, lost._replace(too_late=too_late)))
        self._answers += [(question.on_answer, lost._replace(in_hand=False)) for question in self._waiting]
        self._asked = None
        self._waiting.clear()


def pipe_from_arguments() -> Connection:
    """The child's end of the pipe: its descriptor is the first argument."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
    return Connection(descriptor)
