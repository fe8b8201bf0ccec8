"""A dataset that is to be fetched: checked as far as it can be without the network, and registered."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from service import head, ingest
from service.facts import data_limits_of
from service.imports.beginning import SECONDS, fetch_beginning
from service.imports.files import check_spelled_below, is_folder_below
from service.paths import upload_path
from service.requests import clean_dataset_name
from service.schemas import ImportRequest
from service.settings import Settings
from service.store import datasets
from service.store.database import Transaction
from service.store.datasets import Dataset
from service.uris import FilePlace, Rules, last_part, parse_uri, shown
from workers.errors import DataError, FieldError
from workers.files import remove
from workers.spec import DatasetByUri


class Import(NamedTuple):
    """What was asked for, checked."""

    uri: str
    name: str
    options: dict[str, object]
    tags: dict[str, str]


def read_import(
    settings: Settings, request: ImportRequest, name_field: str = "name", *, may_come_later: bool = False
) -> Import:
    """The import; UnprocessableError or DataError where a field is wrong or the URI is not allowed.

    A file has to be there, unless it `may_come_later`.
    """
    rules = rules_of(settings)
    place = parse_uri(request.uri, rules)
    if isinstance(place, FilePlace):
        check = check_spelled_below if may_come_later else is_folder_below
        check(place.path, rules.import_roots)
    ingest.check_options(request.options)
    name = PurePosixPath(last_part(request.uri)).stem if request.name is None else request.name
    return Import(request.uri, clean_dataset_name(name, name_field), request.options, request.tags)


def read_import_of_job(settings: Settings, requested: DatasetByUri, *, may_come_later: bool = False) -> Import:
    """The same for a job's `dataset`, whose fields the errors name as `dataset.uri` and so on."""
    request = ImportRequest(uri=requested.uri, name=requested.name, options=requested.options)
    try:
        return read_import(settings, request, "dataset.name", may_come_later=may_come_later)
    except DataError as error:
        errors = tuple(FieldError(f"dataset.{field}", message) for field, message in error.errors)
        raise DataError(error.message, code=error.code, errors=errors) from None


def add_import(connection: Transaction, wanted: Import, project: str, actor: str) -> Dataset:
    """The dataset, to be fetched by the dispatcher's child. Its content is not known, so neither is a content key."""
    dataset_id = datasets.new_id()
    dataset, _ = datasets.add(
        connection,
        id=dataset_id,
        project=project,
        actor=actor,
        name=wanted.name,
        options=wanted.options,
        source={"kind": "uri", "uri": shown(wanted.uri)},
        sha256="",
        content_key=dataset_id,
        bytes=0,
        tags=wanted.tags,
        uri=wanted.uri,
    )
    return dataset


def preview_import(settings: Settings, wanted: Import) -> dict[str, object]:
    """What would be understood of what the URI names. Nothing is registered, and no file is left."""
    path = upload_path(settings.storage, datasets.new_id())
    request = {"uri": wanted.uri, "options": wanted.options, **fetch_request(settings, path)}
    request["limit_seconds"] = min(SECONDS, settings.limit_fetch_seconds)
    try:
        fetched = fetch_beginning(request)
        if fetched["sha256"] is not None:
            ingest.check_sha256(fetched["sha256"], wanted.options)
        understood = head.preview(path, wanted.options, data_limits_of(settings))
    finally:
        remove(path)
    return {**understood, "name": wanted.name, "bytes": fetched["bytes"], "options": wanted.options}


def fetch_request(settings: Settings, destination: Path) -> dict[str, Any]:
    """What a process that fetches needs to know beside the URI."""
    return {
        "rules": rules_of(settings)._asdict(),
        "s3": {"endpoint": settings.s3_endpoint, "region": settings.s3_region},
        "limit_bytes": settings.limit_upload_bytes,
        "limit_seconds": settings.limit_fetch_seconds,
        "destination": str(destination),
    }


def rules_of(settings: Settings) -> Rules:
    """What the settings allow."""
    return Rules(
        import_roots=tuple(map(str, settings.import_roots)),
        fetch_http=settings.fetch_http,
        fetch_ports=settings.fetch_ports,
        fetch_private_hosts=settings.fetch_private_hosts,
        s3_buckets=settings.s3_buckets,
    )
