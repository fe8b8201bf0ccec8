"""Which versions serve, in MLflow's numbers."""

from collections.abc import Iterable, Iterator

from service.store import models, tracking
from service.store.database import Transaction
from service.store.models import Model

PROJECT = "default"
NAMES_AT_ONCE = 1000


def mirrored_champions(connection: Transaction, names: Iterable[str] | None = None) -> dict[str, str]:
    """MLflow's version of the champion of each name (of all); a name whose champion is not mirrored is left out."""
    names = _names(connection) if names is None else names
    found = {name: _mirrored_champion(connection, name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _names(connection: Transaction) -> Iterator[str]:
    after: str | None = None
    more = True
    while more:
        page, more = models.newest_of_each_name(connection, PROJECT, limit=NAMES_AT_ONCE, after=after, name=None)
        yield from (newest.name for newest in page)
        after = page[-1].name if page else None


def _mirrored_champion(connection: Transaction, name: str) -> str | None:
    version = models.champion_version(connection, PROJECT, name)
    champion: Model | None = None if version is None else models.get(connection, PROJECT, name, version)
    return None if champion is None else tracking.get(connection, champion.job_id).model_version
