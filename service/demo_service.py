"""The service that `make demo` starts and stops: `gradsum serve` as a child of its own session."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from service.client import Client
from service.connection import ClientError
from service.settings import Settings, load_settings

START_SECONDS = 120.0
STOP_SECONDS = 20.0
ENDING_SECONDS = 2.0
"""How long a service that closed a connection may take to end."""
N_LAST_LINES = 15


class DemoError(Exception):
    """Why the demo can't go on."""


class Interrupts:
    """SIGINT and SIGTERM as KeyboardInterrupt, but one at most, and not in the midst of starting or stopping."""

    def __init__(self) -> None:
        self._held = False
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside the block signals wait; the first one is raised after it."""
        came_before, self._held = self._came, True
        yield
        self._held = False
        if self._came and not came_before:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: object) -> None:
        first, self._came = not self._came, True
        if first and not self._held:
            raise KeyboardInterrupt


class DemoService:
    """Starts `gradsum serve`, with its output in `logs/serve.log`; however the block ends, it is stopped after it."""

    def __init__(self, settings: Settings, interrupts: Interrupts) -> None:
        self._settings = settings
        self._interrupts = interrupts
        self._log = settings.data_dir / "logs" / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Itself, not started yet: so a signal can't come between the start and the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start it; DemoError if another service has the data directory."""
        _refuse_if_served(self._settings.data_dir)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as output, self._interrupts.held():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                env={**os.environ, **self._settings.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we stop it in order
            )

    def wait_until_ready(self) -> None:
        """Return once jobs can run; DemoError where it does not come to that."""
        since = datetime.now(UTC)
        deadline = time.monotonic() + START_SECONDS
        with Client(self._settings.api_url, token_for(self._settings)) as client:
            while not _answers(client, since):
                self.check()
                if time.monotonic() > deadline:
                    raise DemoError(f"The service was not ready after {START_SECONDS:.0f} s.\n{self.last_lines()}")
                time.sleep(0.1)

    def check(self) -> None:
        """DemoError if the service has ended."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            raise DemoError(f"The service ended ({how}).\n{self.last_lines()}")

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Inside the block, a request that fails because the service has ended is a DemoError with its last words."""
        try:
            yield
        except ClientError:
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(ENDING_SECONDS)
            self.check()
            raise

    def last_lines(self, name: str = "serve") -> str:
        """The end of a log of the service, and where it lies."""
        log = self._log.with_name(f"{name}.log")
        try:
            lines = log.read_text(errors="replace").splitlines()[-N_LAST_LINES:]
        except OSError:
            lines = []
        return "\n".join([*(f"  {line}" for line in lines), f"All of it: {log}"])

    def stop(self) -> None:
        """Ask it to stop, wait, and end its whole session if it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        with self._interrupts.held():
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def token_for(settings: Settings) -> str | None:
    """The token of GRADSUM_TOKEN, if there is one. DemoError where the service will want one."""
    token = os.environ.get("GRADSUM_TOKEN", "").strip() or None
    if settings.api_tokens_file and token is None:
        raise DemoError("GRADSUM_API_TOKENS_FILE is set, so the demo needs a token that may write: set GRADSUM_TOKEN.")
    return token


def free_settings(settings: Settings, say: Callable[[str], None]) -> Settings:
    """The settings, with free ports instead of those that are taken; `say` is told which."""
    found = {"port": settings.port, "mlflow_port": settings.mlflow_port}
    for name, host in (("port", settings.host), ("mlflow_port", "127.0.0.1")):
        if _is_taken(host, found[name]):
            free = _free_port(host)
            say(f"Port {found[name]} is taken; the demo's {'API' if name == 'port' else 'MLflow'} uses {free}.")
            found[name] = free
    return load_settings(**found)


def _answers(client: Client, since: datetime) -> bool:
    """Whether the API is there and the dispatcher has a cluster; reports from before `since` are another service's."""
    try:
        cluster = client.ready()["components"].get("cluster", {})
    except ClientError:
        return False
    return cluster.get("status") == "ok" and datetime.fromisoformat(cluster["reported_at"]) > since


def _refuse_if_served(data_dir: Path) -> None:
    lock = data_dir / "serve.lock"
    if not lock.exists():
        return
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another one"
            message = f"A Gradsum already serves {data_dir} (process {holder}). Stop it, or set GRADSUM_DATA_DIR."
            raise DemoError(message) from None


def _is_taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
