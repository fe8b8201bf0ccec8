"""A real PostgreSQL server in a directory of its own, on a free loopback port, for as long as a block lasts."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from service.ray_head import free_ports
from tests.running_service import ends_with_us

USER, PASSWORD, DATABASE = "gradsum", "a-password-for-tests", "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "dynamic_shared_memory_type": "mmap",  # nothing in /dev/shm
    "autovacuum": "off",  # no process that comes and goes
    "fsync": "off",  # a server that is killed loses nothing; only a machine would
    "max_connections": "60",
    "shared_buffers": "16MB",
}


class PostgresServer:
    """A server that can be stopped and started; it ends with this process, whatever way that ends."""

    def __init__(self, data: Path, port: int) -> None:
        self._data = data
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As GRADSUM_DATABASE_URL has it."""
        return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Return once it takes connections."""
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self._data.parent / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", str(self._data), "-p", str(self._port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
                **_as_someone(),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it as `pg_ctl stop -m immediate` does (SIGQUIT), or `-m fast` (SIGINT)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)  # it may stand still
            self._process.wait(STOP_SECONDS)
            self._process = None

    def send(self, number: signal.Signals) -> None:
        """Send the postmaster a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, on a connection of its own."""
        address = self.url.replace("+psycopg", "")
        with psycopg.connect(address, connect_timeout=10, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload] # text of our own
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Drop every table."""
        self.execute("DROP SCHEMA public CASCADE")
        self.execute("CREATE SCHEMA public")

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _log(self) -> str:
        return (self._data.parent / "postgres.log").read_text(errors="replace")


@contextmanager
def running_postgres(directory: Path) -> Iterator[PostgresServer]:
    """A server with its files below `directory`, a new one that others may enter (root can't run PostgreSQL)."""
    home = directory / "postgres"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
        directory.chmod(0o711)
    password = home / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    made = subprocess.run(
        [program("initdb"), "-D", str(home / "data"), "-U", USER, "--pwfile", str(password), "--auth", "scram-sha-256",
         "--no-sync", "--encoding", "UTF8", "--locale", "C"],
        cwd="/", capture_output=True, text=True, timeout=120, check=False, **_as_someone(),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    with closing(free_ports()) as ports:
        server = PostgresServer(home / "data", next(ports))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """The URL of such a server."""
    with running_postgres(directory) as server:
        yield server.url


def program(name: str) -> str:
    """Where a program of PostgreSQL is. LookupError with how to install it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [str(place / name) for place in places if (place / name).exists()] or [shutil.which(name)]
    if found[0] is None:
        raise LookupError(
            f"These tests need a PostgreSQL server, and '{name}' is neither in PATH nor below /usr/lib/postgresql. "
            "Install it: apt-get install postgresql (Debian, Ubuntu), brew install postgresql (macOS)."
        )
    return found[0]


def _as_someone() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
