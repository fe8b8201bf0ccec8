"""A request to a place that a user chose: its host is resolved once, and what was checked is connected to."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import httpx2

from service.addresses import Resolver, is_public
from service.uris import HttpPlace, Rules, is_private_but_allowed, private_host

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
AGENT = {"User-Agent": "gradsum"}


def ask(
    method: str,
    place: HttpPlace,
    rules: Rules,
    resolver: Resolver,
    opened: ExitStack,
    headers: Mapping[str, str],
    content: bytes | None = None,
    trace: Callable[[str, dict[str, Any]], None] | None = None,
) -> httpx2.Response:
    """The response of the first address of the host that takes a connection; its body is still to be read.

    DataError `uri_not_allowed` where the host is not public, and nothing is sent; TransportError where nothing answers.
    `opened` closes the connection; `trace` is told of its steps, as httpcore has them.
    """
    lost: httpx2.TransportError = httpx2.ConnectError("its host has no address")
    for address in _addresses(place, rules, resolver):
        # A client of its own for each: a connection is never another host's, which its certificate was not checked for.
        client = opened.enter_context(_client())
        url = httpx2.URL(scheme=place.scheme, host=address, port=place.port, raw_path=place.target.encode())
        name = place.host.strip("[]").rstrip(".")
        request = client.build_request(
            method,
            url,
            content=content,
            headers={**AGENT, **headers, "Host": place.authority},
            extensions={"sni_hostname": name} | ({} if trace is None else {"trace": trace}),
        )
        try:
            response = client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            lost = error
            continue
        opened.callback(response.close)
        return response
    raise lost


def cause(error: httpx2.TransportError) -> str:
    """Why there is no answer, in words."""
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


def _addresses(place: HttpPlace, rules: Rules, resolver: Resolver) -> list[str]:
    """Where the host is, every address of it public (or none is used), asked for once."""
    try:
        found = list(resolver(place.host.strip("[]"), place.port))
    except (OSError, UnicodeError):
        raise httpx2.ConnectError(f"host '{place.host}' is not known") from None
    if not is_private_but_allowed(place.host, rules) and not all(map(is_public, found)):
        raise private_host(place.host)
    return found


def _client() -> httpx2.Client:
    """Without proxies and credentials of the environment: a proxy would connect to what nobody has checked."""
    timeout = httpx2.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
    return httpx2.Client(verify=httpx2.create_ssl_context(), trust_env=False, follow_redirects=False, timeout=timeout)
