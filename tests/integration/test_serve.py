"""The supervisor on programs that misbehave, and the whole service started and ended in every way."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from tests.leaks import alive
from tests.running_service import ends_with_us

pytestmark = pytest.mark.usefixtures("leaves_nothing")

SUPERVISE = """
import json, sys
from service import logs
from service.processes import Guard, Program
from service.supervisor import Signals, supervise
signals, guard = Signals(), Guard()
with signals.caught():
    programs = [Program(**each) for each in json.loads(sys.argv[1])]
    supervise(programs, signals, guard, logs.logger("serve"), stop_seconds=float(sys.argv[2]))
guard.close()
"""
SERVE = "import sys; from service.serve import serve; from service.settings import *; sys.exit(serve(load_settings()))"
WITHOUT_MLFLOW = {"GRADSUM_MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
"""Names a server, so that `serve` starts none: it is the slowest of its programs."""

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 10.0) -> T:
    """What `condition` answers, as soon as that is true of it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return answer


@contextlib.contextmanager
def started(*command: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, killed at the end of the block if it is still there; its stderr goes to `log`."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", *command],
            env={**os.environ, **environment},
            stderr=stderr,
            cwd=log.parent,
            preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def supervised(
    directory: Path, *programs: dict[str, Any], stop_seconds: float = 5.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor of shell scripts: `{"name": …, "script": …}`; they find `directory` as `$D`."""
    described = [
        {
            **{key: value for key, value in each.items() if key != "script"},
            "command": ["sh", "-c", each["script"]],
            "environment": {"D": str(directory)},
        }
        for each in programs
    ]
    log = directory / "log"
    with started(SUPERVISE, json.dumps(described), str(stop_seconds), log=log) as process:
        yield process


def pids(path: Path, at_least: int = 1) -> list[int]:
    """The process ids that the scripts wrote into `path`, one a line."""
    until(lambda: path.exists() and len(path.read_text().split()) >= at_least)
    return [int(word) for word in path.read_text().split()]


def test_what_dies_is_restarted_with_growing_pauses_and_said(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "frail", "script": "echo $$ >> $D/pids; exit 3"}) as supervisor:
        pids(tmp_path / "pids", at_least=4)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(10) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    said = [line.partition("WARNING ")[2] for line in lines if "process_ended" in line]
    pauses = ["0.2", "0.4", "0.8"]
    assert said[:3] == [f'serve process_ended name=frail reason="exit code 3" restart_in={pause}' for pause in pauses]


def test_a_program_that_was_killed_takes_the_rest_of_its_session_with_it(tmp_path: Path) -> None:
    script = "sleep 1000 & echo $! >> $D/children; echo $$ >> $D/pids; wait"
    with supervised(tmp_path, {"name": "parent", "script": script}):
        first, child = pids(tmp_path / "pids")[0], pids(tmp_path / "children")[0]
        os.kill(first, signal.SIGKILL)
        second = pids(tmp_path / "pids", at_least=2)[1]
        assert alive(second)
        assert not alive(child)
    assert 'reason="killed by SIGKILL"' in (tmp_path / "log").read_text()


def test_programs_of_a_higher_rank_are_stopped_when_the_lower_ones_are_gone(tmp_path: Path) -> None:
    script = 'trap "sleep {}; echo {} >> $D/order; exit" TERM; echo $$ >> $D/pids; while :; do sleep 0.05; done'
    ranks = [
        {"name": "store", "script": script.format(0, "store"), "stop_rank": 1},
        {"name": "slow", "script": script.format(0.5, "slow"), "stop_rank": 0},
        {"name": "quick", "script": script.format(0, "quick"), "stop_rank": 0},
    ]
    with supervised(tmp_path, *ranks) as supervisor:
        pids(tmp_path / "pids", at_least=3)
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(10) == 0
    assert (tmp_path / "order").read_text().split() == ["quick", "slow", "store"]


DEAF = 'trap "" TERM; sleep 1000 & echo $! >> $D/pids; while :; do sleep 0.1; done'


def test_a_program_deaf_to_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "deaf", "script": DEAF}, stop_seconds=0.5) as supervisor:
        (child,) = pids(tmp_path / "pids")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(10) == 0
        assert not alive(child)
    assert "process_killed name=deaf reason=slow" in (tmp_path / "log").read_text()


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "deaf", "script": DEAF}, stop_seconds=60) as supervisor:
        pids(tmp_path / "pids")
        supervisor.send_signal(signal.SIGINT)
        until(lambda: "stopping" in (tmp_path / "log").read_text())
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_a_grandchild_in_a_session_of_its_own_is_ended_too(tmp_path: Path) -> None:
    script = "setsid sh -c 'echo $$ >> $D/pids; exec sleep 1000' & sleep 0.3; exit 0"
    with supervised(tmp_path, {"name": "forker", "script": script}) as supervisor:
        escaped = pids(tmp_path / "pids", at_least=2)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(10) == 0
        assert not any(alive(pid) for pid in escaped)


def test_kill_minus_nine_of_the_supervisor_leaves_no_child_and_no_grandchild(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "deaf", "script": DEAF}, {"name": "other", "script": DEAF}) as supervisor:
        grandchildren = pids(tmp_path / "pids", at_least=2)
        everyone = [process.pid for process in psutil.Process(supervisor.pid).children(recursive=True)]
        assert set(grandchildren) < set(everyone)
        supervisor.kill()
        supervisor.wait()
        until(lambda: not any(alive(pid) for pid in everyone), 5)


class Service:
    """The whole service in a directory of its own, on free ports."""

    def __init__(self, directory: Path, port: int, mlflow_port: int) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.facts = directory / "data" / "serve.json"
        self.environment = {
            "GRADSUM_DATA_DIR": str(directory / "data"),
            "GRADSUM_PORT": str(port),
            "GRADSUM_MLFLOW_PORT": str(mlflow_port),
            "TMPDIR": str(directory),
        }

    def started(self, **settings: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """`gradsum serve`; see `started`."""
        return started(SERVE, log=self.log, **self.environment, **settings)

    def ready(self) -> dict[str, Any]:
        """What `serve.json` says once the service is ready."""
        until(lambda: "Gradsum is ready" in self.log.read_text(), 120)
        facts: dict[str, Any] = json.loads(self.facts.read_text())
        return facts

    def ray_has_started(self) -> bool:
        """Whether the local cluster is up."""
        log = self.directory / "data" / "logs" / "ray.log"
        return log.exists() and "Ray runtime started" in log.read_text()


@pytest.fixture
def service(short_directory: Path, free_port: Callable[[], int]) -> Service:
    return Service(short_directory, free_port(), free_port())


def gets(url: str) -> bool:
    """Whether `url` answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False


def test_serve_says_when_it_is_ready_and_ctrl_c_ends_it_with_nothing_left(service: Service) -> None:
    with service.started() as process:
        facts = service.ready()
        assert facts["pid"] == process.pid
        assert gets(facts["api_url"] + "/healthz")
        until(lambda: gets(facts["mlflow_url"] + "/health"), 120)
        until(service.ray_has_started, 120)
        with started(SERVE, log=service.directory / "second", **service.environment) as second:
            assert second.wait(10) == 1
        refusal = (service.directory / "second").read_text()
        assert refusal.startswith(f"gradsum serve: Process {process.pid} already serves ")
        assert refusal.count("\n") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    assert service.log.read_text().endswith("Gradsum has stopped.\n")
    assert not service.facts.exists()
    assert not list(service.directory.glob("gradsum-*"))


def test_kill_minus_nine_of_serve_leaves_nothing_and_it_starts_again(service: Service) -> None:
    with service.started() as process:
        service.ready()
        until(service.ray_has_started, 120)
        below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(below) > 8
        process.kill()
        process.wait()
        until(lambda: not any(alive(pid) for pid in below), 5)
    assert not service.facts.exists()
    assert not list(service.directory.glob("gradsum-*"))
    with service.started() as process:
        service.ready()
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def test_a_dead_ray_head_comes_back_at_the_same_address(service: Service) -> None:
    def head() -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):  # one that ends meanwhile
            below = psutil.Process(process.pid).children()
            return next((child for child in below if "ray.scripts.scripts" in child.cmdline()), None)
        return None

    def port(of: psutil.Process) -> str:
        words = of.cmdline()
        return words[words.index("--port") + 1]

    with service.started(**WITHOUT_MLFLOW) as process:
        until(service.ray_has_started, 120)
        first = until(head)
        address = port(first)
        first.kill()
        second = until(lambda: (now := head()) and now.pid != first.pid and now)
        assert port(second) == address
        until(
            lambda: (service.directory / "data" / "logs" / "ray.log").read_text().count("Ray runtime started") == 2, 60
        )
    assert 'name=ray reason="killed by SIGKILL"' in service.log.read_text()


@pytest.mark.parametrize("variable", ["GRADSUM_PORT", "GRADSUM_MLFLOW_PORT"])
def test_a_port_that_is_taken_is_named_before_anything_starts(service: Service, variable: str) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what servers do, and `free_port` lets
        taken.bind(("127.0.0.1", int(service.environment[variable])))
        taken.listen()
        with service.started() as process:
            assert process.wait(10) == 1
    said = service.log.read_text()
    assert said == (
        f"gradsum serve: Port {service.environment[variable]} of 127.0.0.1 can't be used (Address already in use): "
        f"free it, or set {variable} to another.\n"
    )
    assert not (service.directory / "data" / "gradsum.sqlite").exists()


def test_a_data_directory_that_cannot_be_used_is_a_sentence(service: Service) -> None:
    (service.directory / "data").write_text("a file")
    with service.started() as process:
        assert process.wait(10) == 1
    assert "set GRADSUM_DATA_DIR to another" in service.log.read_text()


def test_the_lock_waits_for_the_sentinel_of_a_dead_supervisor(service: Service) -> None:
    data = service.directory / "data"
    data.mkdir()
    with (data / "serve.lock").open("w") as held:
        held.write("999999999")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with service.started(**WITHOUT_MLFLOW) as process:
            time.sleep(1.5)
            assert process.poll() is None
            fcntl.flock(held, fcntl.LOCK_UN)
            service.ready()
