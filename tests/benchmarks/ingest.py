"""What reading a large CSV file takes, and a matrix of it: `python -m tests.benchmarks.ingest` makes and removes files.

Time: 5 million rows of 20 columns become a dataset, beside pyarrow alone that reads them and keeps nothing; fsync is
left out of ours. Memory: files of 0.4 and 4 GB, read in a process of its own, made a training matrix by the process
that prepares data, and read by the running service from an upload; private bytes are those that `smaps_rollup` calls
private, at their largest.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv

from service.child import Child, Lost, Message
from service.client import Client
from service.logs import logger
from service.ray_head import free_ports
from tests.running_service import running_service
from workers.dataset import read_metadata
from workers.matrix import MatrixRequest

ROUNDS = 3
ROWS_AT_ONCE = 250_000
SAMPLE_SECONDS = 0.05
GIGABYTE = 10**9
MEBIBYTE = 2**20
READ = (
    "import os, sys, pathlib, pyarrow.csv, time; from service import ingest\n"
    "sys.stdin.readline(); path, place = map(pathlib.Path, sys.argv[1:]); os.fsync = lambda _file: None\n"
)
DRAIN = READ + "started = time.monotonic()\nfor _ in pyarrow.csv.open_csv(path): pass\n"
INGEST = READ + "started = time.monotonic()\ningest.ingest_file(path, {}, place, {})\n"
END = "print(time.monotonic() - started)\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingest", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the file whose time is taken")
    parser.add_argument("--gigabytes", type=float, nargs="*", default=[0.4, 4.0], help="of the files read for memory")
    parser.add_argument("--no-service", action="store_true", help="leave out the upload into the running service")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gradsum-ingest-") as found:
        directory = Path(found)
        compare_time(directory, asked.rows)
        for gigabytes in asked.gigabytes:
            path = directory / "memory.csv"
            write_csv(path, lambda size, most=gigabytes * GIGABYTE: size < most)
            show_memory(directory, path)
            show_build(directory)
            if not asked.no_service:
                show_service(directory, path)
            path.unlink()
    return 0


def write_csv(path: Path, wants_more: Callable[[int], bool]) -> None:
    """20 columns: 14 of measurements, 4 of counts, 2 of categories."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        while wants_more(file.tell()):
            columns = {f"x{i}": random.normal(size=ROWS_AT_ONCE).round(6) for i in range(14)}
            columns |= {f"n{i}": random.integers(0, 100, ROWS_AT_ONCE) for i in range(4)}
            columns |= {f"c{i}": random.choice(["red", "green", "blue"], ROWS_AT_ONCE) for i in range(2)}
            options = pyarrow.csv.WriteOptions(include_header=file.tell() == 0, quoting_style="none")
            pyarrow.csv.write_csv(pa.table(columns), file, options)
            say(f"writing {path.name}: {file.tell() / GIGABYTE:.1f} GB")


def compare_time(directory: Path, rows: int) -> None:
    path = directory / "time.csv"
    parts = iter(range(rows // ROWS_AT_ONCE))
    write_csv(path, lambda _size: next(parts, None) is not None)
    pairs = []
    for number in range(ROUNDS):
        drained, _ = in_process(DRAIN, directory, path)
        ingested, _ = in_process(INGEST, directory, path)
        pairs.append((drained, ingested))
        say(f"round {number + 1}: pyarrow {drained:.1f} s, dataset {ingested:.1f} s")
    drained, ingested = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    size = path.stat().st_size / GIGABYTE
    path.unlink()
    result(f"{rows:,} rows, {size:.2f} GB: pyarrow {drained:.1f} s, dataset {ingested:.1f} s, ratio {ratio:.2f}")


def show_memory(directory: Path, path: Path) -> None:
    seconds, peak = in_process(INGEST, directory, path)
    result(f"{path.stat().st_size / GIGABYTE:.1f} GB read in {seconds:.0f} s: at most {peak // MEBIBYTE} MiB private")


def in_process(program: str, directory: Path, path: Path) -> tuple[float, int]:
    """The seconds it took, in a process as the one that prepares data is, and its most private bytes."""
    shutil.rmtree(directory / "dataset", ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-c", program + END, str(path), str(directory / "dataset")],
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, peaks({"reading": process.pid}) as most:
        answer, _ = process.communicate("go\n")
    return float(answer), most["reading"]


def show_build(directory: Path) -> None:
    """The matrix of the dataset that was read last, made by the process that prepares data."""
    columns = [column["name"] for column in read_metadata(directory / "dataset")["columns"]]
    split = {"validation": 0.1, "test": 0.1, "by": "hash", "column": None, "salt": ""}
    request = MatrixRequest(
        (columns[-1],), "classification", tuple(columns[:-1]), split, standardize=True, dtype="float32"
    )
    message = {
        "do": "build", "dataset_directory": str(directory / "dataset"), "destination": str(directory / "matrix"),
        "request": request._asdict(), "start": None,
    }  # fmt: skip
    child, answers = Child("service.prepare", logger("benchmark")), list[Message | Lost]()
    while child.ready is None:
        child.pump()
        time.sleep(SAMPLE_SECONDS)
    started = time.monotonic()
    child.ask(message, 3600, answers.append)
    (process,) = psutil.Process().children()
    with peaks({"prepare": process.pid}) as most:
        while not answers:
            child.pump()
            time.sleep(SAMPLE_SECONDS)
    child.stop()
    seconds, (answer,) = time.monotonic() - started, answers
    if isinstance(answer, Lost) or "error" in answer:
        raise RuntimeError(answer)
    rows = read_metadata(directory / "dataset")["rows"]
    for made in ("dataset", "matrix"):
        shutil.rmtree(directory / made)
    result(f"matrix of {rows:,} rows in {seconds:.0f} s: at most {most['prepare'] // MEBIBYTE} MiB private")


def show_service(directory: Path, path: Path) -> None:
    """An upload into the running service: the API takes it in, the other process reads it."""
    with (
        closing(free_ports()) as ports,
        running_service(directory / "service", lambda: next(ports)) as service,
        Client(service.url) as client,
    ):
        found = {}
        for process in psutil.Process(service.process.pid).children(recursive=True):
            words = " ".join(process.cmdline())
            for name, part in (("api", " api"), ("prepare", "service.prepare")):
                if part in words and name not in found:
                    found[name] = process.pid
        with peaks(found) as most:
            started = time.monotonic()
            dataset = client.add_dataset(path)
            uploaded = time.monotonic() - started
            while dataset["status"] == "preparing":
                say(f"uploaded, preparing for {time.monotonic() - started - uploaded:.0f} s")
                time.sleep(1)
                dataset = client.dataset(dataset["id"])
        seconds = time.monotonic() - started
    shutil.rmtree(directory / "service", ignore_errors=True)
    peak = ", ".join(f"{name} at most {n_bytes // MEBIBYTE} MiB private" for name, n_bytes in most.items())
    size = path.stat().st_size / GIGABYTE
    result(f"{size:.1f} GB uploaded in {uploaded:.0f} s, {dataset['status']} after {seconds:.0f} s: {peak}")


@contextmanager
def peaks(pids: dict[str, int]) -> Iterator[dict[str, int]]:
    """The most private bytes of each process inside the block."""
    most = dict.fromkeys(pids, 0)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            for name, pid in pids.items():
                most[name] = max(most[name], private_bytes(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def private_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
    else:
        sys.stderr.write(f"{text}\n")


def result(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
