"""`make demo` as a newcomer types it: it ends well and leaves nothing running, however it ends."""

import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running_service import PROJECT, ends_with_us

FIRST_SECONDS = 240.0
SECOND_SECONDS = 120.0
SIGHT_SECONDS = 120.0
END_SECONDS = 60.0

pytestmark = [pytest.mark.usefixtures("leaves_nothing"), pytest.mark.timeout(600)]


class Demo(NamedTuple):
    """A running `make demo` and what it prints."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        """Everything so far."""
        return self.output.read_text(errors="replace")

    def ends_in(self, seconds: float) -> int:
        """Its exit code, which has to come within `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not over after {seconds} s:\n{self.said()}") from None

    def wait_for(self, words: str) -> None:
        """Return once it has said `words`."""
        deadline = time.monotonic() + SIGHT_SECONDS
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)


class Place(NamedTuple):
    """Where demos of one test run: their data and their ports."""

    directory: Path
    environment: dict[str, str]

    @property
    def data_dir(self) -> Path:
        """GRADSUM_DATA_DIR."""
        return self.directory / "data"

    @contextmanager
    def demo(self) -> Iterator[Demo]:
        """`make demo`, until the end of the block."""
        output = self.directory / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["make", "demo"],  # noqa: S607 - as it is typed
                cwd=PROJECT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
            )
        try:
            yield Demo(process, output)
        finally:
            if process.poll() is None:  # the test has failed: let it stop its service, which is no part of its group
                os.killpg(process.pid, signal.SIGINT)
                process.wait(END_SECONDS)

    def run(self, seconds: float) -> str:
        """What a demo that has to succeed says."""
        with self.demo() as demo:
            assert demo.ends_in(seconds) == 0, demo.said()
            return demo.said()


@pytest.fixture
def place(short_directory: Path, free_port: Callable[[], int]) -> Place:
    """A place of its own for each test."""
    ports = {"GRADSUM_PORT": str(free_port()), "GRADSUM_MLFLOW_PORT": str(free_port())}
    return Place(short_directory, {"GRADSUM_DATA_DIR": str(short_directory / "data"), **ports})


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    assert match is not None, said
    return match.group(1)


def test_the_demo_trains_predicts_and_gives_the_same_bits_again(place: Place) -> None:
    first = place.run(FIRST_SECONDS)
    assert float(found(r"validation accuracy +([0-9.]+)", first)) >= 0.955
    assert place.environment["GRADSUM_MLFLOW_PORT"] in found(r"MLflow run +(http\S+/runs/\w+)", first)
    assert found(r"model +digits, version (\d+)", first) == "1"
    assert int(found(r"(\d) of 8 are right", first)) >= 6
    second = place.run(SECOND_SECONDS)
    assert found(r"weights_sha256 +([0-9a-f]{64})\b", second) == found(r"weights_sha256 +([0-9a-f]{64})\b", first)
    assert found(r"model +digits, version (\d+)", second) == "2"


@pytest.mark.parametrize("moment", ["start-up", "training"])
def test_ctrl_c_stops_everything(place: Place, moment: str) -> None:
    with place.demo() as demo:
        if moment == "training":
            demo.wait_for("digits, running")
        else:
            _wait_for_file(place.data_dir / "serve.json", demo)
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.ends_in(END_SECONDS) != 0
        assert "nothing is left running" in demo.said()
        assert "Traceback" not in demo.said()


def test_a_service_that_dies_ends_the_demo_with_its_last_words(place: Place) -> None:
    with place.demo() as demo:
        demo.wait_for("The service is up")
        os.kill(int((place.data_dir / "serve.lock").read_text()), signal.SIGKILL)
        assert demo.ends_in(END_SECONDS) != 0
        assert "The service ended" in demo.said()
        assert "serve.log" in demo.said()
        assert "Traceback" not in demo.said()


def test_a_database_that_is_none_ends_the_demo_with_a_reason(place: Place) -> None:
    place.data_dir.mkdir()
    (place.data_dir / "gradsum.sqlite").write_bytes(b"this is no database" * 1000)
    with place.demo() as demo:
        assert demo.ends_in(END_SECONDS) != 0
        assert "The service ended" in demo.said()


def test_a_data_directory_that_is_served_already_is_left_alone(place: Place) -> None:
    place.data_dir.mkdir()
    with (place.data_dir / "serve.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with place.demo() as demo:
            assert demo.ends_in(END_SECONDS) != 0
            assert "already serves" in demo.said()
            assert "4711" in demo.said()


def _wait_for_file(path: Path, demo: Demo) -> None:
    deadline = time.monotonic() + SIGHT_SECONDS
    while not path.exists():
        assert demo.process.poll() is None, demo.said()
        assert time.monotonic() < deadline, demo.said()
        time.sleep(0.05)
