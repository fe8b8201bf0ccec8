"""The HTTP application: its parts put together. It knows neither Ray nor MLflow."""

import functools
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from service import logs
from service.auth import OPEN, Gate
from service.envelope import Envelope
from service.errors import Problem, problem_of
from service.openapi import TAGS, with_problems, with_summaries, with_tokens
from service.recently import Recently
from service.routes import backfill, datasets, docs, imports, jobs, models, operations, schedules
from service.routes.context import Context
from service.schemas import ProblemDocument
from service.settings import Settings
from service.store.database import Database, DatabaseUnavailableError, WriteConflictError
from service.store.pages import UnknownCursorError
from service.version import version_of_gradsum
from workers.errors import GradsumError
from workers.model import load
from workers.storage import StorageUnavailableError, storage_of

MODELS_KEPT_IN_MEMORY = 16
CHECK_SECONDS = 5.0
"""How long /readyz believes its last check of a bucket, which takes six requests."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FORESEEN = (
    Problem,
    GradsumError,
    HTTPException,
    UnknownCursorError,
    DatabaseUnavailableError,
    WriteConflictError,
    StorageUnavailableError,
    OSError,
)


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The application over a migrated database."""
    app = FastAPI(
        title="Gradsum",
        summary="Trains feed-forward neural networks on a cluster: the same bits from any number of workers.",
        version=version_of_gradsum(),
        redirect_slashes=False,
        docs_url=None,  # service.routes.docs
        redoc_url=None,
        openapi_tags=TAGS,
        responses={"4XX": {"model": ProblemDocument}, "5XX": {"model": ProblemDocument}},
    )
    app.state.log = log = logs.logger("api")
    storage = storage_of(settings.environment())
    check_storage = Recently(storage.check, CHECK_SECONDS if settings.has_bucket else 0.0)
    load_model = functools.lru_cache(MODELS_KEPT_IN_MEMORY)(load)
    app.state.context = Context(settings, database, storage, check_storage, load_model)
    for routes in (imports, datasets, jobs, schedules, backfill, models, operations, docs):
        app.include_router(routes.router)
    gate = Gate(settings, log)
    app.add_middleware(Envelope, admit=gate.admit, limit_of=lambda scope: _body_limit(settings, scope), log=log)
    for error in FORESEEN:
        app.add_exception_handler(error, _answer)
    app.openapi = functools.cache(lambda: _openapi(app, settings))  # type: ignore[method-assign] # FastAPI's documented way
    return app


def _body_limit(settings: Settings, scope: Scope) -> int:
    is_upload = scope["path"] == "/v1/datasets" and scope["method"] == "POST" and not imports.is_json(scope)
    return settings.limit_upload_bytes if is_upload else settings.limit_json_body_bytes


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error, request.scope["path"])
    if problem is None:
        raise error
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fields = {"code": problem.code, "error": repr(error.__cause__ or error)}
        request.app.state.log.warning("request_not_served", request_id=request.state.request_id, **fields)
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers["Allow"] = ", ".join(_allowed_methods(request))
    return problem.response(request.state.request_id)


def _allowed_methods(request: Request) -> list[str]:
    """Every method that some route takes at this path; FastAPI itself names those of the first route alone."""

    def is_taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] == Match.FULL for route in request.app.router.routes)

    return [method for method in METHODS if is_taken(method)]


def _openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=TAGS)
    document = with_summaries(with_problems(described))
    return with_tokens(document, OPEN) if settings.api_tokens_file else document
