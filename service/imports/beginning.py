"""Fetches as much of what a URI names as it takes to look at it: `python -m service.imports.beginning`.

It is a process of its own, under the rules of every fetch. The API calls `fetch_beginning` and does not connect itself.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from service.file_format import START_BYTES, file_format
from service.file_options import FileOptions, parse_options
from service.imports.failures import fetch_failed
from service.imports.fetch import fetch, time_limit
from service.imports.s3 import Bucket
from service.once import INHERITED, EndedError, Turns, answer_once, ask_once
from service.uris import rules_from_json
from workers.errors import DataError

BEGINNING_BYTES = 2**21
"""More than is looked at of a CSV file, so that it does not seem to be whole."""
WHOLE_BYTES = 2**26
SECONDS = 20.0
GRACE_SECONDS = 10.0
TURNS = Turns(2)
ALSO_INHERITED = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


def fetch_beginning(request: dict[str, Any]) -> dict[str, Any]:
    """Has it put at `destination`: {"sha256", "bytes"} of the whole, or nulls where only the beginning is there.

    `request` has what `service.prepare` is asked to fetch, and `options`. DataError as `fetch`, or `preview_too_large`.
    """
    with TURNS.taken("addresses"):
        try:
            seconds = request["limit_seconds"] + GRACE_SECONDS
            return ask_once("service.imports.beginning", request, seconds, (*INHERITED, *ALSO_INHERITED))
        except EndedError as error:
            raise fetch_failed(str(error)) from None


class Beginning:
    """Lets pass the beginning of a CSV file, and other files as a whole: what tells of their rows is at their end."""

    def __init__(self, options: FileOptions) -> None:
        self.is_cut = False
        self._options = options
        self._passed = 0

    def __call__(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of one file; all files together have no more than `WHOLE_BYTES`."""
        start, n_bytes = b"", 0
        for chunk in chunks:
            start = (start + chunk[:START_BYTES])[:START_BYTES]
            n_bytes, self._passed = n_bytes + len(chunk), self._passed + len(chunk)
            yield chunk
            if n_bytes > BEGINNING_BYTES and file_format(start, self._options).name == "csv":
                self.is_cut = True
                return
            if self._passed > WHOLE_BYTES:
                raise DataError(
                    f"It has more than {WHOLE_BYTES:,} bytes, the limit of a preview: only a CSV file can be looked at "
                    f"by its beginning. Leave dry_run (--preview) out, or download it and look at the file.",
                    code="preview_too_large",
                    field="uri",
                )


def _fetch(request: dict[str, Any]) -> dict[str, Any]:
    beginning = Beginning(parse_options(request["options"]))
    with time_limit(request["limit_seconds"], "the limit of a preview"):
        rules, s3 = rules_from_json(request["rules"]), Bucket(**request["s3"])
        destination = Path(request["destination"])
        try:
            found = fetch(request["uri"], rules, s3, request["limit_bytes"], destination, cut=beginning)
        except OSError as error:
            raise fetch_failed(f"the service can't keep it ({error.strerror})") from None
    return {"sha256": None, "bytes": None} if beginning.is_cut else found._asdict()


if __name__ == "__main__":
    sys.exit(answer_once(_fetch))
