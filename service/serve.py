"""`gradsum serve`: the whole service on one machine, in the foreground. Says what to run; the supervisor runs it."""

import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TextIO

import psutil

from service import logs
from service.mlflow_server import CLIENT_ENVIRONMENT, HOST, mlflow_server
from service.numerics import ONE_THREAD
from service.processes import REPORTING, Guard, Program
from service.ray_head import RayHead, ray_head
from service.settings import Settings, SettingsError
from service.storage_check import refuse_wrong_storage_from_outside
from service.supervisor import Signals, supervise
from service.tokens import read_tokens
from workers.files import write_atomically

LOCK_SECONDS = 5.0
"""How long a lock is waited for whose holder is dead: its sentinel is still cleaning up."""
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks our own loopback address, whatever proxy the environment names."""


def serve(settings: Settings) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code is 0 after a clean stop, 1 with a sentence if it can't start."""
    signals = Signals()
    try:
        with signals.caught(), _only_one(settings) as lock:
            _check_ports(settings)
            _check_numerics(settings)
            _check_tokens(settings)
            refuse_wrong_storage_from_outside(settings)
            _migrate(settings)
            _run(settings, signals, lock)
    except SettingsError as error:
        sys.stderr.write(f"gradsum serve: {error}\n")
        return 1
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write("Gradsum has stopped.\n")
    return 0


def _check_numerics(settings: Settings) -> None:
    if settings.numerics != "portable":
        return
    if settings.ray_address:
        raise SettingsError(
            "GRADSUM_NUMERICS=portable is for the cluster that Gradsum starts; GRADSUM_RAY_ADDRESS names another one: "
            "set OPENBLAS_CORETYPE and NPY_ENABLE_CPU_FEATURES on its nodes (service/numerics.py)."
        )
    if platform.machine() != "x86_64":
        raise SettingsError(f"GRADSUM_NUMERICS=portable is for x86-64 processors; this one is {platform.machine()}.")


def _check_tokens(settings: Settings) -> None:
    if settings.api_tokens_file:
        read_tokens(Path(settings.api_tokens_file))


def _run(settings: Settings, signals: Signals, lock: TextIO) -> None:
    """Start everything, say when it is ready, keep it running; at the end nothing of it is left."""
    guard = Guard(keep_open=[lock.fileno()])
    try:
        head = None if settings.ray_address else ray_head(settings.data_dir, settings.worker_slots, settings.numerics)
        announcement = Announcement(settings)
        guard.tell("remove", announcement.path)
        if head is not None:
            guard.tell("remove", head.directory)
        supervise(programs(settings, head), signals, guard, logs.logger("serve"), on_tick=announcement.step)
    finally:
        guard.close()


def programs(settings: Settings, head: RayHead | None) -> list[Program]:
    """What runs, in the order of starting; `head` is None where GRADSUM_RAY_ADDRESS names a cluster."""
    local_mlflow = not settings.mlflow_tracking_uri
    common = {
        **settings.environment(),
        **ONE_THREAD,
        "GRADSUM_RAY_ADDRESS": head.address if head else settings.ray_address,
        "GRADSUM_MLFLOW_TRACKING_URI": mlflow_uri(settings),
    }
    name = {"GRADSUM_DISPATCHER_NAME": f"serve {socket.gethostname()} {settings.data_dir}"}
    ray_environment = {**name, **(head.environment if head else {})}
    started: list[Program] = [_own("api", common)]
    if head is not None:
        started.append(_with_logs(head.program, settings.storage_environment()))
    started += [_own("dispatcher", common | ray_environment), _own("tracker", common | CLIENT_ENVIRONMENT, REPORTING)]
    if local_mlflow:
        server = mlflow_server(settings.data_dir, settings.mlflow_port, settings.mlflow_public_url)
        started.append(_with_logs(server, ONE_THREAD))
    return started


def mlflow_uri(settings: Settings) -> str:
    """Where the tracker reaches MLflow."""
    return settings.mlflow_tracking_uri or f"http://{HOST}:{settings.mlflow_port}"


def _own(name: str, environment: Mapping[str, str], niceness: int = 0) -> Program:
    return Program(name, [sys.executable, "-m", "service.cli", name], environment, niceness=niceness)


def _with_logs(program: Program, environment: Mapping[str, str]) -> Program:
    """`program` with `environment` added, and an empty file for its output."""
    if program.output is not None:
        program.output.parent.mkdir(exist_ok=True)
        program.output.write_bytes(b"")
    return dataclasses.replace(program, environment={**program.environment, **environment})


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[TextIO]:
    """The lock of the data directory, held inside the block. Raises SettingsError if another `serve` has it."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (settings.data_dir / "serve.lock").open("a+")
    except OSError as error:
        raise SettingsError(
            f"The data directory {settings.data_dir} can't be used ({error.strerror}): set GRADSUM_DATA_DIR to another."
        ) from None
    with file:
        _lock(file, settings.data_dir)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def _lock(file: TextIO, data_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        file.seek(0)
        holder = file.read().strip()
        if (holder.isdigit() and psutil.pid_exists(int(holder))) or time.monotonic() > deadline:
            raise SettingsError(
                f"Process {holder or '?'} already serves {data_dir}: stop it, or set GRADSUM_DATA_DIR to another."
            )
        time.sleep(0.05)


def _check_ports(settings: Settings) -> None:
    _check_port(settings.host, settings.port, "GRADSUM_PORT")
    if not settings.mlflow_tracking_uri:
        _check_port(HOST, settings.mlflow_port, "GRADSUM_MLFLOW_PORT")


def _check_port(host: str, port: int, variable: str) -> None:
    """Raises SettingsError where something listens already."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"Port {port} of {host} can't be used ({error.strerror}): free it, or set {variable} to another."
        ) from None


def _migrate(settings: Settings) -> None:
    """Bring the database to this version's schema. Raises SettingsError where the database does not let us."""
    from service.store.database import migrate  # noqa: PLC0415 - heavy, and not needed to refuse a wrong setting

    try:
        migrate(settings.database_url)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"The database can't be used ({reason}): check GRADSUM_DATABASE_URL.") from error


class Announcement:
    """Says once that the service is ready: a line for people, `serve.json` in the data directory for programs."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / "serve.json"
        self._api_url = settings.api_url
        self._mlflow_url = settings.mlflow_public_url
        self._data_dir = settings.data_dir
        self._made = False

    def step(self) -> None:
        """Ask the API whether it is alive, until it is."""
        if self._made or not self._alive():
            return
        self._made = True
        facts = {"pid": os.getpid(), "api_url": self._api_url, "mlflow_url": self._mlflow_url}
        write_atomically(self.path, json.dumps(facts).encode())
        sys.stderr.write(
            f"Gradsum is ready: API {self._api_url} (docs at /docs), MLflow {self._mlflow_url}, "
            f"data in {self._data_dir}. Ctrl-C stops it.\n"
        )

    def _alive(self) -> bool:
        try:
            with OPENER.open(f"{self._api_url}/healthz", timeout=1) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False
