"""A dataset on its way until it is ready: a bar with the time left on a terminal, nothing where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from service.client import Client
from service.connection import Answer
from service.dataset_rendering import amount
from service.rendering import printable

POLL_SECONDS = 0.2


class Bar:
    """One line that changes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, figures="")
        self._seen: Answer = {"phase": None, "done": 0}

    def show(self, dataset: Answer) -> None:
        """Move the bar; it begins anew where the work does, so that the time left is that of what is under way."""
        found = dataset["progress"] or {"phase": None, "done": 0, "of": None}
        if found["phase"] != self._seen["phase"] or found["done"] < self._seen["done"]:
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task("", total=found["of"], figures="")
        self._seen = found
        name = printable(dataset["name"])
        text = f"{printable(found['phase'])} {name}" if found["phase"] else f"{name} waits to be prepared"
        figures = amount(found) if found["phase"] else ""
        self._progress.update(
            self._task, description=text, total=found["of"], completed=found["done"], figures=figures, refresh=True
        )


@contextmanager
def bar(console: Console, *, shown: bool) -> Iterator[Bar]:
    """On a terminal, if it is to be `shown`; gone at the end of the block."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        yield Bar(progress)


def wait(client: Client, dataset: Answer, console: Console, *, shown: bool) -> Answer:
    """The dataset once it is ready or has failed."""
    with bar(console, shown=shown) as line:
        while dataset["status"] == "preparing":
            line.show(dataset)
            time.sleep(POLL_SECONDS)
            dataset = client.dataset(dataset["id"])
    return dataset
