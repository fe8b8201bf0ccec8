"""One program of the service as a process: a session of its own, restarts with a back-off, nothing left of it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service import sentinel
from service.logs import Log

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
REPORTING = 10
"""The niceness of what only reports: training comes first where there is not enough for both."""
STEADY_SECONDS = 60.0
"""A program that lived this long starts its back-off anew."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What to run: `environment` comes on top of ours, output goes to `output` or to our own stderr.

    Programs of a lower `stop_rank` are stopped, and gone, before those of a higher one are asked to.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None
    niceness: int = 0
    stop_rank: int = 0


def adopt_orphans() -> None:
    """From now on what our descendants leave behind becomes our child (Linux), so that it can be ended and reaped."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(ours: set[int]) -> None:
    """Take the exit codes of adopted orphans; those of `ours` are left to whoever started them."""
    while LIBC is not None:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in ours:
            return
        os.waitpid(ended.si_pid, 0)


def how_it_ended(code: int) -> str:
    """A return code in words: `exit code 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Guard:
    """The supervisor's end of the pipe to its sentinel, which cleans up once that end is closed, however it comes."""

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        command = [sys.executable, "-I", "-S", sentinel.__file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=keep_open, text=True
        )

    @property
    def pid(self) -> int:
        """The sentinel's process id."""
        return self._process.pid

    def tell(self, verb: str, argument: object) -> None:
        """`start` or `end` a session, or `remove` a path at the end."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{verb} {argument}\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """Let the sentinel do what is left to do, and wait for it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()


class Running:
    """A program that is kept running until it is told to stop."""

    def __init__(self, program: Program, guard: Guard, log: Log) -> None:
        self.program = program
        self._guard = guard
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """Its process id, which is also its session's, while it lives."""
        return self._process.pid if self._process else None

    def step(self) -> None:
        """Start it where it is time to; where it has ended, say so, end what it left and plan the next start."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
        elif (code := self._process.poll()) is not None:
            self._ended()
            if now - self._started_at >= STEADY_SECONDS:
                self._pause = FIRST_PAUSE_SECONDS
            self._plan_restart(now, how_it_ended(code))

    def ask_to_stop(self) -> None:
        """SIGTERM to the program itself, which ends what it started."""
        if self._process is not None:
            self._process.terminate()

    def has_stopped(self) -> bool:
        """Whether it is gone; what it left of its session goes with it."""
        if self._process is not None and self._process.poll() is not None:
            self._ended()
        return self._process is None

    def kill(self) -> None:
        """End it and its whole session at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ended()

    def _start(self, now: float) -> None:
        program, supervisor = self.program, os.getpid()

        def in_the_child() -> None:
            os.nice(program.niceness)
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != supervisor:
                    os._exit(1)

        with contextlib.ExitStack() as files:
            output = files.enter_context(program.output.open("ab")) if program.output else None
            try:
                self._process = subprocess.Popen(
                    program.command,
                    env={**os.environ, **program.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output or sys.stderr.fileno(),
                    stderr=output or sys.stderr.fileno(),
                    start_new_session=True,
                    preexec_fn=in_the_child,  # noqa: PLW1509 - the supervisor has one thread
                )
            except OSError as error:
                self._plan_restart(now, f"{program.command[0]} can't be run: {error.strerror}")
                return
        self._started_at = now
        self._guard.tell("start", self._process.pid)

    def _ended(self) -> None:
        if self._process is not None:
            sentinel.kill_session(self._process.pid)
            self._guard.tell("end", self._process.pid)
            self._process = None

    def _plan_restart(self, now: float, reason: str) -> None:
        where = {"output": str(self.program.output)} if self.program.output else {}
        self._log.warning("process_ended", name=self.program.name, reason=reason, restart_in=self._pause, **where)
        self._start_at = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
