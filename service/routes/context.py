"""What routes are handed: the service's parts, the caller, and the parameters that lists share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import Depends, Query, Request

from service.settings import Settings
from service.store.database import Database
from workers.model import Model
from workers.storage import Storage

PROJECT = "default"


class Context(NamedTuple):
    """The parts of the service that routes use; `service.app` puts them together."""

    settings: Settings
    database: Database
    storage: Storage
    check_storage: Callable[[], None]
    load_model: Callable[[Path], Model]


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def _actor(request: Request) -> str:
    actor: str = request.state.actor
    return actor


Actor = Annotated[str, Depends(_actor)]
"""The name of the caller's token, or `anonymous` where there are none."""
InContext = Annotated[Context, Depends(_context)]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most elements of a page")]
After = Annotated[str | None, Query(max_length=250, description="The last id of the page before")]
Name = Annotated[str | None, Query(max_length=200, description="Only those of this name")]
