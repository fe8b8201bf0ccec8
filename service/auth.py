"""Who may do what, decided by the headers of a request, before a byte of its body is read.

With a tokens file every request needs a token, save those for OPEN. Without one only loopback is bound, and what a
browser is made to send by a page from elsewhere is refused.
"""

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from service.addresses import is_loopback
from service.errors import ForbiddenError, UnauthenticatedError
from service.logs import Log
from service.settings import Settings, SettingsError
from service.tokens import ANONYMOUS, Token, read_tokens, sha256_of

OPEN = frozenset({"/", "/healthz", "/docs", "/openapi.json"})
"""Answered without a token: they say nothing but what every Gradsum of this version says."""
READING = frozenset({"GET", "HEAD"})
PREDICTION = re.compile(r"/v1/models/[^/]+/predict")
"""A POST that changes nothing, so that whoever may read a model may use it."""
UNAUTHENTICATED = (
    "This needs a token that the service knows, in the header 'Authorization: Bearer TOKEN'. "
    "The command line takes it from GRADSUM_TOKEN or --token."
)
"""The same whether the token is missing, malformed or unknown."""


class Gate:
    """Lets requests in, or not; `create_app` makes it. Raises SettingsError where the tokens file is wrong."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._tokens = Tokens(Path(settings.api_tokens_file), log) if settings.api_tokens_file else None

    def admit(self, scope: Scope) -> None:
        """Note the actor in the request's state; UnauthenticatedError or ForbiddenError where it is not let in."""
        headers = Headers(scope=scope)
        try:
            scope["state"]["actor"] = self._actor(scope, headers)
        except (UnauthenticatedError, ForbiddenError) as refusal:
            if has_body(headers):
                refusal.headers["Connection"] = "close"  # its body is not read
            raise

    def _actor(self, scope: Scope, headers: Headers) -> str:
        if self._tokens is None:
            _check_browser(scope, headers)
            return ANONYMOUS
        is_open = scope["path"] in OPEN or scope["path"].startswith("/docs/")
        if is_open and scope["method"] in READING:
            return ANONYMOUS
        token = self._tokens.find(_bearer(headers))
        if token is None:
            raise UnauthenticatedError(UNAUTHENTICATED)
        if token.scope != "write" and not _only_reads(scope):
            message = f"The token '{token.name}' has the scope 'read'; this request needs one with the scope 'write'."
            raise ForbiddenError(message, code="missing_scope")
        return token.name


class Tokens:
    """The tokens of a file, read again whenever it changes; one that can't be read leaves those that were known."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._seen = _version(path)
        self._tokens: list[Token] = read_tokens(path)
        self._complaint: str | None = None

    def find(self, presented: str) -> Token | None:
        """The token that was presented. How long it takes says nothing about those that are known."""
        self._refresh()
        sha256 = sha256_of(presented)
        matches = [token for token in self._tokens if hmac.compare_digest(token.sha256, sha256)]
        return matches[0] if matches else None

    def _refresh(self) -> None:
        version = _version(self._path)
        if version is not None and version == self._seen:
            return
        try:
            self._tokens, self._seen, self._complaint = read_tokens(self._path), version, None
            self._log.info("tokens_read", file=self._path, tokens=len(self._tokens))
        except SettingsError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("tokens_not_read", reason=error, kept=len(self._tokens))


def has_body(headers: Mapping[str, str]) -> bool:
    """Whether a body follows these headers."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _version(path: Path) -> tuple[int, ...] | None:
    """Another one whenever the file is written or replaced; None where it can't be said."""
    try:
        status = os.stat(path)  # noqa: PTH116 - at each request
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _bearer(headers: Headers) -> str:
    """The token that came with the request; empty where there is none, or not exactly one."""
    given = headers.getlist("authorization")
    scheme, _, token = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _only_reads(scope: Scope) -> bool:
    if scope["method"] == "POST":
        return PREDICTION.fullmatch(scope["path"]) is not None
    return scope["method"] in READING


def _check_browser(scope: Scope, headers: Headers) -> None:
    """Refuse a name that someone points at this machine (DNS rebinding), and changes asked for by another site."""
    host = headers.get("host", "")
    if host and not is_loopback(_name(host)):
        message = (
            f"Without tokens this service answers to loopback names such as 127.0.0.1 alone, not to '{host}'. "
            f"To reach it by another name, set GRADSUM_API_TOKENS_FILE."
        )
        raise ForbiddenError(message, code="wrong_host")
    origin = headers.get("origin")
    if (
        origin is not None
        and scope["method"] not in READING
        and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())
    ):
        message = f"Without tokens nothing is changed for a page of another site, here '{origin}'."
        raise ForbiddenError(message, code="cross_origin")


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
