"""Folders of Parquet files: which of their entries are read, in which order, and the hash of all of them."""

import hashlib
import os
from collections.abc import Iterable

from service.imports.failures import fetch_failed
from workers.errors import DataError

MOST_FILES = 10_000
LONGEST_NAME_BYTES = 255
HIDDEN = (".", "_")
"""How names begin that writers of Parquet files keep for themselves, such as _SUCCESS."""


def files_of(entries: Iterable[tuple[str, bool]]) -> list[str]:
    """The names of the files to read, in the order of their bytes; of each entry its name and whether it is a folder.

    DataError `dataset_empty` where there is none, `unsupported_folder` where folders are among them, `fetch_failed`
    where there are too many or one's name is too long.
    """
    names: list[str] = []
    for name, is_folder in entries:
        if name.startswith(HIDDEN):
            continue
        if is_folder:
            message = f"The folder has the folder '{_printable(name)}' in it. Put all files into one folder."
            raise DataError(message, code="unsupported_folder", field="uri")
        if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
            raise fetch_failed(f"its file '{_printable(name)[:40]}…' has a name of over {LONGEST_NAME_BYTES} bytes")
        names.append(name)
        if len(names) > MOST_FILES:
            raise fetch_failed(f"it has more than {MOST_FILES:,} files, the limit of a folder")
    if not names:
        raise DataError("The folder has no files in it that could be read.", code="dataset_empty")
    return sorted(names, key=os.fsencode)


def folder_sha256(files: Iterable[tuple[str, str]]) -> str:
    """The hex SHA-256 over (name, hex SHA-256) of each file: that of what `sha256sum` prints for all of them."""
    digest = hashlib.sha256()
    for name, sha256 in files:
        digest.update(f"{sha256}  ".encode() + os.fsencode(name) + b"\n")
    return digest.hexdigest()


def _printable(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")
