"""Requests that are safe to repeat: what an Idempotency-Key made before is the answer to the same body."""

from collections.abc import Callable
from typing import Annotated, Protocol, TypeVar

from fastapi import Header

from service.errors import BadRequestError, ConflictError, UnprocessableError
from service.routes.context import PROJECT
from service.store import jobs
from service.store.database import Transaction
from service.submission import fingerprint

LONGEST_KEY = 255
KINDS = {"job": "job", "sch": "schedule", "fir": "firing", "ds": "dataset", "bf": "backfill"}
"""By the prefixes of ids."""

Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Makes a repeated request safe")]
Made = TypeVar("Made")


class _WithId(Protocol):
    @property
    def id(self) -> str: ...


New = TypeVar("New", bound=_WithId)


def check_key(key: str | None) -> None:
    """Refuse an Idempotency-Key that can't be one."""
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        message = f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters."
        raise BadRequestError(message, code="invalid_idempotency_key", field="Idempotency-Key")


def made_before(
    connection: Transaction, actor: str, key: str | None, body: object, get: Callable[[Transaction, str], Made | None]
) -> Made | None:
    """What this body made before under the same key, if it did; `get` finds it by its id.

    Where a request has more than a JSON body, `body` stands for all that it asks for. UnprocessableError where that
    was something else before, ConflictError where what was made is gone.
    """
    recalled = None if key is None else jobs.recall_key(connection, PROJECT, actor, key)
    if recalled is None:
        return None
    request_sha256, made_id = recalled
    if request_sha256 != fingerprint(body):
        message = "This Idempotency-Key came with another body before. Use a new key for a new request."
        raise UnprocessableError(message, code="idempotency_key_reused", field="Idempotency-Key")
    made = get(connection, made_id)
    if made is None:
        kind = KINDS[made_id.partition("_")[0]]
        message = f"The {kind} that this Idempotency-Key made, {made_id}, was deleted. Use a new key."
        raise ConflictError(message, code=f"{kind}_deleted")
    return made


def made_once(
    connection: Transaction,
    actor: str,
    key: str | None,
    body: object,
    get: Callable[[Transaction, str], New | None],
    make: Callable[[], New],
) -> New:
    """What this body made before under the same key, else what `make` makes of it in the same transaction."""
    made = made_before(connection, actor, key, body, get)
    if made is None:
        made = make()
        remember(connection, actor, key, body, made.id)
    return made


def remember(connection: Transaction, actor: str, key: str | None, body: object, object_id: str) -> None:
    """Keep what a key made, in the transaction that makes it."""
    if key is not None:
        jobs.remember_key(connection, PROJECT, actor, key, fingerprint(body), object_id)
