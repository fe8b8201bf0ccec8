"""How far the preparation of a dataset is, seen through the API and on the command line, with the real child."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service import logs, resources
from service.advancing import Advancing
from service.child import Child
from service.preparation import Preparation
from service.settings import Settings
from service.store import datasets
from tests.integration.conftest import Api, running_api
from tests.running_service import PROJECT, ends_with_us, gradsum

SECONDS = 60.0
QUICK = 20
"""So many times faster than time does the dispatcher's clock go here, so that files that take a second are seen."""
CONTENT = b"number,text\n" + b"".join(b"%d,text %d\n" % (row, row) for row in range(1_000_000))


class Dispatcher(NamedTuple):
    """Its part for uploads."""

    api: Api
    child: Child
    preparation: Preparation
    advancing: Advancing

    def until(self, reached: Callable[[dict[str, Any]], object], dataset_id: str) -> dict[str, Any]:
        """What the API shows of the dataset, once it is so."""
        deadline = time.monotonic() + SECONDS
        while not reached(found := self.api.http.get(f"/v1/datasets/{dataset_id}").json()):
            assert time.monotonic() < deadline, found
            self.child.pump()
            with self.api.database.read() as connection:
                waiting = datasets.preparing(connection)
            for dataset in waiting:
                self.preparation.ingest(dataset)
            self.advancing.record()
            time.sleep(0.01)
        dataset: dict[str, Any] = found
        return dataset

    def signal(self, number: signal.Signals) -> None:
        assert self.child._process is not None
        os.kill(self.child._process.pid, number)


@pytest.fixture(scope="module")
def dispatcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    with running_api(Settings(data_dir=tmp_path_factory.mktemp("progress"))) as api:
        log = logs.logger("test")
        child = Child("service.prepare", log, environment=resources.ENVIRONMENT)
        advancing = Advancing(api.database, lambda: QUICK * time.monotonic())
        yield Dispatcher(api, child, Preparation(api.database, api.settings, child, log, advancing), advancing)
        child.stop()


def upload(api: Api) -> dict[str, Any]:
    """The dataset; its file is read more than once, as rows may be skipped."""
    answer = api.http.post(
        "/v1/datasets", files={"file": ("rows.csv", CONTENT)}, data={"options": '{"on_bad_rows": "skip"}'}
    )
    assert answer.status_code == 201, answer.text
    dataset: dict[str, Any] = answer.json()
    return dataset


def test_progress_is_shown_while_a_file_is_read_and_begins_anew_with_its_reader(
    dispatcher: Dispatcher, tmp_path: Path
) -> None:
    (file := tmp_path / "rows.csv").write_bytes(CONTENT)
    arguments = ["dataset", "add", str(file), "--option", "on_bad_rows=skip"]
    dataset = upload(dispatcher.api)
    assert (dataset["status"], dataset["progress"]) == ("preparing", None)
    found = dispatcher.until(lambda found: (found["progress"] or {}).get("phase") == "reading", dataset["id"])
    dispatcher.signal(signal.SIGSTOP)
    progress, url = found["progress"], str(dispatcher.api.http.base_url)
    assert (progress["unit"], progress["of"], 0 <= progress["done"] <= len(CONTENT)) == ("bytes", len(CONTENT), True)
    assert dispatcher.api.http.get("/v1/datasets").json()["data"] == [found]
    shown = gradsum("dataset", "show", "rows", url=url)
    assert (shown.returncode, "progress  reading: " in shown.stdout, "of 18.8 MB" in shown.stdout) == (0, True, True)
    code, said = interrupted_at_a_terminal(arguments, url, "reading rows")
    way_out = f"Left the dataset to be prepared. See how far it is: gradsum dataset show {dataset['id']}"
    assert (code, way_out in said) == (130, True), said
    with start([*arguments, "--json"], url, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        dispatcher.signal(signal.SIGKILL)
        again = dispatcher.until(lambda found: found["progress"] is None, dataset["id"])
        assert again["status"] == "preparing"
        ready = dispatcher.until(lambda found: found["status"] != "preparing", dataset["id"])
        assert (ready["status"], ready["rows"], ready["progress"]) == ("ready", 1_000_000, None)
        answer, noise = waiting.communicate(timeout=SECONDS)
    assert (json.loads(answer), noise) == (ready, "")


def start(arguments: list[str], url: str, **streams: Any) -> subprocess.Popen[Any]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    environment = {**os.environ, "GRADSUM_URL": url, "GRADSUM_TOKEN": "", "TERM": "xterm", "COLUMNS": "120"}
    return subprocess.Popen(command, cwd=PROJECT, env=environment, preexec_fn=ends_with_us, **streams)  # noqa: PLW1509 - it makes one system call


def interrupted_at_a_terminal(arguments: list[str], url: str, awaited: str) -> tuple[int, str]:
    """How the command ends, and what it wrote, where Ctrl-C comes once it shows what is `awaited`."""
    ours, theirs = pty.openpty()
    said, deadline = "", time.monotonic() + SECONDS
    with start(arguments, url, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while (piece := read(ours)) is not None:
            assert time.monotonic() < deadline, said
            said += piece
            if awaited in said:
                process.send_signal(signal.SIGINT)
                awaited = "\0"  # once
        code = process.wait(timeout=SECONDS)
    os.close(ours)
    return code, said


def read(terminal: int) -> str | None:
    """What is written there within a moment; None once nobody has it open any more."""
    if not select.select([terminal], [], [], 0.1)[0]:
        return ""
    try:
        return os.read(terminal, 2**16).decode(errors="replace")
    except OSError:  # Linux says so
        return None
