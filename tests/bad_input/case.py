"""What a case of bad input is: what is sent, and what must become of it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from tests.running_service import RunningService
from tests.web import Listener

FINAL = {"succeeded", "failed", "cancelled"}
FINAL_SECONDS = 120.0


class Outcome(NamedTuple):
    """How it ended: an HTTP status, the status of a dataset or a job, or `exit N` of a command; and what was said."""

    ended: int | str
    code: str
    text: str


class Target(NamedTuple):
    """The running service, directories for files of the test, and servers that it may and must not ask."""

    service: RunningService
    http: httpx2.Client
    files: Path
    import_root: Path
    web: Listener
    private: Listener

    def post(self, path: str, **request: Any) -> Outcome:
        """What the API answers."""
        return outcome_of(self.http.post(path, **request))

    def dataset(self, answer: httpx2.Response) -> Outcome:
        """What becomes of a dataset: refused at once, `failed` or `ready`."""
        return outcome_of(answer) if answer.status_code != 201 else self.final(f"/v1/datasets/{answer.json()['id']}")

    def job(self, body: dict[str, Any]) -> Outcome:
        """What becomes of a job: refused at once, `failed` or `succeeded`."""
        answer = self.http.post("/v1/jobs", json=body)
        return outcome_of(answer) if answer.status_code != 201 else self.final(f"/v1/jobs/{answer.json()['id']}")

    def command(self, *arguments: str) -> Outcome:
        """What a command says, on whichever stream; its exit code."""
        done = self.service.gradsum(*arguments)
        return Outcome(f"exit {done.returncode}", "", " ".join((done.stdout + done.stderr).split()))

    def final(self, path: str) -> Outcome:
        """How a dataset or a job ends."""
        deadline = time.monotonic() + FINAL_SECONDS
        while (found := self.http.get(path).json())["status"] not in FINAL | {"ready"}:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        error = found["error"] or {"code": "", "message": ""}
        return Outcome(found["status"], error["code"], " ".join([error["message"], *found.get("warnings", [])]))


def outcome_of(answer: httpx2.Response) -> Outcome:
    """A problem's code and sentence, or a body as it is."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return Outcome(answer.status_code, "", answer.text)
    problem = answer.json()
    return Outcome(answer.status_code, problem["type"].removeprefix("/problems/"), problem["detail"])


class Case(NamedTuple):
    """One input: the row of the table of faults it is for, how it may end, and what must be said."""

    row: str
    name: str
    act: Callable[[Target], Outcome]
    ends: tuple[int | str, ...]
    code: str = ""
    says: tuple[str, ...] = ()

    def faults(self, target: Target) -> list[str]:
        """What is wrong with how it ended; nothing where all is well."""
        try:
            found = self.act(target)
        except Exception as error:  # noqa: BLE001 - one case must not hide the others
            return [f"{self.row} {self.name}: {error!r}"]
        wrong = [words for words in self.says if words not in found.text]
        is_right = found.ended in self.ends and found.code == self.code and not wrong and "Traceback" not in found.text
        return [] if is_right else [f"{self.row} {self.name}: {found}, not {self.ends} {self.code} {self.says}"]
