"""/docs: Swagger UI, with the files that the package fastapi-offline brings, so that the page asks no other host."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from service.errors import NotFoundError

router = APIRouter(include_in_schema=False)

FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
DIRECTORY = Path(str(files("fastapi_offline"))) / "static"
METHODS = ["GET", "HEAD"]


@router.api_route("/docs", methods=METHODS)
def docs() -> HTMLResponse:
    """The page. Its links are relative, so that it works below any path of a proxy."""
    script, style, icon = (f"docs/{name}" for name in FILES)
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Gradsum",
        swagger_js_url=script,
        swagger_css_url=style,
        swagger_favicon_url=icon,
        swagger_ui_parameters={"validatorUrl": None},  # else swagger.io is sent the address of the document
    )


@router.api_route("/docs/{name}", methods=METHODS)
def docs_file(name: str) -> FileResponse:
    """What the page loads."""
    if name not in FILES:
        raise NotFoundError(f"There is nothing at /docs/{name}.")
    return FileResponse(DIRECTORY / name)
