"""What a file is, from its first bytes, whatever it is called or declared to be."""

import codecs
from typing import NamedTuple, NoReturn

from service.file_options import FileOptions
from workers.errors import DataError

START_BYTES = 512


class FileFormat(NamedTuple):
    """One of the values of `options.format`, and the words for what was found."""

    name: str
    words: str
    is_gzip: bool = False


READ = {
    b"PAR1": FileFormat("parquet", "a Parquet file"),
    b"PARE": FileFormat("parquet", "an encrypted Parquet file"),
    b"ARROW1": FileFormat("arrow", "an Arrow file"),
    b"\x93NUMPY": FileFormat("npz", "a NumPy file"),
    b"PK\x03\x04": FileFormat("npz", "a zip archive"),
    b"PK\x05\x06": FileFormat("npz", "an empty zip archive"),
    b"\x1f\x8b": FileFormat("csv", "a gzip file", is_gzip=True),
}
REFUSED = {
    b"FEA1": "a Feather file of version 1",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\x89HDF": "an HDF5 file",
    b"MATLAB 5": "a MATLAB file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"SQLite format 3": "a SQLite database",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
}
PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
ACCEPTED = "Upload the table itself as CSV, Parquet, Arrow or NumPy file."


def file_format(start: bytes, options: FileOptions, *, inside_gzip: bool = False) -> FileFormat:
    """The format of a file that begins with `start`; DataError where it can't be read or is not the declared one."""
    if start.startswith(PICKLES):
        refuse_pickle("The file is a pickle")
    refused = next((words for magic, words in REFUSED.items() if start.startswith(magic)), _text_words(start))
    found = next((read for magic, read in READ.items() if start.startswith(magic)), FileFormat("csv", "text"))
    if inside_gzip:
        if refused or found.words != "text":
            refuse_mismatch(f"{refused or found.words} in gzip, which only CSV may be", options)
        return FileFormat("csv", "text", is_gzip=True)
    if refused:
        refuse_mismatch(refused, options)
    if options.format not in {"auto", found.name}:
        refuse_mismatch(found.words, options)
    if found.name != "csv" and options.only_for_csv:
        field = f"options.{options.only_for_csv}"
        raise DataError(
            f"{field} is for CSV; the file is {found.words}. Leave it out.", code="invalid_options", field=field
        )
    return found


def refuse_mismatch(words: str, options: FileOptions) -> NoReturn:
    """DataError `format_mismatch`: what the file is against what was declared or can be read."""
    if options.format == "auto":
        raise DataError(f"The file is {words}. {ACCEPTED}", code="format_mismatch")
    raise DataError(
        f"The file is {words}, and options.format declares {options.format}. Upload another file, or set it to auto.",
        code="format_mismatch",
        field="options.format",
    )


def refuse_pickle(what: str) -> NoReturn:
    """DataError `pickle_not_allowed`: nothing of a pickle is ever loaded, because loading one runs what it says."""
    raise DataError(
        f"{what}: loading it would run code, so it is not read. Save numbers or text as CSV, Parquet, Arrow or NumPy "
        f"arrays without objects.",
        code="pickle_not_allowed",
    )


def _text_words(start: bytes) -> str | None:
    text = start.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"<?xml"):
        return "an XML document"
    if text.startswith((b'{"', b"[{", b"[[", b"{\n", b"{\r\n")):
        return "JSON"
    return None
