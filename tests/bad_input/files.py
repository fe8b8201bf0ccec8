"""Files that must be refused, or understood for what they are: by upload, by the command line, by a look at them."""

import json
from collections.abc import Callable
from typing import Any

from tests import corpus
from tests.bad_input.case import Case, Outcome, Target

Make = Callable[[], bytes]
AT_ONCE_OR_LATER = (422, "failed")
HEAD_ROWS = 300_000
"""More than the first megabyte holds: what comes after them is found when the whole file is read."""


def uploaded(make: Make, **options: Any) -> Callable[[Target], Outcome]:
    def act(target: Target) -> Outcome:
        form = {"files": {"file": ("table", make())}, "data": {"options": json.dumps(options)}}
        return target.dataset(target.http.post("/v1/datasets", **form))

    return act


def added(content: bytes, name: str, *arguments: str) -> Callable[[Target], Outcome]:
    """By the command line."""

    def act(target: Target) -> Outcome:
        path = target.files / name
        path.write_bytes(content)
        return target.command("dataset", "add", str(path), *arguments)

    return act


def refused(row: str, name: str, content: bytes, code: str, *says: str, **options: Any) -> Case:
    """A file of which the first megabyte shows what is wrong."""
    return Case(row, name, uploaded(lambda: content, **options), (422,), code, says)


def failing(row: str, name: str, end: bytes, code: str, *says: str, **options: Any) -> Case:
    """A file whose end is wrong."""
    return Case(row, name, uploaded(lambda: b"a,b\n" + b"1,2\n" * HEAD_ROWS + end, **options), ("failed",), code, says)


def taken(row: str, name: str, content: bytes, **options: Any) -> Case:
    return Case(row, name, uploaded(lambda: content, **options), ("ready",))


def by_command(row: str, name: str, content: bytes, *says: str, arguments: tuple[str, ...] = ()) -> Case:
    return Case(row, name, added(content, f"{row}.csv", *arguments), ("exit 1",), "", says)


def no_pickle_was_loaded(_target: Target) -> Outcome:
    return Outcome("loaded" if corpus.CANARY.exists() else "not loaded", "", "")


FROM_CORPUS = [
    Case(bad.row, bad.name, uploaded(bad.make, **bad.options), AT_ONCE_OR_LATER, bad.code, bad.says)
    for bad in corpus.BAD
]
LAST_ROW = f"ow {HEAD_ROWS + 2}"
CASES = [
    *FROM_CORPUS,
    refused("B21", "an empty file", b"", "dataset_empty", "empty"),
    refused("B21", "a header only", b"a,b\n", "dataset_empty", "no rows"),
    refused("B21", "no row that can be used", b"a,b\n1\n2\n", "dataset_empty", "2 have", on_bad_rows="skip"),
    by_command("B21", "an empty file, by the command line", b"", "The file is empty."),
    refused("B23", "a ragged row", b"a,b\n1,2\n3\n", "ragged_row", "Row 3 has 1 value, the header has 2"),
    failing("B23", "a ragged row far below", b"3\n", "ragged_row", LAST_ROW, "1 value"),
    refused("B23", "an unclosed quote", b'a,b\n1,2\n3,"4\n5,6\n', "unclosed_quote", "Row 3"),
    failing("B23", "an unclosed quote far below", b'3,"4\n5,6\n', "unclosed_quote", LAST_ROW),
    refused("B23", "mixed delimiters", b"a,b\n1,2\n3;4\n", "ragged_row", "Row 3"),
    taken("B23", "a byte order mark and Windows line ends", b"\xef\xbb\xbfa,b\r\n1,2\r\n"),
    by_command("B23", "a ragged row, by the command line", b"a,b\n1,2\n3\n", "Row 3 has 1 value"),
    by_command("B23", "a ragged row, at a look at it", b"a,b\n1,2\n3\n", "Row 3 has 1 value", arguments=("--preview",)),
    refused("B24", "text among numbers", b"a,b\n" + b"1,2\n" * 30 + b"1,n/a\n", "column_has_text", "'b'", "row 32"),
    refused(
        "B24",
        "long text among numbers",
        b"a,b\n" + b"1,2\n" * 30 + b"1," + b"x" * 99 + b"\n",
        "column_has_text",
        "x" * 40 + "…",
    ),
    refused(
        "B24",
        "what are no dates",
        b"d,b\n2026-01-31,1\n" + b"31.1.2026,2\n" * 4 + b"x" * 99 + b",3\n",
        "column_has_text",
        "'d'",
        "row 3 ('31.1.2026'), row 4 ('31.1.2026'), row 5 ('31.1.2026') and 2 more",
        types={"d": "date"},
    ),
    failing("B24", "text among numbers far below", b"1,n/a\n", "column_has_text", "'b'", LAST_ROW, "('n/a')"),
    taken("B24", "blank cells", b"a,b\n1,\n,2\n"),
    taken("B24", "dates", b"a,b\n2026-01-31,1\n2026-02-01,2\n", types={"a": "date"}),
    refused("B25", "NaN", b"a,b\n1,NaN\n", "nonfinite_values", "'b' has 1 number", "row 2"),
    refused("B25", "infinity", b"a,b\n1,2\n-inf,inf\n", "nonfinite_values", "'a' has 1 number", "row 3"),
    refused(
        "B25", "1e308", b"a,b\n1,2\n2,-1e308\n3,1e308\n", "nonfinite_values", "'b' has 2 numbers", "row 3", "float32"
    ),
    failing("B25", "1e308 far below", b"1,1e308\n", "nonfinite_values", "'b' has 1 number", LAST_ROW),
    taken("B25", "1e308 in a row that is left out", b"a,b\n1,2\n2,1e308\n3,4\n", on_bad_rows="skip"),
    taken("B25", "the largest float32", b"a,b\n1,3.4028235e38\n2,-3.4028235e38\n"),
    failing("B25", "infinity far below", b"1,inf\n", "nonfinite_values", "'b' has 1 number", LAST_ROW),
    by_command("B25", "NaN, by the command line", b"a,b\n1,NaN\n", "'b' has 1 number that is not finite"),
    taken("B28", "bytes, halves and big-endian numbers", corpus.npz(X=corpus.X.astype("i1"), y=corpus.Y.astype(">f2"))),
    refused("B30", "a column twice", b"a,b,a\n1,2,3\n", "duplicate_column", "2 columns are named 'a'"),
    by_command("B31", "a pickle, by the command line", corpus.pickle.dumps(corpus.Harm()), "pickle"),
    by_command("B32", "a zip bomb, by the command line", corpus.zip_bomb(), "expands to 100,00"),
    by_command("B34", "a struct, by the command line", corpus.parquet(corpus.table(a=[{"b": 1}])), "struct"),
    by_command(
        "B35", "an HTML page, by the command line", b"<html>Log in</html>", "an HTML page", arguments=("--preview",)
    ),
    Case("B31", "and nothing of a pickle has run", no_pickle_was_loaded, ("not loaded",)),
    refused("B36", "a checksum that is wrong", b"a,b\n1,2\n", "checksum_mismatch", "0" * 64, sha256="0" * 64),
    by_command(
        "B36",
        "a checksum that is wrong, by the command line",
        b"a,b\n1,2\n",
        "0" * 64,
        arguments=("--option", "sha256=" + "0" * 64),
    ),
]
