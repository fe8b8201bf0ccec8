"""Datasets by URI: the JSON form of `POST /v1/datasets`, whose other form is an upload."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from service.imports.registration import preview_import, read_import, register_import
from service.requests import read
from service.routes.context import PROJECT, Actor, InContext
from service.schemas import ImportRequest
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
) -> JSONResponse:
    """Register data that the service fetches itself; the dataset is `preparing` until it is there and read."""
    wanted = read_import(context.settings, read(ImportRequest, body))
    if dry_run:
        return JSONResponse(preview_import(context.settings, wanted))
    dataset = register_import(context.database, wanted, PROJECT, actor)
    return JSONResponse(dataset_view(dataset), 201, {"Location": f"/v1/datasets/{dataset.id}"})


def is_json(scope: Scope) -> bool:
    """Whether the request says that its body is JSON."""
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower() == JSON
