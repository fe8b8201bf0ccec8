"""A PostgreSQL server of a test's own: in a temporary directory, on a Unix socket, gone afterwards."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALLED = Path("/usr/lib/postgresql")
START_SECONDS = 60.0
MISSING = "PostgreSQL is not installed: apt-get install postgresql"


def find_binaries() -> Path | None:
    """Where the newest installed server's programs are."""
    on_path = shutil.which("initdb")
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The SQLAlchemy URL of a new, empty database. Without PostgreSQL the test is skipped, and with CI set it fails."""
    binaries = find_binaries()
    if binaries is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    directory = Path(tempfile.mkdtemp(prefix="gs-pg-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        shutil.chown(directory, user)
    data = directory / "data"
    options = ["-U", "gradsum", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": user, "cwd": directory}
    subprocess.run([binaries / "initdb", "-D", data, *options], check=True, **quiet)
    settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", f"unix_socket_directories={directory}"]
    server = subprocess.Popen([binaries / "postgres", "-D", data, *settings], **quiet)
    try:
        _wait(binaries, directory)
        made = [binaries / "createdb", "-h", directory, "-U", "gradsum", "gradsum"]
        subprocess.run(made, check=True, **quiet)
        yield f"postgresql+psycopg://gradsum@/gradsum?host={directory}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=START_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


def _wait(binaries: Path, directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run([binaries / "pg_isready", "-q", "-h", directory], check=False).returncode:
        assert time.monotonic() < deadline, "PostgreSQL did not start"
        time.sleep(0.05)
