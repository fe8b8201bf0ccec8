"""Datasets by URI: the JSON form of `POST /v1/datasets`, whose other form is an upload."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from service.imports.registration import add_import, preview_import, read_import
from service.requests import read
from service.routes.context import PROJECT, Actor, Context, InContext
from service.routes.idempotency import Key, check_key, made_before, made_once
from service.schemas import ImportRequest
from service.store import datasets
from service.store.datasets import Dataset
from service.strict_route import JSON, StrictRoute
from service.views import dataset_view


class JsonRoute(StrictRoute):
    """A route that is there for JSON only; another one at its path takes the rest."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """No match for other content types."""
        return super().matches(scope) if is_json(scope) else (Match.NONE, {})


ImportBody = Annotated[Any, Body()]
DryRun = Annotated[bool, Query()]

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=JsonRoute)


@router.post("", status_code=201, include_in_schema=False)  # the upload's route describes both
def import_dataset(
    context: InContext,
    actor: Actor,
    body: ImportBody,
    dry_run: DryRun = False,  # noqa: FBT002
    idempotency_key: Key = None,
) -> JSONResponse:
    """Register data that the service fetches itself; the dataset is `preparing` until it is there and read."""
    request = read(ImportRequest, body)
    if dry_run:
        return JSONResponse(preview_import(context.settings, read_import(context.settings, request)))
    check_key(idempotency_key)
    dataset = _registered(context, actor, idempotency_key, body, request)
    return JSONResponse(dataset_view(dataset), 201, {"Location": f"/v1/datasets/{dataset.id}"})


def _registered(context: Context, actor: str, key: str | None, body: object, request: ImportRequest) -> Dataset:
    """The dataset that this body makes, or that it made before under the same key."""
    with context.database.read() as connection:
        dataset = made_before(connection, actor, key, body, datasets.get)
    if dataset is not None:
        return dataset
    wanted = read_import(context.settings, request)
    with context.database.write() as connection:  # it may have been made meanwhile
        return made_once(
            connection, actor, key, body, datasets.get, lambda: add_import(connection, wanted, PROJECT, actor)
        )


def is_json(scope: Scope) -> bool:
    """Whether the request says that its body is JSON."""
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower() == JSON
