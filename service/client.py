"""Gradsum's HTTP API from Python: one method an endpoint, answers as the API gives them.

Errors are `ApiError` and `Unreachable` of `service.connection`.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote

from service.connection import Answer, ApiError, ClientError, Connection, Unreachable, timeout

FINAL = frozenset({"succeeded", "failed", "cancelled"})
UPLOAD_ANSWER_SECONDS = 600.0
"""The service copies, hashes and looks at the file before it answers."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
SUBMIT_ATTEMPTS = 3
TEMPORARILY_AWAY = frozenset({502, 503, 504})
LARGEST_REQUEST_BYTES = 256 * 1024
"""Of rows to predict; the API's limit on a JSON body is 1 MiB by default."""
SAMPLE_ROWS = 100
TOO_LARGE = 413


class Client:
    """A client of the service at `url`; close it, or use it in a `with` block."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._connection = Connection(url, token)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the connections back."""
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._connection.close()

    def add_dataset(
        self,
        file: Path,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        on_progress: Callable[[int], None] = lambda _sent: None,
    ) -> Answer:
        """Upload `file` without holding it in memory; `on_progress` is told the bytes read so far."""
        return self._upload(file, name, options, on_progress, {})

    def preview_dataset(
        self,
        file: Path,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        on_progress: Callable[[int], None] = lambda _sent: None,
    ) -> Answer:
        """What would be understood of `file`. Nothing is kept."""
        return self._upload(file, name, options, on_progress, {"dry_run": "true"})

    def _upload(
        self,
        file: Path,
        name: str | None,
        options: Mapping[str, Any] | None,
        on_progress: Callable[[int], None],
        parameters: dict[str, str],
    ) -> Answer:
        fields = _given({"name": name, "options": json.dumps(options) if options else None})
        with file.open("rb") as opened:
            watched = cast("BinaryIO", _Watched(opened, on_progress))
            parts = {"file": (file.name, watched, "application/octet-stream")}
            patience = timeout(UPLOAD_ANSWER_SECONDS)
            return self._connection.ask(
                "POST", "/v1/datasets", params=parameters, data=fields, files=parts, timeout=patience
            )

    def import_dataset(self, uri: str, name: str | None = None, options: Mapping[str, Any] | None = None) -> Answer:
        """Have the service fetch a dataset from `uri` itself."""
        fields: dict[str, Any] = {"uri": uri, "name": name, "options": dict(options) if options else None}
        return self._connection.send_json("/v1/datasets", _given(fields))

    def preview_import(self, uri: str, name: str | None = None, options: Mapping[str, Any] | None = None) -> Answer:
        """What would be understood of what the service finds at `uri`. Nothing is kept."""
        fields: dict[str, Any] = {"uri": uri, "name": name, "options": dict(options) if options else None}
        return self._connection.send_json(
            "/v1/datasets", _given(fields), params={"dry_run": "true"}, timeout=timeout(UPLOAD_ANSWER_SECONDS)
        )

    def datasets(self, **filters: str | int | None) -> Answer:
        """A page of datasets; filters: limit, after, status, name."""
        return self._connection.ask("GET", "/v1/datasets", params=_given(filters))

    def dataset(self, dataset_id: str) -> Answer:
        """The dataset with this id."""
        return self._connection.ask("GET", f"/v1/datasets/{_part(dataset_id)}")

    def find_dataset(self, reference: str) -> Answer:
        """The dataset that an id, a name (its newest version) or `name@3` means; ApiError where there is none."""
        if reference.startswith("ds_"):
            return self.dataset(reference)
        name, _, version = reference.partition("@")
        page: Answer = {"has_more": True, "last_id": None}
        while page["has_more"]:
            page = self.datasets(name=name, after=page["last_id"])
            for found in page["data"]:
                if not version or str(found["version"]) == version:
                    return self.dataset(found["id"])
        detail = f"There is no dataset '{reference}'. See what there is: gradsum dataset list"
        raise ApiError({"status": 404, "type": "/problems/not_found", "detail": detail})

    def delete_dataset(self, dataset_id: str) -> Answer:
        """Forget the dataset with this id."""
        return self._connection.ask("DELETE", f"/v1/datasets/{_part(dataset_id)}")

    def submit_job(self, body: object, key: str | None = None) -> Answer:
        """The accepted job. It is safe to lose the connection: all attempts carry one Idempotency-Key."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        for _ in range(SUBMIT_ATTEMPTS - 1):
            try:
                return self._connection.send_json("/v1/jobs", body, headers)
            except Unreachable as error:
                if not error.sent:
                    raise
                time.sleep(FIRST_PAUSE_SECONDS)
        return self._connection.send_json("/v1/jobs", body, headers)

    def plan_job(self, body: object) -> Answer:
        """What the job would be: its resolved `spec` and its `plan`. Nothing is accepted."""
        return self._connection.send_json("/v1/jobs", body, params={"dry_run": "true"})

    def jobs(self, **filters: str | int | None) -> Answer:
        """A page of jobs; filters: limit, after, status, name."""
        return self._connection.ask("GET", "/v1/jobs", params=_given(filters))

    def job(self, job_id: str) -> Answer:
        """The job with this id."""
        return self._connection.ask("GET", f"/v1/jobs/{_part(job_id)}")

    def cancel_job(self, job_id: str) -> Answer:
        """Ask for the job's end."""
        return self._connection.ask("POST", f"/v1/jobs/{_part(job_id)}/cancel")

    def resume_job(self, job_id: str, *, accept_other_numerics: bool) -> Answer:
        """Let a job that waits for its own numerics go on."""
        body = {"accept_other_numerics": accept_other_numerics}
        return self._connection.send_json(f"/v1/jobs/{_part(job_id)}/resume", body)

    def delete_job(self, job_id: str) -> Answer:
        """Forget a job that is final."""
        return self._connection.ask("DELETE", f"/v1/jobs/{_part(job_id)}")

    def metrics(self, job_id: str, after_epoch: int = 0, limit: int = 1000) -> Answer:
        """A page of the figures of each epoch."""
        parameters = {"after_epoch": after_epoch, "limit": limit}
        return self._connection.ask("GET", f"/v1/jobs/{_part(job_id)}/metrics", params=parameters)

    def weights(self, job_id: str) -> Iterator[bytes]:
        """The chunks of the job's weights as `.npz`."""
        return self._connection.stream(f"/v1/jobs/{_part(job_id)}/weights")

    def follow(
        self, job_id: str, on_lost: Callable[[str], None] = lambda _reason: None, seconds: float = FIRST_PAUSE_SECONDS
    ) -> Iterator[Answer]:
        """The job every `seconds` until it is final; where the service is away, `on_lost` is told, and it tries on."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                job = self.job(job_id)
            except ClientError as error:
                if isinstance(error, ApiError) and error.status not in TEMPORARILY_AWAY:
                    raise
                on_lost(str(error))
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            yield job
            if job["status"] in FINAL:
                return
            time.sleep(seconds)

    def models(self, **filters: str | int | None) -> Answer:
        """A page of models; filters: limit, after, name."""
        return self._connection.ask("GET", "/v1/models", params=_given(filters))

    def model(self, name: str) -> Answer:
        """The model with its versions."""
        return self._connection.ask("GET", f"/v1/models/{_part(name)}")

    def predict(self, name: str, rows: Sequence[object], version: int | None = None) -> Answer:
        """Predictions for any number of rows, in as many requests as they need, all of the same version."""
        return joined(list(self.predictions(name, rows, version)))

    def predictions(self, name: str, rows: Sequence[object], version: int | None = None) -> Iterator[Answer]:
        """The same, an answer for each request, in order; where the service finds one too large, by halves."""
        path, first, size = f"/v1/models/{_part(name)}/predict", 0, _rows_in_a_request(rows)
        while True:
            body = {"rows": rows[first : first + size]} | ({} if version is None else {"version": version})
            try:
                answer = self._connection.send_json(path, body)
            except ApiError as error:
                if error.status != TOO_LARGE or size == 1:
                    raise
                size = min(size, len(rows) - first) // 2 or 1
                continue
            yield answer
            version, first = int(answer["version"]), first + size
            if first >= len(rows):
                return

    def promote(self, name: str, version: int, reason: str | None = None) -> Answer:
        """Make the version the champion."""
        body = {"version": version} | ({} if reason is None else {"reason": reason})
        return self._connection.send_json(f"/v1/models/{_part(name)}/promote", body)

    def add_schedule(self, body: object) -> Answer:
        """The accepted schedule."""
        return self._connection.send_json("/v1/schedules", body, {"Idempotency-Key": uuid.uuid4().hex})

    def schedules(self, **filters: str | int | None) -> Answer:
        """A page of schedules; filters: limit, after, name."""
        return self._connection.ask("GET", "/v1/schedules", params=_given(filters))

    def schedule(self, reference: str) -> Answer:
        """The schedule with this id or name."""
        return self._connection.ask("GET", f"/v1/schedules/{_part(reference)}")

    def edit_schedule(self, reference: str, changes: object) -> Answer:
        """The schedule with the fields of `changes` in place of its own."""
        return self._connection.send_json(f"/v1/schedules/{_part(reference)}", changes, method="PATCH")

    def pause_schedule(self, reference: str) -> Answer:
        """Let nothing come due until it is resumed."""
        return self._connection.ask("POST", f"/v1/schedules/{_part(reference)}/pause")

    def resume_schedule(self, reference: str) -> Answer:
        """Go on with the next due time."""
        return self._connection.ask("POST", f"/v1/schedules/{_part(reference)}/resume")

    def trigger_schedule(self, reference: str) -> Answer:
        """Fire now: the firing, with its job or the reason why there is none."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._connection.ask("POST", f"/v1/schedules/{_part(reference)}/trigger", headers=headers)

    def delete_schedule(self, reference: str) -> Answer:
        """Forget the schedule and its ledger; its jobs stay."""
        return self._connection.ask("DELETE", f"/v1/schedules/{_part(reference)}")

    def firings(self, reference: str, **filters: str | int | None) -> Answer:
        """A page of a schedule's ledger; filters: limit, after, outcome."""
        return self._connection.ask("GET", f"/v1/schedules/{_part(reference)}/firings", params=_given(filters))

    def backfill(self, reference: str, first: str, last: str, *, dry_run: bool = False) -> Answer:
        """Make the jobs of due times that have passed and have none, from a day or moment to another."""
        path = f"/v1/schedules/{_part(reference)}/backfill"
        parameters = {"dry_run": "true"} if dry_run else {}
        return self._connection.send_json(path, {"from": first, "to": last}, params=parameters)

    def ready(self) -> Answer:
        """How the parts of the service are; ApiError (503) where it can't work."""
        return self._connection.ask("GET", "/readyz")


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, on_progress: Callable[[int], None]) -> None:
        self._file = file
        self._on_progress = on_progress

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._on_progress(self._file.tell())
        return chunk

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the file has
        return getattr(self._file, name)


def _rows_in_a_request(rows: Sequence[object]) -> int:
    """About as many as make LARGEST_REQUEST_BYTES, going by the first ones."""
    sample = rows[:SAMPLE_ROWS]
    return max(1, LARGEST_REQUEST_BYTES * len(sample) // len(json.dumps(sample)))


def joined(answers: Sequence[Answer]) -> Answer:
    """One answer for the rows of all of them."""
    lists: Answer = {}
    for name in ("predictions", "probabilities"):
        is_there = answers[0][name] is not None
        lists[name] = [entry for answer in answers for entry in answer[name]] if is_there else None
    return {**answers[0], **lists}


def _given(parameters: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {key: value for key, value in parameters.items() if value is not None}


def _part(name: str) -> str:
    """A name as one part of a path; an empty one is none that exists."""
    return quote(name, safe="").replace(".", "%2E") or "%20"
