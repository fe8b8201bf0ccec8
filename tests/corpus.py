"""Files as users send them, and as those who mean harm do: each made here, small, from plain values."""

import gzip
import io
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow.parquet import encryption

SIZES, COLOURS = [1.5, 2.0, None], ["red", "blue", "red"]
CANARY = Path(tempfile.gettempdir()) / f"gradsum-canary-{os.getpid()}"
"""A directory that a pickle of this corpus makes when it is loaded, in whatever process."""


class Bad(NamedTuple):
    """A file that must be refused: the row of FAULTS it is for, and what the refusal says."""

    row: str
    name: str
    make: Callable[[], bytes]
    code: str
    says: tuple[str, ...]
    options: Mapping[str, Any] = MappingProxyType({})


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(CANARY),)


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


def parquet(found: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(found, buffer, **options)
    return buffer.getvalue()


def arrow(found: pa.Table, compression: str | None = None) -> bytes:
    buffer = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(buffer, found.schema, options=options) as writer:
        writer.write_table(found)
    return buffer.getvalue()


def arrow_stream(found: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, found.schema) as writer:
        writer.write_table(found)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def npz_compressed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def lying_npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(**members: bytes) -> bytes:
    return archive_of(list(members.items()))


def archive_of(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return buffer.getvalue()


def zip_bomb() -> bytes:
    """About 100 KB that expand to 100 MB."""
    header = lying_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (12500000, 1)}")
    return archive_of([("X.npy", header + bytes(100_000_000))])


def overlapping_zip() -> bytes:
    """Two entries of the directory that are the same bytes of the file."""
    whole = bytearray(archive_of([("X.npy", npy(np.ones((2, 2)))), ("y.npy", npy(np.ones(2)))]))
    second = whole.rfind(b"PK\x01\x02")
    whole[second + 42 : second + 46] = bytes(4)
    return bytes(whole)


def corrupted_zip() -> bytes:
    """One byte of X is another one than the checksum says."""
    whole = bytearray(npz(X=np.ones((4, 2)), y=np.ones(4)))
    place = whole.find(np.float64(1).tobytes())
    whole[place] ^= 0xFF
    return bytes(whole)


def corrupted_columns() -> bytes:
    """The same in Fortran order."""
    whole = bytearray(npz(X=np.asfortranarray(np.ones((4, 2)))))
    whole[whole.find(np.float64(1).tobytes())] ^= 0x01
    return bytes(whole)


def columns_beyond_the_end() -> bytes:
    """The name of X is followed by so much, as its header says, that X itself begins behind the end of the file."""
    whole = bytearray(npz(X=np.asfortranarray(np.ones((4, 2)))))
    whole[28:30] = b"\xff\xff"
    return bytes(whole)


def parquet_bomb() -> bytes:
    """Some KB that declare, and hold, 400 million numbers: 3.2 GB."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int8)), pa.array([1.0]))
    buffer = io.BytesIO()
    found = pa.table({"x": column.cast(pa.float64())})
    with pq.ParquetWriter(buffer, found.schema, compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(found)
    return buffer.getvalue()


ROW_COUNTS = 4
"""How often pyarrow's footer says how many rows there are: first of the file, last of the row group."""


def arrow_bomb() -> bytes:
    """Some KB with one buffer of 320 MB, which nothing but the buffer itself declares."""
    return arrow(table(x=np.zeros(40_000_000)), "zstd")


def forged_parquet(places: set[int], declared: int, **written: Any) -> bytes:
    """Another number of rows than 1000 at these places of the footer, counted from the first."""
    whole = bytearray(parquet(table(x=[float(i) for i in range(1000)]), compression="none", **written))
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    varint = bytes([0xD0, 0x0F])  # 1000 as thrift writes it
    found = [place for place in range(footer, len(whole)) if whole[place : place + 2] == varint]
    assert len(found) == ROW_COUNTS
    for place in (found[number] for number in places):
        whole[place : place + 2] = bytes([2 * declared & 0x7F | 0x80, declared >> 6])
    return bytes(whole)


class _Keys(encryption.KmsClient):  # type: ignore[misc] # pyarrow has no types
    def __init__(self, _configuration: Any) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key_bytes: bytes, _master_key: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, _master_key: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


def encrypted_parquet(*, plaintext_footer: bool) -> bytes:
    configuration = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"k": ["x"]}, plaintext_footer=plaintext_footer
    )
    factory = encryption.CryptoFactory(_Keys)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    return parquet(table(x=[1.0, 2.0], y=[1, 2]), encryption_properties=properties)


def good_table() -> pa.Table:
    """Every type that can be a column."""
    return table(
        size=pa.array(SIZES, pa.float32()),
        count=pa.array([1, 2, 3], pa.uint8()),
        price=pa.array([Decimal("1.10"), Decimal("2.20"), None], pa.decimal128(8, 2)),
        colour=pa.array(COLOURS).dictionary_encode(),
        note=pa.array([" a ", "", None], pa.large_string()),
        good=pa.array([True, False, None]),
        day=pa.array([date(2026, 1, 31), None, date(2026, 2, 1)]),
        time=pa.array([datetime(2026, 1, 31, 12), datetime(2026, 1, 31, 11), None], pa.timestamp("us")),  # noqa: DTZ001
        nothing=pa.nulls(3),
    )


X, Y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
NUMBERS = table(a=[1.0, 2.0], b=[3.0, 4.0])

BAD = [
    Bad(
        "B21",
        "a Parquet file without rows",
        lambda: parquet(table(a=pa.array([], pa.int64()))),
        "dataset_empty",
        ("no rows",),
    ),
    Bad(
        "B21",
        "an Arrow file without rows",
        lambda: arrow(table(a=pa.array([], pa.int64()))),
        "dataset_empty",
        ("no rows",),
    ),
    Bad("B21", "an array without rows", lambda: npy(np.ones((0, 3))), "dataset_empty", ("no rows",)),
    Bad("B23", "a line of 10 MB", lambda: b"a,b\n1," + b"9" * 10_000_000 + b"\n", "row_too_long", ("Row 2", "4194304")),
    Bad("B23", "a header without end", lambda: b"a," * 5_000_000, "row_too_long", ("Row 1",)),
    Bad("B23", "a ragged row in gzip", lambda: gzip.compress(b"a,b\n1,2\n3\n"), "ragged_row", ("Row 3", "1 value")),
    Bad("B23", "a decimal mark that may be thousands", lambda: b"a;b\n1,234;x\n", "ambiguous_decimal", ("'1,234'",)),
    Bad(
        "B24",
        "text in a column declared a number",
        lambda: parquet(table(a=["1", "n/a", "?"])),
        "column_has_text",
        ("'a'", "row 2 ('n/a')"),
        {"types": {"a": "number"}},
    ),
    Bad(
        "B24",
        "what is no date",
        lambda: b"d,b\n2026-01-31,1\n31.1.2026,2\n",
        "column_has_text",
        ("'d'", "row 3 ('31.1.2026')"),
        {"types": {"d": "date"}},
    ),
    Bad(
        "B24",
        "a long text that is no date",
        lambda: b"d,b\n2026-01-31,1\nyesterday,2\n" + b"x" * 99 + b",3\n",
        "column_has_text",
        ("row 3 ('yesterday'), row 4 ('" + "x" * 40 + "…')", "2026-01-31T12:00:00"),
        {"types": {"d": "date"}},
    ),
    Bad(
        "B24",
        "dates declared numbers",
        lambda: parquet(table(d=[date(2026, 1, 31)])),
        "type_mismatch",
        ("'d'", "date"),
        {"types": {"d": "number"}},
    ),
    Bad("B25", "NaN in Parquet", lambda: parquet(table(a=[1.0, float("nan")])), "nonfinite_values", ("'a'", "row 2")),
    Bad(
        "B25", "infinity in an array", lambda: npz(X=np.array([[1.0], [np.inf]])), "nonfinite_values", ("'x0'", "row 2")
    ),
    Bad(
        "B25",
        "1e308 in Parquet",
        lambda: parquet(table(a=[1.0, -1e308])),
        "nonfinite_values",
        ("'a' has 1 number", "row 2", "float32"),
    ),
    Bad("B25", "1e308 in Arrow", lambda: arrow(table(a=[1.0, 1e308])), "nonfinite_values", ("'a'", "row 2", "float32")),
    Bad("B25", "1e308 in an array", lambda: npz(X=np.array([[1.0], [1e308]])), "nonfinite_values", ("'x0'", "row 2")),
    Bad("B28", "complex numbers", lambda: npy(np.ones((2, 2), complex)), "unsupported_dtype", ("complex128",)),
    Bad("B28", "times", lambda: npy(np.zeros((2, 2), "datetime64[s]")), "unsupported_dtype", ("datetime64[s]",)),
    Bad("B28", "records", lambda: npy(np.zeros(2, [("a", int)])), "unsupported_dtype", ("'a'",)),
    Bad("B28", "bytes", lambda: npy(np.array([b"x"])), "unsupported_dtype", ("S1",)),
    Bad("B28", "binary in Parquet", lambda: parquet(table(a=[b"x"])), "unsupported_column", ("'a'", "binary")),
    Bad("B29", "different numbers of rows", lambda: npz(X=X, y=np.ones(2)), "shape_mismatch", ("X (3, 2)", "y (2, 1)")),
    Bad("B29", "three dimensions", lambda: npy(np.ones((2, 3, 4))), "shape_mismatch", ("(2, 3, 4)",)),
    Bad("B29", "no columns", lambda: npy(np.ones((3, 0))), "shape_mismatch", ("(3, 0)",)),
    Bad(
        "B29",
        "a million columns in an array",
        lambda: npy(np.ones((1, 10**6), np.int8)),
        "too_many_columns",
        ("1000000 columns", "100 are"),
    ),
    Bad(
        "B29",
        "too many columns in Parquet",
        lambda: parquet(table(**{f"c{i}": [1] for i in range(101)})),
        "too_many_columns",
        ("101 columns",),
    ),
    Bad("B29", "other arrays", lambda: npz(data=X), "wrong_arrays", ("data", "numpy.savez")),
    Bad(
        "B30",
        "a column twice in Parquet",
        lambda: parquet(pa.Table.from_arrays([[1], [2]], ["a", "a"])),
        "duplicate_column",
        ("'a'",),
    ),
    Bad(
        "B30",
        "a column without a name",
        lambda: arrow(pa.Table.from_arrays([[1], [2]], ["a", ""])),
        "empty_column_name",
        ("Column 2",),
    ),
    Bad("B31", "a pickled .npy", lambda: npy(np.array([Harm()], object)), "pickle_not_allowed", ("X", "objects")),
    Bad(
        "B31", "an object in an .npz", lambda: npz(X=X, y=np.array([Harm()] * 3, object)), "pickle_not_allowed", ("y",)
    ),
    Bad("B31", "a raw pickle", lambda: pickle.dumps(Harm()), "pickle_not_allowed", ("pickle",)),
    Bad(
        "B31",
        "a PyTorch file",
        lambda: archive_of([("model/data.pkl", pickle.dumps(Harm())), ("model/version", b"3")]),
        "pickle_not_allowed",
        ("PyTorch",),
    ),
    Bad("B31", "a pickle for an array", lambda: archive_of([("X.npy", pickle.dumps(Harm()))]), "file_corrupt", ("X",)),
    Bad("B32", "a zip bomb", zip_bomb, "archive_too_large", ("expands to 100,00",)),
    Bad("B32", "a gzip bomb", lambda: gzip.compress(b"a\n" + b"1\n" * 50_000_000, 1), "archive_too_large", ("limit",)),
    Bad("B32", "members that overlap", overlapping_zip, "file_corrupt", ("overlap",)),
    Bad(
        "B32",
        "a zip in a zip",
        lambda: archive_of([("X.npy", archive_of([("X.npy", npy(X))]))]),
        "file_corrupt",
        ("X",),
    ),
    Bad(
        "B32",
        "many members",
        lambda: archive_of([(f"{i}.npy", b"") for i in range(100_000)], 0),
        "archive_too_large",
        ("at least 65535 members",),
    ),
    Bad("B32", "a member above", lambda: archive_of([("../X.npy", npy(X))]), "unsafe_member_name", ("'../X.npy'",)),
    Bad("B32", "an absolute member", lambda: archive_of([("/etc/X.npy", npy(X))]), "unsafe_member_name", ("/etc",)),
    Bad(
        "B33",
        "a header of 800 GB",
        lambda: lying_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 1)}"),
        "file_corrupt",
        ("800000000000 bytes",),
    ),
    Bad(
        "B33",
        "a negative shape",
        lambda: lying_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2)}", bytes(16)),
        "file_corrupt",
        ("-1",),
    ),
    Bad(
        "B33",
        "code for a header",
        lambda: lying_npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}"),
        "file_corrupt",
        ("header",),
    ),
    Bad("B33", "brackets for a header", lambda: lying_npy("(" * 5000), "file_corrupt", ("header",)),
    Bad("B33", "a truncated .npy", lambda: npy(X)[:-8], "file_corrupt", ("48 bytes", "40")),
    Bad("B33", "a truncated .npz", lambda: npz(X=X)[:-30], "file_corrupt", ("archive",)),
    Bad("B33", "a wrong checksum", corrupted_zip, "file_corrupt", ("X", "CRC")),
    Bad("B33", "a wrong checksum of columns", corrupted_columns, "file_corrupt", ("X", "CRC")),
    Bad("B33", "columns beyond the end", columns_beyond_the_end, "file_corrupt", ("X",)),
    Bad(
        "B33",
        "columns without rows",
        lambda: lying_npy("{'descr': '<f8', 'fortran_order': True, 'shape': (0, 2)}"),
        "dataset_empty",
        ("no rows",),
    ),
    Bad(
        "B34",
        "a Parquet bomb",
        parquet_bomb,
        "file_too_large",
        ("320,000,000 bytes", "GRADSUM_LIMIT_INGEST_MEMORY_BYTES"),
    ),
    Bad(
        "B34",
        "a footer of more rows",
        lambda: forged_parquet(set(range(ROW_COUNTS)), 8000, use_dictionary=False),
        "file_corrupt",
        ("damaged",),
    ),
    Bad(
        "B34",
        "a footer of fewer rows",
        lambda: forged_parquet(set(range(ROW_COUNTS)), 980),
        "file_corrupt",
        ("declares 980 rows", "holds 1000", "'x'", "damaged"),
    ),
    Bad(
        "B34",
        "a footer of fewer rows, other pages",
        lambda: forged_parquet(set(range(ROW_COUNTS)), 980, data_page_version="2.0", data_page_size=64),
        "file_corrupt",
        ("declares 980 rows", "holds 1000", "damaged"),
    ),
    Bad(
        "B34",
        "a file of fewer rows than its row groups",
        lambda: forged_parquet({0}, 980),
        "file_corrupt",
        ("declares 980 rows", "row groups of 1000", "damaged"),
    ),
    Bad(
        "B34",
        "a row group of fewer rows than its columns",
        lambda: forged_parquet({0, 3}, 980),
        "file_corrupt",
        ("declares 980 rows", "holds 1000", "damaged"),
    ),
    Bad(
        "B34",
        "an encrypted footer",
        lambda: encrypted_parquet(plaintext_footer=False),
        "file_encrypted",
        ("encrypted",),
    ),
    Bad("B34", "encrypted columns", lambda: encrypted_parquet(plaintext_footer=True), "file_encrypted", ("encrypted",)),
    Bad("B34", "a list", lambda: parquet(table(a=[[1, 2]])), "unsupported_column", ("'a'", "list")),
    Bad("B34", "a struct", lambda: parquet(table(a=[{"b": 1}])), "unsupported_column", ("'a'", "struct")),
    Bad(
        "B34",
        "a map",
        lambda: arrow(table(a=pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())))),
        "unsupported_column",
        ("'a'", "map"),
    ),
    Bad(
        "B34",
        "durations",
        lambda: arrow(table(a=pa.array([1], pa.duration("s")))),
        "unsupported_column",
        ("'a'", "duration"),
    ),
    Bad("B34", "a truncated footer", lambda: parquet(NUMBERS)[:-20], "file_corrupt", ("cut off",)),
    Bad(
        "B34",
        "a footer longer than the file",
        lambda: parquet(NUMBERS)[:-8] + b"\xff\xff\xff\x7fPAR1",
        "file_corrupt",
        ("footer",),
    ),
    Bad(
        "B34",
        "a footer of noise",
        lambda: b"PAR1" + bytes(range(200)) + struct.pack("<I", 150) + b"PAR1",
        "file_corrupt",
        ("damaged",),
    ),
    Bad("B34", "a truncated Arrow file", lambda: arrow(NUMBERS)[:-40], "file_corrupt", ("damaged",)),
    Bad(
        "B34",
        "an Arrow file of noise",
        lambda: b"ARROW1\x00\x00" + bytes(range(200)) + b"ARROW1",
        "file_corrupt",
        ("damaged",),
    ),
    Bad(
        "B35",
        "a PNG",
        lambda: b"\x89PNG\r\n\x1a\n" + bytes(50),
        "format_mismatch",
        ("PNG image", "csv"),
        {"format": "csv"},
    ),
    Bad(
        "B35",
        "Parquet declared CSV",
        lambda: parquet(NUMBERS),
        "format_mismatch",
        ("Parquet", "declares csv"),
        {"format": "csv"},
    ),
    Bad(
        "B35",
        "CSV declared Parquet",
        lambda: b"a,b\n1,2\n",
        "format_mismatch",
        ("text", "declares parquet"),
        {"format": "parquet"},
    ),
    Bad("B35", "an HTML page", lambda: b"<!DOCTYPE html><html>Log in</html>", "format_mismatch", ("HTML page",)),
    Bad(
        "B35",
        "an HTML page in gzip",
        lambda: gzip.compress(b"<html>Log in</html>"),
        "format_mismatch",
        ("HTML page in gzip",),
    ),
    Bad(
        "B35", "Parquet in gzip", lambda: gzip.compress(parquet(NUMBERS)), "format_mismatch", ("Parquet file in gzip",)
    ),
    Bad(
        "B35", "a gzip file that is cut off", lambda: gzip.compress(b"a,b\n1,2\n" * 999)[:-9], "file_corrupt", ("gzip",)
    ),
    Bad(
        "B35",
        "a workbook",
        lambda: archive_of([("[Content_Types].xml", b""), ("xl/workbook.xml", b"")]),
        "format_mismatch",
        ("Excel workbook",),
    ),
    Bad(
        "B35",
        "a CSV in a zip",
        lambda: archive_of([("a.csv", b"a\n1\n")]),
        "format_mismatch",
        ("zip archive", "'a.csv'"),
    ),
    Bad("B35", "JSON", lambda: b'[{"a": 1}]', "format_mismatch", ("JSON",)),
    Bad("B35", "an Arrow stream", lambda: arrow_stream(NUMBERS), "format_mismatch", ("Arrow stream",)),
    Bad(
        "B35",
        "a delimiter for Parquet",
        lambda: parquet(NUMBERS),
        "invalid_options",
        ("options.delimiter", "Parquet"),
        {"delimiter": ";"},
    ),
]
"""Limits they are made for: 100 columns, 10⁸ rows, 100 MB of memory."""
