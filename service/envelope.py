"""What stands around every request: its id, who may send it, how large it may be, and an answer if all else fails."""

import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem, TooLargeError
from service.logs import Log

LOGGED_STATUS = 500


class Envelope:
    """ASGI middleware: `admit` raises the Problem of one that isn't let in, `limit_of` gives a body's limit."""

    def __init__(
        self, app: ASGIApp, admit: Callable[[Scope], None], limit_of: Callable[[Scope], int], log: Log
    ) -> None:
        self._app = app
        self._admit = admit
        self._limit_of = limit_of
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        limit = self._limit_of(scope)
        status = 0
        started = time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            refusal = self._refusal(scope, limit)
            if refusal is not None:
                await refusal.response(request_id)(scope, receive, send_with_id)
            else:
                await self._app(scope, _limited(receive, limit), send_with_id)
        except ClientDisconnect:
            return
        except Exception as error:
            self._log.exception("request_failed", request_id=request_id, error=repr(error))
            if status:
                raise
            answer = Problem("Something went wrong in the service; its log says more under this request_id.")
            await answer.response(request_id)(scope, receive, send_with_id)
        finally:
            if scope["method"] not in {"GET", "HEAD"} or status >= LOGGED_STATUS:
                milliseconds = round(1000 * (time.monotonic() - started))
                fields = {"method": scope["method"], "path": scope["path"][:200], "status": status}
                self._log.info("request", **fields, milliseconds=milliseconds, request_id=request_id)

    def _refusal(self, scope: Scope, limit: int) -> Problem | None:
        """What is wrong with the request as far as its headers say."""
        try:
            self._admit(scope)
        except Problem as problem:
            return problem
        return too_large(limit) if _declared_length(scope) > limit else None


def too_large(limit: int) -> TooLargeError:
    """The refusal of a body over `limit` bytes; the connection closes, as the rest of the body is not read."""
    return TooLargeError(f"The body is larger than the limit of {limit:,} bytes.", headers={"Connection": "close"})


def _declared_length(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large(limit)
        return message

    return receive_limited
