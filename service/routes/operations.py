"""Whether the service lives, and whether its parts work."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from service.routes.context import InContext
from service.store import components
from service.store.components import Component
from service.strict_route import StrictRoute
from service.views import View

router = APIRouter(tags=["operations"], route_class=StrictRoute)

SILENCE = timedelta(seconds=60)
"""After this long without a report, a part counts as degraded."""


PLACES = {
    "documentation": "/docs",
    "openapi": "/openapi.json",
    "health": "/healthz",
    "readiness": "/readyz",
    "command_line": "gradsum --help",
}


@router.get("/")
def about(request: Request) -> JSONResponse:
    """What this is, and where to read on."""
    app = request.app
    return JSONResponse({"service": app.title, "version": app.version, "summary": app.summary, **PLACES})


@router.get("/healthz")
def healthz() -> JSONResponse:
    """200 while this process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def readyz(context: InContext) -> JSONResponse:
    """503 without database or storage; other parts that do not work are shown as degraded."""
    context.check_storage()
    with context.database.read() as connection:
        reports = components.listed(connection)
    now = datetime.now(UTC)
    parts: dict[str, View] = {"database": {"status": "ok"}, "storage": {"status": "ok"}}
    parts |= {report.name: _part(report, now) for report in reports}
    degraded = any(part["status"] != "ok" for part in parts.values())
    return JSONResponse({"status": "degraded" if degraded else "ok", "components": parts})


def _part(report: Component, now: datetime) -> View:
    silent = now - datetime.fromisoformat(report.reported_at) > SILENCE
    details = {**report.details, "message": "It has not been heard of lately."} if silent else report.details
    return {"status": "degraded" if silent else report.status, "reported_at": report.reported_at, **details}
