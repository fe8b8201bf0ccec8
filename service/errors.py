"""What the API answers where it can't do what was asked: problem+json (RFC 9457), never a stack trace.

    Problem
    ├── BadRequestError             400  the request itself can't be read
    ├── UnauthenticatedError        401  no token that the service knows
    ├── ForbiddenError              403  the token's scope, or the place the request comes from, does not allow it
    ├── NotFoundError               404  nothing has this id or name
    ├── NotAcceptableError          406  no form of the answer that the client takes
    ├── RequestTimeoutError         408  the body came too slowly
    ├── ConflictError               409  the state of the object does not allow it
    ├── TooLargeError               413  over a limit, which is named
    ├── UnsupportedMediaTypeError   415  another content type is needed, which is named
    ├── UnprocessableError          422  readable, but wrong: `errors` names the fields
    ├── UnavailableError            503  a part of the service is down; worth another try
    └── StorageFullError            507  no room on disk

`problem_of` maps everything that can be raised, the training engine's `GradsumError` included, to one of these.
"""

import errno
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.store.database import DatabaseUnavailableError, WriteConflictError
from service.store.pages import UnknownCursorError
from workers.errors import FieldError, GradsumError
from workers.storage import StorageUnavailableError

RETRY_AFTER_SECONDS = "2"
CODES_OF_STATUS = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


class Problem(Exception):  # noqa: N818 - the RFC's word for it
    """An answer that says what is wrong: a stable `code` for programs, a sentence for people, and the fields."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = tuple(errors) or ((FieldError(field, detail),) if field else ())
        self.headers = dict(headers or {})
        self.status = HTTPStatus(status or type(self).status)

    def response(self, request_id: str) -> JSONResponse:
        """The answer on the wire."""
        body = {**problem_members(self.code, self.status, self.detail, self.errors), "request_id": request_id}
        return JSONResponse(body, int(self.status), self.headers, media_type="application/problem+json")


class BadRequestError(Problem):
    """The request can't be read."""

    status, code = HTTPStatus.BAD_REQUEST, "bad_request"


class UnauthenticatedError(Problem):
    """The request shows no token that the service knows."""

    status, code = HTTPStatus.UNAUTHORIZED, "unauthenticated"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="gradsum"'})


class ForbiddenError(Problem):
    """Whoever asks may not have this done."""

    status, code = HTTPStatus.FORBIDDEN, "forbidden"


class NotFoundError(Problem):
    """Nothing has this id or name."""

    status, code = HTTPStatus.NOT_FOUND, "not_found"


class NotAcceptableError(Problem):
    """The client takes no form that the answer has."""

    status, code = HTTPStatus.NOT_ACCEPTABLE, "not_acceptable"


class RequestTimeoutError(Problem):
    """The body of the request came too slowly."""

    status, code = HTTPStatus.REQUEST_TIMEOUT, "request_timeout"


class ConflictError(Problem):
    """The state of the object does not allow it."""

    status, code = HTTPStatus.CONFLICT, "conflict"


class TooLargeError(Problem):
    """The request is over a limit."""

    status, code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"


class UnsupportedMediaTypeError(Problem):
    """The body is of another type than the route takes."""

    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"


class UnprocessableError(Problem):
    """The request can be read but is wrong."""

    status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"


class UnavailableError(Problem):
    """A part of the service does not work now."""

    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"


class StorageFullError(Problem):
    """There is no room on disk."""

    status, code = HTTPStatus.INSUFFICIENT_STORAGE, "storage_full"


def problem_of(error: Exception, path: str) -> Problem | None:
    """The answer for what was raised while `path` was served; None where nobody foresaw it."""
    match error:
        case Problem():
            return error
        case GradsumError():
            return UnprocessableError(error.message, code=error.code, errors=error.errors)
        case HTTPException():
            return _http_problem(error, path)
    return _storage_problem(error)


def _storage_problem(error: Exception) -> Problem | None:
    problem: Problem | None = None
    match error:
        case UnknownCursorError():
            message = "The list has no such place to go on after."
            problem = BadRequestError(message, code="invalid_cursor", field="after")
        case DatabaseUnavailableError():
            retry = {"Retry-After": RETRY_AFTER_SECONDS}
            problem = UnavailableError("The database does not answer. Try again.", code="database", headers=retry)
        case WriteConflictError():
            message = "Another request changed the same thing at the same time. Try again."
            problem = ConflictError(message, code="concurrent_change", headers={"Retry-After": RETRY_AFTER_SECONDS})
        case StorageUnavailableError():
            problem = UnavailableError(str(error), code="storage", headers={"Retry-After": RETRY_AFTER_SECONDS})
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            problem = StorageFullError("The service has no room left on disk.")
    return problem


def problem_members(code: str, status: int, detail: str, errors: Sequence[FieldError]) -> dict[str, Any]:
    """What a problem says wherever it is shown: `type`, `title`, `status`, `detail` and `errors`."""
    return {
        "type": f"/problems/{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": printable(detail),
        "errors": [{"field": printable(field), "message": printable(text)} for field, text in errors],
    }


def printable(text: str) -> str:
    """The text with lone surrogates spelled out, so that it can be sent as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _http_problem(error: HTTPException, path: str) -> Problem:
    details = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} does not take this method; Allow names those it takes.",
    }
    status = HTTPStatus(error.status_code)
    code = CODES_OF_STATUS.get(status, status.name.lower())
    return Problem(details.get(status, str(error.detail)), code=code, headers=error.headers, status=status)
