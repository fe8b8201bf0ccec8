"""The OpenAPI document as it is: every error is a problem, in problem+json; a token where one is needed."""

from collections.abc import Container
from typing import Any

METHODS = {"get", "post", "put", "patch", "delete"}
TAGS: list[dict[str, Any]] = [
    {"name": "datasets", "description": "Rows to train on: uploaded, or fetched from a URI"},
    {"name": "jobs", "description": "One training each: its state, its figures, its weights"},
    {"name": "schedules", "description": "Jobs at due times or on new data, and what became of each"},
    {"name": "models", "description": "What jobs have trained: versions, the champion, predictions"},
    {"name": "operations", "description": "Whether the service works"},
]


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, with the errors that FastAPI describes by default replaced by ours."""
    for path in document["paths"].values():
        for method in METHODS & path.keys():
            responses = path[method]["responses"]
            responses.pop("422", None)
            for status in ("4XX", "5XX"):
                described = next(iter(responses[status]["content"].values()))
                responses[status] = {
                    "description": "A problem: what is wrong, and what to do",
                    "content": {"application/problem+json": described},
                }
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def with_summaries(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, with the line that describes each operation beside its path, where a list of them shows it."""
    for path in document["paths"].values():
        for method in METHODS & path.keys():
            path[method]["summary"] = path[method].pop("description").removesuffix(".")
    return document


def with_tokens(document: dict[str, Any], open_paths: Container[str]) -> dict[str, Any]:
    """`document`, with the token that everything but `open_paths` needs, so that /docs asks for it (Authorize)."""
    scheme = {"type": "http", "scheme": "bearer", "description": "gradsum token new NAME --scope read|write"}
    document["components"]["securitySchemes"] = {"token": scheme}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        if path in open_paths:
            for method in METHODS & operations.keys():
                operations[method]["security"] = []
    return document
