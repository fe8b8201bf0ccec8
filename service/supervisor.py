"""Keeps a list of programs running until a signal comes, then stops them in order and leaves nothing behind."""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from types import FrameType

import psutil

from service import sentinel
from service.logs import Log
from service.processes import Guard, Program, Running, adopt_orphans, reap_orphans

STOP_SECONDS = 10.0
TICK_SECONDS = 0.2


class Signals:
    """Counts the requests to stop: Ctrl-C, SIGTERM, a closed terminal."""

    def __init__(self) -> None:
        self.count = 0
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # noqa: FBT003 - its only form

    @property
    def stop(self) -> bool:
        """Someone wants us to stop."""
        return self.count > 0

    @property
    def hurry(self) -> bool:
        """Someone wants us to stop, and said so twice."""
        return self.count > 1

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes (the end of a child is one) or `seconds` have passed."""
        if select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)

    @contextlib.contextmanager
    def caught(self) -> Iterator["Signals"]:
        """Signals are counted inside the block, and are what they were after it."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else it runs below nohup
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._count) for number in numbers}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._reader.close()
            self._writer.close()

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def supervise(
    programs: Sequence[Program],
    signals: Signals,
    guard: Guard,
    log: Log,
    on_tick: Callable[[], None] = lambda: None,
    stop_seconds: float = STOP_SECONDS,
) -> None:
    """Run `programs` until `signals` say stop; whatever way this ends, none of their processes outlives it."""
    adopt_orphans()
    running = [Running(program, guard, log) for program in programs]
    try:
        while not signals.stop:
            for each in running:
                each.step()
            _reap(running, guard)
            on_tick()
            signals.wait(TICK_SECONDS)
        _stop(running, signals, log, stop_seconds)
    finally:
        for each in running:
            each.kill()
        _end_descendants(guard)


def _stop(running: Sequence[Running], signals: Signals, log: Log, stop_seconds: float) -> None:
    """Ask the programs to stop, rank by rank, and kill those of a rank that take longer than `stop_seconds`."""
    log.info("stopping")
    for _, rank in groupby(sorted(running, key=_rank), key=_rank):
        left = list(rank)
        for each in left:
            each.ask_to_stop()
        deadline = time.monotonic() + stop_seconds
        while left := [each for each in left if not each.has_stopped()]:
            if signals.hurry or time.monotonic() > deadline:
                break
            signals.wait(min(TICK_SECONDS, stop_seconds))
        for each in left:
            log.warning("process_killed", name=each.program.name, reason="asked to hurry" if signals.hurry else "slow")
            each.kill()


def _rank(each: Running) -> int:
    return each.program.stop_rank


def _reap(running: Sequence[Running], guard: Guard) -> None:
    reap_orphans({guard.pid, *(each.pid for each in running if each.pid)})


def _end_descendants(guard: Guard) -> None:
    """Kill and reap what is left below us: processes that left their program's session and became ours."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        left = [p.pid for p in psutil.Process(os.getpid()).children(recursive=True) if p.pid != guard.pid]
        if not left:
            return
        sentinel.kill(left)
        reap_orphans({guard.pid})
        time.sleep(0.01)
