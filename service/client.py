"""Gradsum's HTTP API from Python: one method an endpoint, answers as the API gives them, errors as exceptions.

ClientError
├── ApiError      the API answered with a problem: status, code, detail and the fields that are wrong
└── Unreachable   no Gradsum answered at the address, or the connection was lost
"""

import ipaddress
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote, urlsplit

import httpx2

from workers.errors import FieldError

FINAL = frozenset({"succeeded", "failed", "cancelled"})
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
UPLOAD_ANSWER_SECONDS = 600.0
"""The service copies, hashes and looks at the file before it answers."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
SUBMIT_ATTEMPTS = 3
TEMPORARILY_AWAY = frozenset({502, 503, 504})
LARGEST_BATCH_BYTES = 256 * 1024
"""Of rows to predict in one request; the API's limit on a JSON body is 1 MiB by default."""

Answer = dict[str, Any]


class ClientError(Exception):
    """What went wrong between a client and the service."""


class ApiError(ClientError):
    """The service refused the request, or can't serve it now."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("type", "")).rpartition("/")[2]
        self.detail = str(problem.get("detail") or problem.get("title") or f"status {self.status}")
        errors = problem.get("errors") or []
        self.errors = tuple(FieldError(str(error["field"]), str(error["message"])) for error in errors)
        super().__init__(self.detail)


class Unreachable(ClientError):  # noqa: N818 - the word for it
    """No Gradsum answers at `url`."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"No Gradsum answers at {url} ({reason}).")


class Client:
    """A connection to the service at `url`; close it, or use it in a `with` block."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        try:
            # A proxy of the environment can't reach this machine's own services.
            self._http = httpx2.Client(
                base_url=self.url, headers=headers, timeout=timeout, trust_env=not _is_loopback(self.url)
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Unreachable(url, f"this is no address: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # Datasets

    def add_dataset(
        self,
        file: Path,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        on_progress: Callable[[int], None] = lambda _sent: None,
    ) -> Answer:
        """Upload `file` without holding it in memory; `on_progress` is told the bytes read so far."""
        fields = {"name": name, "options": json.dumps(options) if options else None}
        data = {key: value for key, value in fields.items() if value is not None}
        timeout = httpx2.Timeout(UPLOAD_ANSWER_SECONDS, connect=CONNECT_SECONDS)
        with file.open("rb") as opened:
            upload = cast("BinaryIO", _Watched(opened, on_progress))
            parts = {"file": (file.name, upload, "application/octet-stream")}
            return self._ask("POST", "/v1/datasets", data=data, files=parts, timeout=timeout)

    def datasets(self, **filters: str | int | None) -> Answer:
        """A page of datasets; filters: limit, after, status, name."""
        return self._ask("GET", "/v1/datasets", params=_given(filters))

    def dataset(self, dataset: str) -> Answer:
        """The dataset with this id."""
        return self._ask("GET", f"/v1/datasets/{_part(dataset)}")

    def find_dataset(self, reference: str) -> Answer:
        """The dataset that an id, a name (its newest version) or `name@3` means; ApiError where there is none."""
        if reference.startswith("ds_"):
            return self.dataset(reference)
        name, _, version = reference.partition("@")
        for found in self._pages("/v1/datasets", name=name):
            if not version or str(found["version"]) == version:
                return found
        detail = f"There is no dataset '{reference}'. See them: gradsum dataset list"
        raise ApiError({"status": 404, "type": "/problems/not_found", "detail": detail})

    def delete_dataset(self, dataset: str) -> Answer:
        """Forget the dataset with this id."""
        return self._ask("DELETE", f"/v1/datasets/{_part(dataset)}")

    # Jobs

    def submit_job(self, body: object, key: str | None = None) -> Answer:
        """The accepted job. It is safe to lose the connection: all attempts carry one Idempotency-Key."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        for attempt in range(1, SUBMIT_ATTEMPTS + 1):
            try:
                return self._ask("POST", "/v1/jobs", headers=headers, **_json(body))
            except Unreachable as error:
                if attempt == SUBMIT_ATTEMPTS or isinstance(error.__cause__, httpx2.ConnectError):
                    raise
                time.sleep(FIRST_PAUSE_SECONDS)
        raise AssertionError("the last attempt answers or raises")

    def plan_job(self, body: object) -> Answer:
        """What the job would be: its resolved `spec` and its `plan`. Nothing is accepted."""
        return self._ask("POST", "/v1/jobs", params={"dry_run": "true"}, **_json(body))

    def jobs(self, **filters: str | int | None) -> Answer:
        """A page of jobs; filters: limit, after, status, name."""
        return self._ask("GET", "/v1/jobs", params=_given(filters))

    def job(self, job_id: str) -> Answer:
        """The job with this id."""
        return self._ask("GET", f"/v1/jobs/{_part(job_id)}")

    def cancel_job(self, job_id: str) -> Answer:
        """Ask for the job's end."""
        return self._ask("POST", f"/v1/jobs/{_part(job_id)}/cancel")

    def delete_job(self, job_id: str) -> Answer:
        """Forget a job that is final."""
        return self._ask("DELETE", f"/v1/jobs/{_part(job_id)}")

    def metrics(self, job_id: str, after_epoch: int = 0, limit: int = 1000) -> Answer:
        """A page of the figures of each epoch."""
        return self._ask(
            "GET", f"/v1/jobs/{_part(job_id)}/metrics", params={"after_epoch": after_epoch, "limit": limit}
        )

    def weights(self, job_id: str) -> Iterator[bytes]:
        """The chunks of the job's weights as `.npz`."""
        path = f"/v1/jobs/{_part(job_id)}/weights"
        try:
            with self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    self._check(response)
                yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise Unreachable(self.url, _reason(error)) from error

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

    # Models

    def models(self, **filters: str | int | None) -> Answer:
        """A page of models; filters: limit, after, name."""
        return self._ask("GET", "/v1/models", params=_given(filters))

    def model(self, name: str) -> Answer:
        """The model with its versions."""
        return self._ask("GET", f"/v1/models/{_part(name)}")

    def predict(self, name: str, rows: Sequence[object], version: int | None = None) -> Answer:
        """Predictions for any number of rows, in as many requests as they need; all by the same version."""
        answer: Answer | None = None
        for batch in _batches(rows):
            body = {"rows": batch} | ({} if version is None else {"version": version})
            more = self._ask("POST", f"/v1/models/{_part(name)}/predict", **_json(body))
            version = int(more["version"])
            answer = more if answer is None else _joined(answer, more)
        if answer is None:
            raise AssertionError("there is always a batch")
        return answer

    def promote(self, name: str, version: int, reason: str | None = None) -> Answer:
        """Make the version the champion."""
        body = {"version": version} | ({} if reason is None else {"reason": reason})
        return self._ask("POST", f"/v1/models/{_part(name)}/promote", **_json(body))

    # Operations

    def ready(self) -> Answer:
        """How the parts of the service are; ApiError (503) where it can't work."""
        return self._ask("GET", "/readyz")

    def _pages(self, path: str, **filters: str) -> Iterator[Answer]:
        after: str | None = None
        while True:
            page = self._ask("GET", path, params=_given({**filters, "after": after}))
            yield from page["data"]
            if not page["has_more"]:
                return
            after = page["last_id"]

    def _ask(self, method: str, path: str, **request: Any) -> Answer:  # noqa: ANN401 - httpx2's own arguments
        try:
            response = self._http.request(method, path, **request)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unreachable(self.url, _reason(error)) from error
        self._check(response)
        return self._body(response)

    def _check(self, response: httpx2.Response) -> None:
        if not response.is_success:
            problem = self._body(response)
            raise ApiError({"status": response.status_code, **problem})

    def _body(self, response: httpx2.Response) -> Answer:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            detail = f"What answers at {self.url} is not Gradsum (status {response.status_code}). Check --url."
            raise ApiError({"status": response.status_code, "type": "/problems/not_gradsum", "detail": detail})
        return body


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


def _json(body: object) -> dict[str, Any]:
    """The request's body; NaN and infinity go out as they are, for the API to name the field."""
    content = json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")
    return {"content": content, "headers_extra": None} and {
        "content": content,
        "headers": {"Content-Type": "application/json"},
    }


def _batches(rows: Sequence[object]) -> Iterator[list[object]]:
    """The rows in order, in lists of about LARGEST_BATCH_BYTES; one empty list where there are none."""
    batch: list[object] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row))
        if batch and size + length > LARGEST_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    yield batch


def _joined(first: Answer, second: Answer) -> Answer:
    probabilities = first["probabilities"]
    if probabilities is not None:
        probabilities = probabilities + second["probabilities"]
    return {**first, "predictions": first["predictions"] + second["predictions"], "probabilities": probabilities}


def _given(parameters: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {key: value for key, value in parameters.items() if value is not None}


def _part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="") or "%20"


def _reason(error: Exception) -> str:
    return {
        httpx2.ConnectError: "nothing listens there",
        httpx2.ConnectTimeout: "it does not take connections",
        httpx2.ReadTimeout: "it did not answer in time",
        httpx2.RemoteProtocolError: "the connection was lost",
        httpx2.ReadError: "the connection was lost",
        httpx2.WriteError: "the connection was lost",
        httpx2.UnsupportedProtocol: "an address begins with http:// or https://",
    }.get(type(error), str(error) or type(error).__name__)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
