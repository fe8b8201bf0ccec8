"""Ends every session that a supervisor started, once the supervisor itself is gone, even by `kill -9`.

Run as a script with no imports but the standard library's, so that it costs a few milliseconds and little memory.
It reads lines from a pipe: `start <session>`, `end <session>`, `remove <path>`. At the end of the file the supervisor
is gone: the sessions that have not ended are killed, the paths are removed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_SECONDS = 5.0


def processes() -> list[int]:
    """The ids of all processes of this machine."""
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listing.stdout.split()]


def members(session: int) -> list[int]:
    """The processes of `session` that still run; zombies do not."""
    return [pid for pid in processes() if _session_of(pid) == session and not is_zombie(pid)]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def is_zombie(pid: int) -> bool:
    """Whether `pid` has ended and only waits for its parent to notice (known on Linux only)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def kill(pids: Iterable[int]) -> None:
    """SIGKILL to each of `pids` that is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


def kill_session(session: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """Kill what is in `session`, and what it starts meanwhile, until nothing is left."""
    deadline = time.monotonic() + grace_seconds
    while (left := members(session)) and time.monotonic() < deadline:
        kill(left)
        time.sleep(0.01)


def remove(path: str) -> None:
    """Remove a file or a directory with all that is in it, where it is there."""
    if Path(path).is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)


def main() -> None:
    """Read the pipe on stdin until the supervisor is gone, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    paths: list[str] = []
    for line in sys.stdin:
        verb, _, argument = line.rstrip("\n").partition(" ")
        if verb == "start":
            sessions.add(int(argument))
        elif verb == "end":
            sessions.discard(int(argument))
        elif verb == "remove":
            paths.append(argument)
    for session in sessions:
        kill_session(session)
    for path in paths:
        remove(path)


if __name__ == "__main__":
    main()
