"""Rows of datasets: registered, versioned under their name, prepared or failed."""

import secrets
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select
from sqlalchemy.engine import RowMapping

from service.store.database import now
from service.store.pages import Page, page
from service.store.tables import datasets, jobs, merged_datasets

TEXTS = ("categories", "distinct_values")
"""What can make a column's metadata large."""


@dataclass(frozen=True, kw_only=True)
class DatasetOutline:
    """A registered dataset without its columns, whose metadata may be megabytes.

    While `uri` is not None, it is still to be fetched: `sha256` is empty, `bytes` 0, and `content_key` its own id.
    """

    sequence: int
    id: str
    project: str
    actor: str
    group_id: str | None
    name: str
    version: int
    created_at: str
    tags: dict[str, str]
    status: str  # preparing | ready | failed
    options: dict[str, Any]
    source: dict[str, Any]
    sha256: str
    content_key: str
    bytes: int
    rows: int | None
    rejected_rows: int | None
    error: dict[str, Any] | None
    uri: str | None = None
    progress: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetOutline):
    """A registered dataset. `columns` is as the column files' metadata has it; None until it is ready."""

    columns: list[dict[str, Any]] | None


OUTLINE = tuple(datasets.c[field.name] for field in fields(DatasetOutline))


class DatasetInUseError(Exception):
    """The dataset can't be deleted: a job still needs it."""


def new_id() -> str:
    """An id for a dataset that is about to be uploaded."""
    return f"ds_{secrets.token_hex(12)}"


def add(
    connection: Connection,
    *,
    id: str,  # noqa: A002 - the column's name
    project: str,
    actor: str,
    name: str,
    options: dict[str, Any],
    source: dict[str, Any],
    sha256: str,
    content_key: str,
    bytes: int,  # noqa: A002 - the column's name
    tags: dict[str, str],
    uri: str | None = None,
) -> tuple[Dataset, bool]:
    """The dataset, and whether it is new: the newest version of a name stays where its content is the same."""
    newest = find(connection, project, name)
    if newest is not None and newest.content_key == content_key and newest.status != "failed":
        return newest, False
    highest = connection.execute(
        select(func.max(datasets.c.version)).where(datasets.c.project == project, datasets.c.name == name)
    ).scalar()
    values = {
        "id": id,
        "project": project,
        "actor": actor,
        "group_id": None,
        "name": name,
        "version": (highest or 0) + 1,
        "created_at": now(),
        "tags": tags,
        "status": "preparing",
        "options": options,
        "source": source,
        "sha256": sha256,
        "content_key": content_key,
        "bytes": bytes,
        "uri": uri,
    }
    connection.execute(datasets.insert().values(values))
    return _required(get(connection, id)), True


def get(connection: Connection, dataset_id: str) -> Dataset | None:
    """The dataset with this id, or the one that it turned out to be (see `arrive`)."""
    return _dataset(_row(connection, select(datasets), dataset_id))


def outline(connection: Connection, dataset_id: str) -> DatasetOutline | None:
    """The same without its columns, for whoever looks often."""
    row = _row(connection, select(*OUTLINE), dataset_id)
    return None if row is None else DatasetOutline(**row)


def whole(connection: Connection, seen: DatasetOutline) -> Dataset:
    """What an outline left out; LookupError where the dataset was deleted meanwhile."""
    found = get(connection, seen.id)
    if found is None:
        raise LookupError(seen.id)
    return found


def find(connection: Connection, project: str, name: str, version: int | None = None) -> Dataset | None:
    """The given version of a name, or its newest."""
    query = select(datasets).where(datasets.c.project == project, datasets.c.name == name)
    if version is not None:
        query = query.where(datasets.c.version == version)
    return _dataset(connection.execute(query.order_by(datasets.c.version.desc()).limit(1)).mappings().first())


def newest_ready(connection: Connection, project: str, name: str) -> Dataset | None:
    """The newest version of a name that can be used."""
    query = select(datasets).where(datasets.c.project == project, datasets.c.name == name, datasets.c.status == "ready")
    return _dataset(connection.execute(query.order_by(datasets.c.version.desc()).limit(1)).mappings().first())


def listed(
    connection: Connection, project: str, *, limit: int, after: str | None, status: str | None, name: str | None
) -> tuple[list[Dataset], bool]:
    """A page of datasets, newest first, and whether there are more; their columns are without `TEXTS`."""
    query = select(*OUTLINE).where(datasets.c.project == project)
    query = query.where(datasets.c.status == status) if status else query
    query = query.where(datasets.c.name == name) if name else query
    found: Page = page(connection, datasets, query, limit, after)
    columns = _columns_without_texts(connection, [row["id"] for row in found.rows])
    still = (row for row in found.rows if row["id"] in columns)  # unless one was deleted between the two queries
    return [Dataset(**row, columns=columns[row["id"]]) for row in still], found.has_more


def preparing(connection: Connection) -> list[DatasetOutline]:
    """Datasets that wait to be read, oldest first."""
    query = select(*OUTLINE).where(datasets.c.status == "preparing").order_by(datasets.c.sequence)
    return [DatasetOutline(**row) for row in connection.execute(query).mappings()]


def arrive(
    connection: Connection,
    dataset: DatasetOutline,
    *,
    sha256: str,
    content_key: str,
    bytes: int,  # noqa: A002 - the column's name
) -> Dataset | None:
    """Record what was fetched for the dataset; which one it is now, or None where it was deleted meanwhile.

    Where the version before it has the same content, it is that one: it gives up its own version, and its id and the
    jobs that wait for it stand for the other from now on.
    """
    if get(connection, dataset.id) is None:
        return None
    previous = _newest_before(connection, dataset.project, dataset.name, dataset.version)
    if previous is None or previous.content_key != content_key or previous.status == "failed":
        _update(connection, dataset.id, sha256=sha256, content_key=content_key, bytes=bytes, uri=None, progress=None)
        return _required(get(connection, dataset.id))
    _move_jobs(connection, dataset.id, previous.id)
    moved = merged_datasets.c.dataset_id == dataset.id
    connection.execute(merged_datasets.update().where(moved).values(dataset_id=previous.id))
    connection.execute(datasets.delete().where(datasets.c.id == dataset.id))
    connection.execute(merged_datasets.insert().values(id=dataset.id, dataset_id=previous.id))
    return previous


def advance(connection: Connection, dataset_id: str, progress: dict[str, Any] | None) -> None:
    """Record how far the dataset is, while it is being prepared."""
    _update(connection, dataset_id, progress=progress)


def finish(connection: Connection, dataset_id: str, rows: int, rejected: int, columns: list[dict[str, Any]]) -> None:
    """Record that the column files are there."""
    _update(connection, dataset_id, status="ready", rows=rows, rejected_rows=rejected, columns=columns, progress=None)


def fail(connection: Connection, dataset_id: str, error: dict[str, Any]) -> None:
    """Record why the dataset can't be used."""
    _update(connection, dataset_id, status="failed", error=error, uri=None, progress=None)


def delete(connection: Connection, dataset_id: str) -> None:
    """Forget the dataset; DatasetInUseError where a job refers to it."""
    merged = select(merged_datasets.c.id).where(merged_datasets.c.dataset_id == dataset_id)
    names = [dataset_id, *connection.execute(merged).scalars()]  # a job may name it by the id that it was asked for
    uses = or_(jobs.c.dataset_id == dataset_id, jobs.c.spec["validation_dataset"].as_string().in_(names))
    if connection.execute(select(jobs.c.id).where(uses).limit(1)).first() is not None:
        raise DatasetInUseError(dataset_id)
    connection.execute(datasets.delete().where(datasets.c.id == dataset_id))


def content_keys(connection: Connection) -> list[str]:
    """The names of all contents that any dataset has, or is to have."""
    return list(connection.execute(select(datasets.c.content_key).distinct()).scalars())


def shares_content(connection: Connection, content_key: str) -> bool:
    """Whether any dataset still uses the column files of this content."""
    query = select(datasets.c.id).where(datasets.c.content_key == content_key).limit(1)
    return connection.execute(query).first() is not None


def _row(connection: Connection, query: Select[Any], dataset_id: str) -> RowMapping | None:
    found = connection.execute(query.where(datasets.c.id == dataset_id)).mappings().first()
    if found is not None:
        return found
    query = query.join(merged_datasets, merged_datasets.c.dataset_id == datasets.c.id)
    return connection.execute(query.where(merged_datasets.c.id == dataset_id)).mappings().first()


def _columns_without_texts(connection: Connection, ids: list[str]) -> dict[str, list[dict[str, Any]] | None]:
    """By id. Only one dataset's texts are in memory at a time."""
    query = select(datasets.c.id, datasets.c.columns).where(datasets.c.id.in_(ids)).execution_options(yield_per=1)
    return {
        found: columns and [{key: value for key, value in column.items() if key not in TEXTS} for column in columns]
        for found, columns in connection.execute(query)
    }


def _move_jobs(connection: Connection, merged: str, into: str) -> None:
    """Let jobs that train on the one dataset, or validate on it, do so on the other."""
    connection.execute(jobs.update().where(jobs.c.dataset_id == merged).values(dataset_id=into))
    names = ("dataset", "validation_dataset")
    named = or_(*(jobs.c.spec[name].as_string() == merged for name in names))
    for job_id, spec in connection.execute(select(jobs.c.id, jobs.c.spec).where(named).with_for_update()).all():
        moved = {name: into for name in names if spec.get(name) == merged}
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(spec={**spec, **moved}))


def _newest_before(connection: Connection, project: str, name: str, before: int) -> Dataset | None:
    query = select(datasets).where(datasets.c.project == project, datasets.c.name == name)
    query = query.where(datasets.c.version < before).order_by(datasets.c.version.desc()).limit(1)
    return _dataset(connection.execute(query).mappings().first())


def _update(connection: Connection, dataset_id: str, **values: object) -> None:
    connection.execute(
        datasets.update().where(datasets.c.id == dataset_id, datasets.c.status == "preparing").values(**values)
    )


def _dataset(row: RowMapping | None) -> Dataset | None:
    return None if row is None else Dataset(**row)


def _required(dataset: Dataset | None) -> Dataset:
    if dataset is None:
        raise LookupError("a dataset that was just written is gone")
    return dataset
