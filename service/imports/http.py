"""The data behind an https:// URI: redirects that the rules allow, and answers that are data."""

import codecs
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urljoin

import httpx2

from service.addresses import Resolver
from service.imports.encoding import unpacked
from service.imports.failures import fetch_failed
from service.outbound import ask, cause
from service.progress import Progress
from service.uris import HttpPlace, Rules, not_allowed, parse_uri

MOST_REDIRECTS = 5
CHUNK_BYTES = 2**18
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}
GZIP = ("gzip", "x-gzip")
PAGES = (b"<!doctype html", b"<html")


@contextmanager
def get(
    place: HttpPlace, rules: Rules, resolver: Resolver, limit_bytes: int, progress: Progress
) -> Iterator[Iterator[bytes]]:
    """The chunks of what is at `place`, after at most five redirects; DataErrors as `fetch` has them.

    `progress` is told how many bytes they have where the server says so.
    """
    with ExitStack() as opened:
        try:
            yield _checked(_follow(place, rules, resolver, opened), limit_bytes, progress)
        except httpx2.TransportError as error:
            raise fetch_failed(cause(error)) from None


def _follow(place: HttpPlace, rules: Rules, resolver: Resolver, opened: ExitStack) -> httpx2.Response:
    for _ in range(MOST_REDIRECTS + 1):
        response = ask("GET", place, rules, resolver, opened, HEADERS)
        if not response.has_redirect_location:
            return response
        here = f"{place.scheme}://{place.authority}{place.target}"
        try:
            found = parse_uri(urljoin(here, response.headers["Location"]), rules)
        except ValueError:  # of urljoin
            raise fetch_failed("it was redirected to what is no address") from None
        if not isinstance(found, HttpPlace):
            raise not_allowed("The URI leads by a redirect to another scheme than https://.")
        place = found
    raise fetch_failed(f"it was redirected more than {MOST_REDIRECTS} times")


def _checked(response: httpx2.Response, limit_bytes: int, progress: Progress) -> Iterator[bytes]:
    """The body's chunks; DataError where it is not the data itself."""
    if response.status_code != httpx2.codes.OK:
        phrase = f" {response.reason_phrase}" if response.reason_phrase else ""
        raise fetch_failed(f"its server answers {response.status_code}{phrase:.60}")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity", *GZIP}:
        raise fetch_failed(f"its server compresses the answer ({encoding:.20}), though it was asked not to")
    length = response.headers.get("Content-Length", "0")
    if length.isdecimal() and int(length) > limit_bytes:
        raise fetch_failed(f"it has {int(length):,} bytes, and {limit_bytes:,} is the limit of an upload")
    chunks = response.iter_raw(CHUNK_BYTES)
    if encoding in GZIP:
        return _unless_page(unpacked(chunks, limit_bytes))
    if length.isdecimal() and int(length):
        progress.expect(int(length))
    return _unless_page(chunks)


def _unless_page(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks; DataError where they begin like HTML, whatever the server calls it."""
    first = next(chunks, b"")
    if first.removeprefix(codecs.BOM_UTF8).lstrip()[:20].lower().startswith(PAGES):
        raise fetch_failed("its server answers with a web page (HTML), perhaps a login, instead of data")
    yield first
    yield from chunks
