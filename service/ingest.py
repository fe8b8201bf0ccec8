"""Makes datasets of files: reads one and keeps a typed file per column, as `workers.dataset` reads them."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.column_files import ColumnFiles
from service.compressed import expand
from service.file_options import FileOptions, parse_options
from service.grown import grow
from service.progress import SILENT, Progress
from service.table import watched
from service.table_columns import format_of, open_source
from workers.dataset import check_files, read_metadata
from workers.errors import DataError
from workers.files import publish_directory
from workers.integrity import block_hashes

VERSION = 4
"""Raised when the same file and options would give another dataset, so that prepared ones are not mistaken for it."""
EXPANDED = "expanded.csv"


def check_options(options: dict[str, Any]) -> None:
    """DataError `invalid_options` where an option is unknown, wrong or not supported; each is named `options.x`."""
    parse_options(options)


def content_key(sha256: str, options: dict[str, Any]) -> str:
    """The hex SHA-256 that names the dataset of a file with this SHA-256, read with these options."""
    read_with = parse_options(options).model_dump(exclude={"sha256"})
    canonical = json.dumps([VERSION, read_with], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(sha256.encode() + canonical.encode()).hexdigest()


def check_sha256(sha256: str, options: dict[str, Any]) -> None:
    """DataError `checksum_mismatch` where the options say that the file has another SHA-256."""
    expected = parse_options(options).sha256
    if expected not in {None, sha256}:
        raise DataError(
            f"The file's SHA-256 is {sha256}, and options.sha256 expects {expected}: it is another file, or was "
            f"damaged on its way. Send it again, or correct options.sha256.",
            code="checksum_mismatch",
            field="options.sha256",
        )


def ingest_file(
    path: Path,
    options: dict[str, Any],
    destination: Path,
    limits: Mapping[str, int],
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Makes the dataset in `destination`, whole or not at all, unless it is there: {rows, rejected_rows, columns}.

    One that is there and was changed since is made anew.
    `limits` holds the largest numbers of `columns`, `rows`, `bytes` (once expanded) and `memory_bytes`. DataError names
    what is wrong with the file, with row and column.
    """
    parsed = parse_options(options)
    if not _is_whole(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _directory_beside(destination) as temporary:
            _write(path, parsed, temporary, dict(limits), progress)
            publish_directory(temporary, destination)
    saved = json.loads((destination / "columns.json").read_bytes())
    return {"rows": saved["rows"], "rejected_rows": saved.get("rejected_rows", 0), "columns": saved["columns"]}


def _is_whole(directory: Path) -> bool:
    """Whether the dataset is there as it was written; what is left of one that is not makes room."""
    if not directory.exists():
        return False
    try:
        check_files(directory, read_metadata(directory))
    except DataError:
        shutil.rmtree(directory)
        return False
    return True


@contextmanager
def _directory_beside(destination: Path) -> Iterator[Path]:
    temporary = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, options: FileOptions, directory: Path, limits: dict[str, int], progress: Progress) -> None:
    """Column files and their description; what is expanded on the way lies in the directory meanwhile."""
    found = format_of(path, options)
    if found.is_gzip:
        expand(path, directory / EXPANDED, limits, progress)
        path = directory / EXPANDED
    source = watched(open_source(path, found, options, limits, progress), progress)
    files = ColumnFiles(directory)
    grown = grow(source, options, files, limits)
    files.close()
    (directory / EXPANDED).unlink(missing_ok=True)
    hashes = _hashes(directory, progress)
    are_lines = source.rows_are_lines() and not grown.rejected_rows
    first_row = source.first_row if are_lines else None
    described = {**grown._asdict(), "first_row": first_row, "files": hashes}
    text = json.dumps(described, ensure_ascii=False, allow_nan=False)
    (directory / "columns.json").write_text(text, encoding="utf-8")


def _hashes(directory: Path, progress: Progress) -> dict[str, dict[str, Any]]:
    """Those of each column file, by its name."""
    places = sorted(directory.glob("*.npy"))
    progress.begin("keeping", sum(place.stat().st_size for place in places))
    found, n_bytes = {}, 0
    for place in places:
        found[place.name] = block_hashes(place)
        n_bytes += place.stat().st_size
        progress.at(n_bytes)
    return found
