"""Models: their versions, which one is the champion, and predictions."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse

from service.errors import ConflictError, NotFoundError, Problem, TooLargeError, UnavailableError, UnprocessableError
from service.requests import read
from service.routes.context import PROJECT, Actor, After, Context, InContext, Limit, Name
from service.routes.idempotency import Key, check_key, made_before, remember
from service.schemas import (
    PREDICT_EXAMPLES,
    Described,
    ModelDocument,
    ModelList,
    PredictionDocument,
    PredictRequest,
    PromoteRequest,
)
from service.store import models
from service.store.database import Transaction
from service.store.models import Model
from service.store.pages import UnknownCursorError
from service.strict_route import StrictRoute
from service.views import View, model_view, page_view, prediction_view
from workers.model import Model as TrainedModel
from workers.model import columns_from_rows, predict

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)

LISTED_VERSIONS = 10

PredictBody = Annotated[Any, Described(PredictRequest), Body(openapi_examples=PREDICT_EXAMPLES)]
PromoteBody = Annotated[Any, Described(PromoteRequest), Body()]


@router.get("", responses={200: {"model": ModelList}})
def list_models(context: InContext, limit: Limit = 100, after: After = None, name: Name = None) -> JSONResponse:
    """The models in the order of the alphabet, with their newest ten versions; ask for one to see them all."""
    with context.database.read() as connection:
        if after is not None and models.champion_version(connection, PROJECT, after) is None:
            raise UnknownCursorError(after)
        found, has_more = models.listed(
            connection, PROJECT, limit=limit, after=after, name=name, most_versions=LISTED_VERSIONS
        )
    return JSONResponse(page_view([model_view(model) for model in found], has_more=has_more))


@router.get("/{name}", responses={200: {"model": ModelDocument}})
def show_model(context: InContext, name: str) -> JSONResponse:
    """One model: its versions, newest first, and its champion."""
    with context.database.read() as connection:
        return JSONResponse(_view(connection, name))


@router.post("/{name}/predict", responses={200: {"model": PredictionDocument}})
def predict_rows(context: InContext, name: str, body: PredictBody) -> JSONResponse:
    """Predictions for rows, by the champion or the version asked for; they change nothing, so they need no key."""
    request = read(PredictRequest, body)
    if request.alias is not None and request.version is not None:
        raise UnprocessableError("Give alias or version, not both.", field="version")
    limit = context.settings.limit_predict_rows
    if len(request.rows) > limit:
        message = f"{len(request.rows):,} rows are more than the limit of {limit:,}. Send them in parts."
        raise TooLargeError(message, code="too_many_rows", field="rows")
    with context.database.read() as connection:
        row = _version(connection, name, request.version)
    model = _load(context, row)
    answer = predict(model, columns_from_rows(model, request.rows))
    return JSONResponse(prediction_view(name, row.version, model, answer))


@router.post("/{name}/promote", responses={200: {"model": ModelDocument}})
def promote_version(
    context: InContext, actor: Actor, name: str, body: PromoteBody, idempotency_key: Key = None
) -> JSONResponse:
    """Make a version the champion."""
    check_key(idempotency_key)
    request = read(PromoteRequest, body)
    asked = {"promote": name, "body": body}
    with context.database.write() as connection:
        if made_before(connection, actor, idempotency_key, asked, models.of_job) is None:
            row = _version(connection, name, request.version)
            models.promote_by_hand(connection, row, request.reason, actor)
            remember(connection, actor, idempotency_key, asked, row.job_id)
        return JSONResponse(_view(connection, name))


def _view(connection: Transaction, name: str) -> View:
    found = models.named(connection, PROJECT, name)
    if found is None:
        raise _no_such_model(connection, name)
    return model_view(found)


def _version(connection: Transaction, name: str, version: int | None) -> Model:
    """The version, or the champion where none is given."""
    wanted = version or models.champion_version(connection, PROJECT, name)
    if wanted is None:
        raise _no_such_model(connection, name, ConflictError)
    row = models.get(connection, PROJECT, name, wanted)
    if row is None:
        versions = models.versions(connection, PROJECT, name)
        if not versions:
            raise _no_such_model(connection, name, ConflictError)
        raise NotFoundError(f"Model '{name}' has no version {wanted}; the newest is {versions[0].version}.")
    return row


def _no_such_model(connection: Transaction, name: str, in_the_making: type[Problem] = NotFoundError) -> Problem:
    """The problem to raise; of the kind `in_the_making` where a job is at work on the first version."""
    job_id = models.maker(connection, PROJECT, name)
    if job_id is not None:
        message = f"Model '{name}' is not there yet: job {job_id}, which makes it, has not ended. Wait for it."
        return in_the_making(message, code="model_not_ready")
    return NotFoundError(f"There is no model '{name}'. A job makes one: set its tracking.registered_model.")


def _load(context: Context, row: Model) -> TrainedModel:
    directory = context.storage.root / row.directory
    context.storage.bring(directory)
    try:
        return context.load_model(directory)
    except Exception as error:  # a damaged file can raise anything
        context.storage.distrust(directory)  # the next request may find another copy
        message = f"The files of model '{row.name}' version {row.version} can't be read from the storage."
        raise UnavailableError(message, code="model_unreadable") from error
