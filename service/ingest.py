"""Makes datasets of files: reads a CSV once and keeps a typed file per column, as `workers.dataset` reads them."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.column_types import TypedColumn, typed_column
from service.csv_file import CsvTable, read_table, row_number
from service.csv_options import CsvOptions, parse_options
from workers.errors import DataError
from workers.files import publish_directory

VERSION = 1
"""Raised when the same file and options would give another dataset, so that prepared ones are not mistaken for it."""


def check_options(options: dict[str, Any]) -> None:
    """DataError `invalid_options` where an option is unknown, wrong or not supported; each is named `options.x`."""
    parse_options(options)


def content_key(sha256: str, options: dict[str, Any]) -> str:
    """The hex SHA-256 that names the dataset of a file with this SHA-256, read with these options."""
    canonical = json.dumps([VERSION, parse_options(options).model_dump()], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(sha256.encode() + canonical.encode()).hexdigest()


def check_head(path: Path, options: dict[str, Any], limits: Mapping[str, int], limit_bytes: int = 2**20) -> None:
    """DataError where the first `limit_bytes` of a file show already that it can't be a dataset.

    A larger file is cut at the last line that fits. Then only what can't be otherwise in the whole file is refused: the
    types of columns follow from all of their values, unless they are declared.
    """
    parsed = parse_options(options)
    if path.stat().st_size <= limit_bytes:
        _typed_columns(path, parsed, read_table(path, parsed, limits))
        return
    with path.open("rb") as file:
        head = file.read(limit_bytes)
    head = head[: head.rfind(b"\n") + 1]
    if head.count(b"\n") < 2 or head.count(b'"') % 2:  # noqa: PLR2004 - a header and a row; or cut inside a value
        return
    with tempfile.NamedTemporaryFile(suffix=".csv") as copy:
        copy.write(head)
        copy.flush()
        table = read_table(Path(copy.name), parsed, limits)
        declared = [place for place, name in enumerate(table.names) if name in parsed.types]
        names, columns = [table.names[place] for place in declared], [table.columns[place] for place in declared]
        _typed_columns(Path(copy.name), parsed, table._replace(names=names, columns=columns))


def ingest_csv(path: Path, options: dict[str, Any], destination: Path, limits: Mapping[str, int]) -> dict[str, Any]:
    """Makes the dataset in `destination`, whole or not at all, unless it is there: {rows, rejected_rows, columns}.

    `limits` holds the largest number of `columns`. DataError names what is wrong with the file, with row and column.
    """
    parsed = parse_options(options)
    if not (destination / "columns.json").exists():
        table = read_table(path, parsed, limits)
        typed = _typed_columns(path, parsed, table)
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
        try:
            _write(temporary, table, typed)
            publish_directory(temporary, destination)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    saved = json.loads((destination / "columns.json").read_bytes())
    return {"rows": saved["rows"], "rejected_rows": 0, "columns": saved["columns"]}


def _typed_columns(path: Path, options: CsvOptions, table: CsvTable) -> list[TypedColumn]:
    for name in options.types:
        if name not in table.names:
            raise DataError(
                f"options.types names column '{name}', which the file does not have.",
                code="column_not_found",
                field="options.types",
            )
    typed = []
    for place, name in enumerate(table.names):
        typed.append(typed_column(name, table.columns[place], options, partial(row_number, path, options)))
        table.columns[place] = None  # its text is not needed any more
    return typed


def _write(directory: Path, table: CsvTable, typed: list[TypedColumn]) -> None:
    for place, column in enumerate(typed):
        for suffix, array in column.arrays.items():
            np.save(directory / f"{place:06d}{suffix}.npy", array, allow_pickle=False)
    described = {
        "rows": table.rows,
        "first_row": table.first_row,
        "columns": [column.metadata for column in typed],
    }
    text = json.dumps(described, ensure_ascii=False, allow_nan=False)
    (directory / "columns.json").write_text(text, encoding="utf-8")
