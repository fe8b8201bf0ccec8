"""`make bench`: time per epoch of Gradsum as it runs, beside other systems at their best and beside the floor."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from service.connection import ClientError
from service.ray_head import free_ports
from tests.benchmarks import report
from tests.benchmarks.cases import CASES, DIRECTORY, PROJECT
from tests.benchmarks.files import prepare
from tests.benchmarks.gradsum import Gradsum
from tests.benchmarks.measure import rounds
from tests.benchmarks.progress import Progress
from tests.benchmarks.subject import Subject, SubjectError, subject
from tests.running_service import running_service

RESULTS = DIRECTORY / "results.json"
PEERS_PYTHON = DIRECTORY / "venv" / "bin" / "python"
SYSTEMS = {
    "floor": "tests.benchmarks.floor",
    "pytorch": "tests.benchmarks.pytorch",
    "scikit-learn": "tests.benchmarks.scikit_learn",
}
WIDTH = 150
"""Of what is printed where there is no terminal."""


def main() -> int:
    """The exit code: 0 with results, 1 with a sentence, 130 after Ctrl-C."""
    options = parsed(sys.argv[1:])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        rows = run(options.cases, options.rounds, console)
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    except (SubjectError, ClientError, AssertionError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"Error: {error}", markup=False, soft_wrap=True)
        return 1
    console.print(report.table(rows))
    for line in report.closing_lines(rows):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"All of it: {RESULTS.relative_to(PROJECT)}", markup=False)
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(prog='make bench BENCH="…"', description=__doc__)
    parser.add_argument("--cases", type=names, default=list(CASES), help="for example A,C; all if not given")
    parser.add_argument("--rounds", type=count, default=5, help="how often each system has its turn (5)")
    return parser.parse_args(arguments)


def names(text: str) -> list[str]:
    """The names of cases in `A,C`."""
    found = [name.strip().upper() for name in text.split(",")]
    if unknown := [name for name in found if name not in CASES]:
        raise argparse.ArgumentTypeError(f"there is no case {unknown[0]!r}; there are {', '.join(CASES)}")
    return list(dict.fromkeys(found))


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def run(cases: Sequence[str], n_rounds: int, console: Console) -> list[report.Row]:
    """The rows of all cases; results.json has those that are done, also if it does not come to the end."""
    RESULTS.unlink(missing_ok=True)
    rows: list[report.Row] = []
    machine = report.machine()
    with Progress(console, cases, n_rounds) as progress, data_directory() as directory:
        for name in dict.fromkeys(CASES[case].rows_name for case in cases):
            progress.say(f"writing the rows '{name}' to a file")
            prepare(name)
        progress.say("starting the service: API, Ray, dispatcher, tracker, MLflow")
        ports = free_ports()
        with running_service(directory, lambda: next(ports)) as service, stopping():
            gradsum = Gradsum(service)
            for name in dict.fromkeys(CASES[case].rows_name for case in cases):
                progress.say(f"sending the rows '{name}' to the service")
                gradsum.upload(name, prepare(name))
            progress.begin()
            for name in cases:
                progress.enter_case(name)
                with subjects(name) as others:
                    timings = rounds(CASES[name], gradsum, others, n_rounds, progress)
                rows += report.rows_of(name, timings, machine)
                report.write(rows, RESULTS)
            progress.say("stopping the service")
    return rows


@contextlib.contextmanager
def subjects(case: str) -> Iterator[list[Subject]]:
    """A process for each of the other systems, until the end of the block."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(subject(name, PEERS_PYTHON, module, CASES[case])) for name, module in SYSTEMS.items()
        ]


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """A directory for the service's data, with a short path, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="gs-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """From the end of the block on signals are ignored, so that what has to be stopped is stopped."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def interrupt(_number: int, _frame: object) -> None:
    """The first signal ends the run; what comes after it finds everything being stopped already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
