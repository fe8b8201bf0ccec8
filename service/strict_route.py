"""Routes that take what they declare and nothing else: content type, query parameters, strict JSON."""

from collections.abc import Callable, Collection, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from service.errors import (
    BadRequestError,
    NotAcceptableError,
    NotFoundError,
    UnprocessableError,
    UnsupportedMediaTypeError,
)
from service.forms import read_form
from service.parameters import hint, query_parameters, wrong_parameters
from service.requests import parse_json
from workers.errors import FieldError

JSON = "application/json"
FORM = "multipart/form-data"
LONGEST_ID = 250


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`, and whose form by `read_form`."""

    async def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body's value, parsed beside the event loop, once."""
        if not hasattr(self, "_json"):
            body = await self.body()
            if not body:
                raise BadRequestError("The body is empty; it must be JSON.", code="invalid_json")
            self._json = await run_in_threadpool(parse_json, body)
        return self._json

    async def read_form(self, names: Collection[str]) -> None:
        """Have the form at hand for `form`; UnprocessableError where it has other fields than these."""
        self._form = await read_form(self, names)


class StrictRoute(APIRoute):
    """Checks a request before FastAPI looks at it, so that every refusal is ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the checks."""
        handle = super().get_route_handler()
        media_type = getattr(self.response_class, "media_type", None) or JSON

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if any("\0" in value or len(value) > LONGEST_ID for value in strict.path_params.values()):
                raise NotFoundError("Nothing has such an id or name.")
            _check_accept(strict, media_type)
            _check_query(strict, self.dependant)
            if self.body_field is not None and (self.body_field.field_info.is_required() or _has_body(strict)):
                is_form = isinstance(self.body_field.field_info, Form)
                _check_content_type(strict, FORM if is_form else JSON)
                names = [field.alias for field in self.dependant.body_params]
                await (strict.read_form(names) if is_form else strict.json())
            try:
                return await handle(strict)
            except RequestValidationError as error:
                raise wrong_parameters(error, self.dependant) from None

        return handle_strictly


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _check_accept(request: Request, media_type: str) -> None:
    accepted = request.headers.get("accept", "*/*").lower()
    kinds = {part.partition(";")[0].strip() for part in accepted.split(",")}
    if not kinds & {"", "*/*", JSON, media_type, f"{media_type.partition('/')[0]}/*"}:
        raise NotAcceptableError(f"The answer is {media_type}; Accept allows only {_shown(accepted)}.")


def _check_content_type(request: Request, wanted: str) -> None:
    sent = request.headers.get("content-type", "")
    if sent.partition(";")[0].strip().lower() != wanted:
        came = f"not {_shown(sent)}" if sent else "and there is none"
        raise UnsupportedMediaTypeError(f"The Content-Type must be {wanted}, {came}.")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaTypeError(f"The body must be sent as it is, without Content-Encoding {encoding!r:.40}.")


def _check_query(request: Request, dependant: Dependant) -> None:
    known = {name for name, _ in query_parameters(dependant)}
    if any("\0" in value for value in request.query_params.values()):
        raise UnprocessableError("A query parameter has NUL in it.", code="invalid_characters")
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        errors = [FieldError(name, f"is not a known query parameter{hint(name, known)}") for name in unknown]
        detail = "; ".join(" ".join(error) for error in errors) + "."
        raise UnprocessableError(detail, code="unknown_field", errors=errors)


def _shown(text: str) -> str:
    """A header's value, quoted and cut, for a message."""
    return repr(text[:60])
