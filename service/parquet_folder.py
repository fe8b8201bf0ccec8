"""Reads a folder of Parquet files as one table: the files one behind the other, all with the same columns."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.file_format import START_BYTES, FileFormat, file_format, refuse_mismatch
from service.file_options import FileOptions
from service.native_types import least_bytes
from service.parquet_file import open_parquet
from service.table import Batches, check_expansion, check_size, shown
from workers.errors import DataError

FOLDER = FileFormat("parquet", "a folder of Parquet files")


def folder_format(folder: Path, options: FileOptions) -> FileFormat:
    """FOLDER; DataError where one of its files is no Parquet file, or the options declare another format."""
    for path in _files(folder):
        with path.open("rb") as file, _named(path):
            found = file_format(file.read(START_BYTES), options)
            if found.name != FOLDER.name:
                refuse_mismatch(f"{found.words}, and a folder is of Parquet files only", options)
    return FOLDER


def open_parquet_folder(folder: Path, limits: Mapping[str, int]) -> Batches:
    """The columns and rows of all files; DataError as `open_parquet`, and `schema_mismatch` where columns differ.

    Files are opened one at a time, and twice: its footer now, for types and limits, its rows when their turn comes.
    """
    paths = _files(folder)
    with _named(paths[0]):
        schema = open_parquet(paths[0], limits).schema
    rows = 0
    for path in paths:
        with _named(path):
            source = open_parquet(path, limits)
            _check_same(source.schema, schema, paths[0])
        rows += source.rows
    check_size(rows, len(schema), limits)
    check_expansion(rows * least_bytes(schema), sum(path.stat().st_size for path in paths), limits)
    return Batches(schema, rows, _batches(paths, schema, limits))


def _batches(paths: list[Path], schema: Any, limits: Mapping[str, int]) -> Iterator[Any]:  # noqa: ANN401 - a pyarrow.Schema
    for path in paths:
        with _named(path):
            for batch in open_parquet(path, limits).batches:
                yield batch.select(schema.names)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=os.fsencode)


def _check_same(schema: Any, first: Any, first_path: Path) -> None:  # noqa: ANN401 - pyarrow.Schemas
    """DataError where a column of the first file is missing, has another type, or is not the first file's."""
    theirs = f"'{shown(first_path.name)}'"
    for name in first.names:
        if name not in schema.names:
            raise _mismatch(f"There is no column '{shown(name)}', which {theirs} has")
        if schema.field(name).type != first.field(name).type:
            types = f"{schema.field(name).type}, and {first.field(name).type} in {theirs}"
            raise _mismatch(f"Column '{shown(name)}' is of the type {types}")
    more = next((name for name in schema.names if name not in first.names), None)
    if more is not None:
        raise _mismatch(f"Column '{shown(more)}' is not in {theirs}")


def _mismatch(what: str) -> DataError:
    return DataError(f"{what}. Write all files of the folder with the same columns.", code="schema_mismatch")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """DataErrors from here to the end of the block say which file they are about."""
    try:
        yield
    except DataError as error:
        name = os.fsencode(path.name).decode(errors="replace")
        raise DataError(f"In '{shown(name)}': {error.message}", code=error.code, errors=error.errors) from None
