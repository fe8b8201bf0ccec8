"""A job's progress: a bar with loss, accuracy and the time left; plain lines where there is no terminal."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from service.client import FINAL, Client
from service.connection import Answer
from service.rendering import duration, figure, printable

LINE_SECONDS = 5.0
BAR_FOLLOW_SECONDS = 0.25
RECORDING_SECONDS = 15.0
"""How long an ended job's run in MLflow is waited for."""


class Display(Protocol):
    """Shows a job again and again while it goes on; a context manager."""

    def __enter__(self) -> Self:
        """Start to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to show."""
        ...

    def show(self, job: Answer) -> None:
        """Show the job as it is now."""
        ...

    def say(self, text: str) -> None:
        """A remark, such as a lost connection."""
        ...


class Bar:
    """One line that changes, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            expand=True,
        )
        self._task = self._progress.add_task("waiting for the service", total=None, figures="")
        self._said = ""

    def __enter__(self) -> Self:
        """Start the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def show(self, job: Answer) -> None:
        """Move the bar."""
        self._said = ""
        progress = job["progress"]
        waits = job["status_reason"] and job["status"] not in FINAL
        name = printable(job["name"] or job["id"])
        text = f"{name} {job['status']}" if waits or not progress else name
        figures = printable(job["status_reason"]["message"]) if waits else summary(job)
        last = "epoch" if job["status"] == "succeeded" else "epochs"  # it may have ended early
        total = progress[last] if progress else None
        self._progress.update(
            self._task, description=text, total=total, completed=progress["epoch"] if progress else 0, figures=figures
        )

    def say(self, text: str) -> None:
        """Put the remark above the bar, once."""
        if text != self._said:
            self._progress.console.print(text, markup=False)
        self._said = text


class Lines:
    """A line when something changes, and every few seconds while it trains."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: tuple[object, object] = (None, None)
        self._said = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def show(self, job: Answer) -> None:
        """Print a line if it is time to."""
        self._said = ""
        reason = (job["status_reason"] or {}).get("message") if job["status"] not in FINAL else None
        status = (job["status"], reason)
        if status == self._status and time.monotonic() < self._next:
            return
        self._status = status
        self._next = time.monotonic() + LINE_SECONDS
        parts = [printable(job["name"] or job["id"]), job["status"]]
        parts += [printable(reason)] if reason else []
        parts += [summary(job)] if job["progress"] else []
        self._print(", ".join(parts))

    def say(self, text: str) -> None:
        """Print the remark, once."""
        if text != self._said:
            self._print(text)
        self._said = text

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def display(console: Console) -> Display:
    """What suits the console."""
    return Bar(console) if console.is_terminal else Lines(console)


def summary(job: Answer) -> str:
    """`412/1000  loss 0.034  accuracy 0.961  930 epochs/s  0.6 s left`; with why where it ended early."""
    progress = job["progress"]
    if not progress:
        return ""
    result = job.get("result") or {"epochs": progress["epochs"]}
    why = f" ({result['stopped_by'].replace('_', ' ')})" if result["epochs"] < progress["epochs"] else ""
    parts = [f"{progress['epoch']}/{progress['epochs']}{why}", f"loss {figure(progress['loss'])}"]
    names = {"validation_accuracy": "accuracy", "validation_r2": "R²"}
    parts += [f"{words} {score(progress[name])}" for name, words in names.items() if progress.get(name) is not None]
    seconds = progress.get("seconds_per_epoch")
    if seconds:
        parts.append(f"{1 / seconds:.3g} epochs/s")
        if job["status"] not in FINAL:
            parts.append(f"{duration(seconds * (progress['epochs'] - progress['epoch']))} left")
    return "  ".join(parts)


def score(value: float) -> str:
    """An accuracy or R² with three places; shorter where it is far below what makes sense."""
    return f"{value:.3f}" if value > -100 else figure(value)  # noqa: PLR2004 - longer than the others


def watch(client: Client, job_id: str, console: Console, check: Callable[[], None] = lambda: None) -> Answer:
    """The job once it is final and, if that does not take long, MLflow has its run. `check` may raise meanwhile."""
    with display(console) as shown:
        job: Answer = {}

        def on_lost(reason: str) -> None:
            check()
            shown.say(f"{reason} Trying again …")

        for job in client.follow(job_id, on_lost, BAR_FOLLOW_SECONDS):
            check()
            shown.show(job)
    return job


def wait_for_record(client: Client, job: Answer, console: Console, seconds: float = RECORDING_SECONDS) -> Answer:
    """The job once MLflow has all of it; as it is where that takes more than `seconds`."""
    deadline = time.monotonic() + seconds
    with console.status("MLflow records the run and the model"):
        while job["mlflow"]["status"] != "current" and time.monotonic() < deadline:
            time.sleep(0.2)
            job = client.job(job["id"])
    return job
