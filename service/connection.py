"""Requests to Gradsum's HTTP API and what can go wrong with them.

ClientError
├── ApiError      the API answered with a problem: status, code, detail and the fields that are wrong
└── Unreachable   no Gradsum answered at the address, or the connection was lost
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from service.addresses import is_loopback
from workers.errors import FieldError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0

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
    """No Gradsum answers at `url`; `sent` tells whether it may have seen the request."""

    def __init__(self, url: str, reason: str, *, sent: bool = False) -> None:
        self.url = url
        self.reason = reason
        self.sent = sent
        super().__init__(f"No Gradsum answers at {url}: {reason}.")


class Connection:
    """Asks the service at `url`; answers are JSON objects."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            # A proxy that the environment names can't reach services on this machine.
            local = is_loopback(urlsplit(self.url).hostname or "")
            self._http = httpx2.Client(
                base_url=self.url, headers=headers, timeout=timeout(ANSWER_SECONDS), trust_env=not local
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Unreachable(url, f"this is no address ({error})") from None

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(self, method: str, path: str, **request: Any) -> Answer:  # noqa: ANN401 - httpx2's own arguments
        """The answer to one request."""
        try:
            response = self._http.request(method, path, **request)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        return self._checked(response)

    def send_json(
        self,
        path: str,
        body: object,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        **request: object,
    ) -> Answer:
        """The answer to `body`; NaN and infinity go out as they are, for the API to name the field."""
        content = json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")
        return self.ask(
            method, path, content=content, headers={"Content-Type": "application/json", **(headers or {})}, **request
        )

    def stream(self, path: str) -> Iterator[bytes]:
        """The chunks of what is at `path`."""
        try:
            with self._http.stream("GET", path, headers={"Accept": "*/*"}) as response:
                if not response.is_success:
                    response.read()
                    self._checked(response)
                yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _checked(self, response: httpx2.Response) -> Answer:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or ("detail" not in body and not response.is_success):
            detail = f"What answers at {self.url} is not Gradsum (status {response.status_code}). Check --url."
            raise ApiError({"status": response.status_code, "type": "/problems/not_gradsum", "detail": detail})
        if not response.is_success:
            raise ApiError({"status": response.status_code, **body})
        return body

    def _unreachable(self, error: Exception) -> Unreachable:
        never_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL)
        return Unreachable(self.url, _reason(error), sent=not isinstance(error, never_sent))


def timeout(answer_seconds: float) -> httpx2.Timeout:
    """The patience of a request whose answer may take so long."""
    return httpx2.Timeout(answer_seconds, connect=CONNECT_SECONDS)


def _reason(error: Exception) -> str:
    match error:
        case httpx2.ConnectError():
            return "nothing takes connections there"
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return "an address is like http://127.0.0.1:8000"
        case httpx2.TimeoutException():
            return "it did not answer in time"
        case httpx2.NetworkError() | httpx2.RemoteProtocolError():
            return "the connection was lost"
    return str(error) or type(error).__name__
