"""The dispatcher's part of datasets by URI: has them fetched, one after the other, and records what came."""

from typing import Any

from service import ingest
from service.advancing import Advancing
from service.child import Child, Lost, Message
from service.imports.failures import fetch_failed
from service.imports.registration import fetch_request
from service.logs import Log
from service.paths import upload_path
from service.preparation import drop
from service.settings import Settings
from service.store import datasets
from service.store.database import Database
from service.store.datasets import DatasetOutline
from workers.errors import DataError

GRACE_SECONDS = 60.0
"""The child keeps the time limit itself; it is lost when it does not."""


class Fetching:
    """Asks a child that does nothing else, so that no slow server keeps other data from being prepared."""

    def __init__(self, database: Database, settings: Settings, child: Child, log: Log, advancing: Advancing) -> None:
        self._database = database
        self._settings = settings
        self._child = child
        self._log = log
        self._advancing = advancing
        self._asked: set[str] = set()

    def fetch(self, dataset: DatasetOutline) -> None:
        """Have what the dataset's URI names put where an upload would lie; the dataset is then read as one."""
        if dataset.id in self._asked:
            return
        self._asked.add(dataset.id)
        settings = self._settings
        destination = upload_path(settings.storage, dataset.id)
        request: dict[str, Any] = {"do": "fetch", "uri": dataset.uri, **fetch_request(settings, destination)}

        def on_answer(answer: Message | Lost) -> None:
            self._asked.discard(dataset.id)
            self._advancing.over(dataset.id)
            if not isinstance(answer, Lost):
                self._record(dataset, _checked(dataset, answer))
            elif answer.in_hand:
                self._record(dataset, _refused(fetch_failed(answer.reason)))

        seconds = settings.limit_fetch_seconds + GRACE_SECONDS
        self._child.ask(request, seconds, on_answer, self._advancing.begin(dataset))

    def _record(self, dataset: DatasetOutline, answer: Message) -> None:
        kept = None
        with self._database.write() as connection:
            if "error" in answer:
                datasets.fail(connection, dataset.id, answer["error"])
            else:
                key = ingest.content_key(answer["ok"]["sha256"], dataset.options)
                kept = datasets.arrive(connection, dataset, content_key=key, **answer["ok"])
        if kept is None or kept.id != dataset.id:
            drop(self._child, upload_path(self._settings.storage, dataset.id))
        outcome = "dataset_failed" if "error" in answer else "dataset_fetched"
        self._log.info(outcome, dataset_id=dataset.id, name=dataset.name, version=dataset.version)


def _checked(dataset: DatasetOutline, answer: Message) -> Message:
    """The answer; a refusal where what came is not what the dataset's options expect."""
    try:
        if "ok" in answer:
            ingest.check_sha256(answer["ok"]["sha256"], dataset.options)
    except DataError as error:
        return _refused(error)
    return answer


def _refused(error: DataError) -> Message:
    errors = [found._asdict() for found in error.errors]
    return {"error": {"code": error.code, "message": error.message, "errors": errors}}
