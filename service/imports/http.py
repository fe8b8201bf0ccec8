"""GET from the public internet and nowhere else: each host is resolved once, and what was checked is connected to."""

import codecs
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urljoin

import httpx2

from service.addresses import Resolver, is_public
from service.imports.encoding import unpacked
from service.imports.failures import fetch_failed
from service.uris import HttpPlace, Rules, is_private_but_allowed, not_allowed, parse_uri, private_host

MOST_REDIRECTS = 5
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
CHUNK_BYTES = 2**18
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "gradsum"}
GZIP = ("gzip", "x-gzip")
PAGES = (b"<!doctype html", b"<html")


@contextmanager
def get(place: HttpPlace, rules: Rules, resolver: Resolver, limit_bytes: int) -> Iterator[Iterator[bytes]]:
    """The chunks of what is at `place`, after at most five redirects; DataErrors as `fetch` has them."""
    with ExitStack() as opened:
        try:
            yield _checked(_follow(place, rules, resolver, opened), limit_bytes)
        except httpx2.TransportError as error:
            raise fetch_failed(_cause(error)) from None


def _follow(place: HttpPlace, rules: Rules, resolver: Resolver, opened: ExitStack) -> httpx2.Response:
    for _ in range(MOST_REDIRECTS + 1):
        response = _ask(place, rules, resolver, opened)
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


def _ask(place: HttpPlace, rules: Rules, resolver: Resolver, opened: ExitStack) -> httpx2.Response:
    """The response of the first address of the host that takes a connection; its body is still to be read."""
    lost: httpx2.TransportError | None = None
    for address in _addresses(place, rules, resolver):
        # A client of its own for each: a connection is never another host's, which its certificate was not checked for.
        client = opened.enter_context(_client())
        url = httpx2.URL(scheme=place.scheme, host=address, port=place.port, raw_path=place.target.encode())
        name = place.host.strip("[]").rstrip(".")
        request = client.build_request(
            "GET", url, headers={**HEADERS, "Host": place.authority}, extensions={"sni_hostname": name}
        )
        try:
            response = client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            lost = error
            continue
        opened.callback(response.close)
        return response
    raise fetch_failed("its host has no address" if lost is None else _cause(lost))


def _addresses(place: HttpPlace, rules: Rules, resolver: Resolver) -> list[str]:
    """Where the host is, every address of it public (or none is used), asked for once."""
    try:
        found = list(resolver(place.host.strip("[]"), place.port))
    except (OSError, UnicodeError):
        raise fetch_failed(f"host '{place.host}' is not known") from None
    if not is_private_but_allowed(place.host, rules) and not all(map(is_public, found)):
        raise private_host(place.host)
    return found


def _client() -> httpx2.Client:
    """Without proxies and credentials of the environment: a proxy would connect to what nobody has checked."""
    timeout = httpx2.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
    return httpx2.Client(verify=httpx2.create_ssl_context(), trust_env=False, follow_redirects=False, timeout=timeout)


def _checked(response: httpx2.Response, limit_bytes: int) -> Iterator[bytes]:
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
    return _unless_page(unpacked(chunks, limit_bytes) if encoding in GZIP else chunks)


def _unless_page(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks; DataError where they begin like HTML, whatever the server calls it."""
    first = next(chunks, b"")
    if first.removeprefix(codecs.BOM_UTF8).lstrip()[:20].lower().startswith(PAGES):
        raise fetch_failed("its server answers with a web page (HTML), perhaps a login, instead of data")
    yield first
    yield from chunks


def _cause(error: httpx2.TransportError) -> str:
    match error:
        case httpx2.ConnectTimeout():
            return f"its server did not take a connection in {CONNECT_SECONDS:g} seconds"
        case httpx2.TimeoutException():
            return f"its server sent nothing for {IDLE_SECONDS:g} seconds"
        case httpx2.ConnectError():
            return f"its server can't be reached ({error})"
        case httpx2.RemoteProtocolError():
            return f"its server's answer is broken or not whole ({error})"
    return f"the connection was lost ({type(error).__name__})"
