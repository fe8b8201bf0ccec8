"""Datasets: upload, look at, delete. Reading the file into columns is the dispatcher's part."""

import contextlib
from typing import Annotated, BinaryIO, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import JSONResponse

from service.errors import ConflictError, NotFoundError
from service.paths import columns_directory, upload_path
from service.routes.context import PROJECT, Actor, After, Context, InContext, Limit, Name
from service.routes.idempotency import Key, check_key, made_before, made_once
from service.schemas import DatasetDocument, DatasetList, DeletedDocument, ImportRequest, PreviewDocument
from service.store import datasets
from service.store.database import Transaction
from service.store.datasets import Dataset, DatasetInUseError
from service.strict_route import StrictRoute
from service.uploads import Upload, add, check, preview, read_upload, received
from service.views import dataset_view, deleted_view, page_view
from workers.files import remove

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=StrictRoute)

Status = Literal["preparing", "ready", "failed"]


BY_URI = {"requestBody": {"content": {"application/json": {"schema": ImportRequest.model_json_schema()}}}}


@router.post(
    "",
    status_code=201,
    responses={200: {"model": PreviewDocument}, 201: {"model": DatasetDocument}},
    openapi_extra=BY_URI,
)
def upload_dataset(
    context: InContext,
    actor: Actor,
    file: Annotated[UploadFile, File(description="A CSV, Parquet, Arrow or NumPy file")],
    name: Annotated[str | None, Form(description="Default: the file's name without its ending")] = None,
    options: Annotated[str | None, Form(description='JSON: {"delimiter": ";", "types": {"zip": "category"}}')] = None,
    tags: Annotated[str | None, Form(description='JSON: {"team": "growth"}')] = None,
    dry_run: Annotated[bool, Query(description="Say what would be understood, and keep nothing")] = False,  # noqa: FBT002
    idempotency_key: Key = None,
) -> JSONResponse:
    """Register a file, or in JSON a URI. The same content under the same name is the version that is there already."""
    upload = read_upload(name, options, tags, file.filename)
    if dry_run:
        return JSONResponse(preview(context.settings, upload, file.file))
    check_key(idempotency_key)
    dataset = _uploaded(context, actor, idempotency_key, upload, file.file)
    return JSONResponse(dataset_view(dataset), 201, {"Location": f"/v1/datasets/{dataset.id}"})


@router.get("", responses={200: {"model": DatasetList}})
def list_datasets(
    context: InContext, limit: Limit = 100, after: After = None, status: Status | None = None, name: Name = None
) -> JSONResponse:
    """The datasets, newest first."""
    with context.database.read() as connection:
        found, has_more = datasets.listed(connection, PROJECT, limit=limit, after=after, status=status, name=name)
    return JSONResponse(page_view([dataset_view(dataset) for dataset in found], has_more=has_more))


@router.get("/{dataset_id}", responses={200: {"model": DatasetDocument}})
def show_dataset(context: InContext, dataset_id: str) -> JSONResponse:
    """One dataset: its state, rows, columns and their statistics."""
    with context.database.read() as connection:
        return JSONResponse(dataset_view(_required(connection, dataset_id)))


@router.delete("/{dataset_id}", responses={200: {"model": DeletedDocument}})
def delete_dataset(context: InContext, dataset_id: str) -> JSONResponse:
    """Forget a dataset that no job refers to, with its files."""
    context.storage.reach()
    with context.database.write() as connection:
        dataset = _required(connection, dataset_id)
        try:
            datasets.delete(connection, dataset.id)
        except DatasetInUseError:
            message = f"Dataset '{dataset.name}@{dataset.version}' is used by a job. Delete its jobs first."
            raise ConflictError(message, code="dataset_in_use") from None
    context.storage.drop(upload_path(context.storage.root, dataset.id))
    _remove_columns(context, dataset)
    return JSONResponse(deleted_view("dataset", dataset.id))


def _uploaded(context: Context, actor: str, key: str | None, upload: Upload, file: BinaryIO) -> Dataset:
    """The dataset that a file makes: a new one, the one with its content, or what it made before under the same key."""
    with received(context.storage, file) as copy:
        asked = {"upload": copy.sha256, **upload._asdict()}
        with context.database.read() as connection:
            dataset = made_before(connection, actor, key, asked, datasets.get)
        if dataset is not None:
            return dataset
        check(copy, upload, context.settings, context.storage)
        with context.database.write() as connection:  # it may have been made meanwhile
            dataset = made_once(
                connection, actor, key, asked, datasets.get, lambda: add(connection, copy, upload, PROJECT, actor)
            )
        if dataset.id == copy.dataset_id:
            copy.stay()
    return dataset


def _remove_columns(context: Context, dataset: Dataset) -> None:
    """Take the column files away, unless another dataset has the same content.

    A writer of one waits while they get another name, and not for what a bucket has to be asked.
    """
    columns = columns_directory(context.storage.root, dataset.content_key)
    doomed = columns.with_name(f".{dataset.id}.removed")
    with context.database.write() as connection:
        if datasets.shares_content(connection, dataset.content_key):
            return
        with contextlib.suppress(FileNotFoundError):
            columns.rename(doomed)
    remove(doomed)
    if context.storage.url:
        context.storage.drop(columns)


def _required(connection: Transaction, dataset_id: str) -> Dataset:
    dataset = datasets.get(connection, dataset_id)
    if dataset is None or dataset.project != PROJECT:
        raise NotFoundError(f"There is no dataset '{dataset_id}'.")
    return dataset
