"""Opens a zip archive of NumPy arrays: everything that its directory declares is checked before a member is read."""

import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from service.compressed import expansion_limit
from service.file_format import refuse_mismatch, refuse_pickle
from service.file_options import FileOptions
from workers.errors import DataError

MOST_MEMBERS = 100
LARGEST_DIRECTORY_BYTES = 2**20
UNCOUNTED_MEMBERS = 0xFFFF
"""What stands for this many or more, which are counted elsewhere (ZIP64)."""
END_BYTES = 22
END_MAGIC = b"PK\x05\x06"
LONGEST_COMMENT_BYTES = 2**16
LOCAL_HEADER_BYTES = 30
IS_ENCRYPTED = 0x1
OTHERS = {
    "xl/workbook.xml": "an Excel workbook",
    "word/document.xml": "a Word document",
    "mimetype": "an OpenDocument file",
    "META-INF/MANIFEST.MF": "a Java archive",
}


def open_archive(path: Path, options: FileOptions, limits: Mapping[str, int]) -> zipfile.ZipFile:
    """The archive, which the caller closes.

    DataError: `archive_too_large`, `unsafe_member_name`, `pickle_not_allowed`, `format_mismatch`, `file_corrupt`.
    """
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise _corrupt(str(error)) from None
    try:
        _check_names(archive.namelist(), options)
        _check_members(archive.infolist(), path.stat().st_size, limits)
    except DataError:
        archive.close()
        raise
    return archive


def _check_directory(path: Path) -> None:
    """The number of members and the size of their directory, before anything is made of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - END_BYTES - LONGEST_COMMENT_BYTES))
        end = file.read()
    place = end.rfind(END_MAGIC)
    if place < 0 or len(end) - place < END_BYTES:
        raise _corrupt("it is cut off")
    members = int.from_bytes(end[place + 10 : place + 12], "little")
    n_bytes = int.from_bytes(end[place + 12 : place + 16], "little")
    if members > MOST_MEMBERS or n_bytes > LARGEST_DIRECTORY_BYTES:
        _refuse_members(f"at least {members}" if members == UNCOUNTED_MEMBERS else str(members))


def _check_names(names: list[str], options: FileOptions) -> None:
    if len(names) > MOST_MEMBERS:
        _refuse_members(str(len(names)))
    for name in names:
        if name.startswith(("/", "\\")) or ":" in name or "\\" in name or ".." in name.split("/"):
            raise DataError(
                f"The archive has a member {name[:80]!r}, which points outside of it. Write it with numpy.savez.",
                code="unsafe_member_name",
            )
    if other := next((words for member, words in OTHERS.items() if member in names), None):
        refuse_mismatch(other, options)
    if pickle := next((name for name in names if name.lower().endswith((".pkl", ".pickle"))), None):
        refuse_pickle(f"The archive has a pickle in it ({pickle[:80]!r}), as PyTorch writes it")
    if not names or any("/" in name or not name.endswith(".npy") for name in names):
        held = ", ".join(repr(name[:40]) for name in names[:3])
        refuse_mismatch(f"a zip archive that holds {held or 'nothing'}, no NumPy arrays", options)
    if len(set(names)) < len(names):
        raise _corrupt("a name stands twice in it")


def _check_members(members: list[zipfile.ZipInfo], size: int, limits: Mapping[str, int]) -> None:
    for member in members:
        if member.flag_bits & IS_ENCRYPTED:
            raise DataError("The archive is encrypted. Write it without a password.", code="file_encrypted")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise _corrupt(f"'{member.filename}' is compressed in a way that numpy does not write")
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise _corrupt(f"'{member.filename}' is stored with two sizes")
    placed = sorted(members, key=lambda member: member.header_offset)
    for member, following in pairwise(placed):
        if _least_end(member) > following.header_offset:
            raise _corrupt(f"'{member.filename}' and '{following.filename}' overlap")
    if placed and _least_end(placed[-1]) > size:
        raise _corrupt(f"'{placed[-1].filename}' reaches beyond its end")
    total, limit = sum(member.file_size for member in members), expansion_limit(size, limits)
    if total > limit:
        raise DataError(
            f"The archive of {size:,} bytes expands to {total:,} bytes, and {limit:,} is the limit for it. "
            f"Write it with numpy.savez, which does not compress.",
            code="archive_too_large",
        )


def _least_end(member: zipfile.ZipInfo) -> int:
    return member.header_offset + LOCAL_HEADER_BYTES + len(member.filename.encode()) + member.compress_size


def _refuse_members(members: str) -> None:
    raise DataError(
        f"The archive has {members} members or a directory that large, and {MOST_MEMBERS} are allowed. "
        f"Put the arrays X and y into it, and nothing else.",
        code="archive_too_large",
    )


def _corrupt(reason: str) -> DataError:
    return DataError(f"The archive is damaged: {reason}. Write it again with numpy.savez.", code="file_corrupt")
