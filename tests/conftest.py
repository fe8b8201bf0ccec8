"""Fixtures that every kind of test may use."""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from service.ray_head import free_ports
from tests.bad_input.rows import ROWS, all_were_asked_for, counted
from tests.leaks import leaves_nothing
from tests.postgres import PostgresServer, running_postgres

__all__ = ["leaves_nothing"]


def pytest_configure() -> None:
    """Judge no example by the clock, and let Ctrl-C reach what tests start, also where pytest is in the background."""
    hypothesis.settings.register_profile("gradsum", deadline=None)
    hypothesis.settings.load_profile("gradsum")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, those that share a fixture go to the same one, so that it is made once."""
    for item in items:
        if isinstance(item, pytest.Function) and (group := _shared(item)):
            item.add_marker(pytest.mark.xdist_group(group))


def _shared(item: pytest.Function) -> str | None:
    """What `item` shares with other tests: the service, or fixtures of its file."""
    scopes = {name: fixtures[-1].scope for name, fixtures in item._fixtureinfo.name2fixturedefs.items()}
    if scopes.get("service") == "session":
        return "service"
    return item.path.stem if "module" in scopes.values() else None


@pytest.fixture(scope="session")
def free_port() -> Iterator[Callable[[], int]]:
    """Call it for a TCP port of 127.0.0.1 that nobody has, another one each time."""
    with contextlib.closing(free_ports()) as ports:
        yield lambda: next(ports)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; it takes less than a second to start."""
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    with running_postgres(directory) as server:
        yield server
    shutil.rmtree(directory)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A new directory whose path is short enough for Unix sockets below it; removed after the test."""
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def short_path() -> Iterator[Path]:
    """A directory like `short_directory`, for the tests of a file."""
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many rows of bad input passed, and which did not: of all, unless somebody chose some by their ids.

    And how long each example trained.
    """
    passed = _noted(terminalreporter, "bad_input_row", "passed")
    failed = _noted(terminalreporter, "bad_input_row", "failed", "error")
    config = terminalreporter.config
    asked_for_all = all_were_asked_for(config.args, config.invocation_params.dir)
    wanted = set(ROWS) if asked_for_all and not config.option.collectonly else passed | failed
    if wanted:
        terminalreporter.write_line(counted(wanted, passed - failed))
    if examples := sorted(_noted(terminalreporter, "example", "passed")):
        terminalreporter.write_line(f"examples, from the start of the job to its end: {', '.join(examples)}")


def _noted(terminalreporter: pytest.TerminalReporter, wanted: str, *outcomes: str) -> set[str]:
    """What tests with these outcomes have recorded under a name."""
    reports = [report for outcome in outcomes for report in terminalreporter.stats.get(outcome, [])]
    return {value for report in reports for name, value in getattr(report, "user_properties", ()) if name == wanted}
