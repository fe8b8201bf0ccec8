"""Which URIs a dataset may come from: what can be said of one without asking the network.

https:// means public hosts and those that the operator names (http:// only where the operator allows it), s3:// buckets
and file:// directories that the operator names. `service/imports/` asks the network and the file system.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from service.addresses import is_public, literal
from workers.errors import DataError

LONGEST_URI = 2000
DEFAULT_PORTS = {"https": 443, "http": 80}
FORBIDDEN = re.compile(r"[^\x21-\x7e]|[\\<>\"^`{|}]")
"""What RFC 3986 keeps out of a URI: parsers disagree about it."""
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


class Rules(NamedTuple):
    """What the operator allows; the settings' names. Everything is off unless it is named."""

    import_roots: tuple[str, ...] = ()
    fetch_http: bool = False
    fetch_ports: tuple[int, ...] = ()
    fetch_private_hosts: tuple[str, ...] = ()
    s3_buckets: tuple[str, ...] = ()


class HttpPlace(NamedTuple):
    """Something to GET; `host` is as in the URI, in lower case, and `target` the path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host, and the port where the scheme does not imply it."""
        return self.host if DEFAULT_PORTS[self.scheme] == self.port else f"{self.host}:{self.port}"


class S3Place(NamedTuple):
    """An object in a bucket, or all objects right below a key that ends with a slash."""

    bucket: str
    key: str


class FilePlace(NamedTuple):
    """An absolute path, as the URI spells it once it is decoded."""

    path: str


Place = HttpPlace | S3Place | FilePlace


def parse_uri(uri: str, rules: Rules) -> Place:
    """The place that the URI names; DataError `uri_not_allowed` where nothing may be fetched from it."""
    if len(uri) > LONGEST_URI:
        raise not_allowed(f"The URI is longer than {LONGEST_URI:,} characters.")
    if FORBIDDEN.search(uri):
        raise not_allowed("The URI has a character that must be percent-encoded, such as a blank, or a backslash.")
    scheme, separator, rest = uri.partition("://")
    match scheme.lower() if separator else "":
        case "https" | "http" as web:
            return _http_place(web, uri, rules)
        case "s3":
            return _s3_place(rest, rules)
        case "file":
            return _file_place(uri)
    raise not_allowed("The URI must begin with https://, s3:// or file://.")


def shown(uri: str) -> str:
    """The URI as anyone may see it: the values of its query, which may be keys, are left out."""
    parts = urlsplit(uri)
    query = "&".join(f"{name}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?' if query else ''}{query}"


def last_part(uri: str) -> str:
    """The last part of the path, decoded: it has the name of the file or folder, if anything has."""
    return unquote(urlsplit(uri).path).rstrip("/").rpartition("/")[2]


def rules_from_json(values: dict[str, Any]) -> Rules:
    """The rules of `Rules._asdict()` after their way through JSON."""
    lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Rules(**{**values, **lists})


def not_allowed(reason: str) -> DataError:
    """The refusal of a URI."""
    return DataError(reason, code="uri_not_allowed", field="uri")


def file_not_allowed() -> DataError:
    """The one refusal of files that are not below a root, whether there is such a file or not."""
    return not_allowed(
        "This is no regular file or folder below a directory that the service's GRADSUM_IMPORT_ROOTS names."
    )


def file_not_there() -> DataError:
    """The refusal of a name that a folder below a root does not have: what is below a root is no secret."""
    return not_allowed("There is no such file or folder, in a place below the service's GRADSUM_IMPORT_ROOTS.")


def _http_place(scheme: str, uri: str, rules: Rules) -> HttpPlace:
    if scheme == "http" and not rules.fetch_http:
        raise not_allowed("Its address must begin with https://; the operator may allow http:// by GRADSUM_FETCH_HTTP.")
    try:
        parts = urlsplit(uri)
        port = DEFAULT_PORTS[scheme] if parts.port is None else parts.port
    except ValueError:
        raise not_allowed("The URI has no valid host and port.") from None
    if "@" in parts.netloc:
        raise not_allowed("The URI must not have a user or password in it.")
    host = parts.netloc.lower().removesuffix(f":{parts.port}").removesuffix(":")
    if not HOST.fullmatch(host):
        raise not_allowed("The URI's host must be a name in ASCII (xn--… for others) or an address.")
    if port not in {DEFAULT_PORTS[scheme], *rules.fetch_ports}:
        raise not_allowed(f"Port {port} is not allowed; the operator may add it to GRADSUM_FETCH_PORTS.")
    if not is_private_but_allowed(host, rules):
        _check_host(host)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpPlace(scheme, host, port, target)


def is_private_but_allowed(host: str, rules: Rules) -> bool:
    """Whether the operator wants this host to be fetched from, wherever it is."""
    return host.strip("[]").rstrip(".") in rules.fetch_private_hosts


def _check_host(host: str) -> None:
    try:
        address = literal(host)
    except ValueError as error:
        raise not_allowed(f"The URI's host can't be used: {error}.") from None
    bare = host.rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost") or (address is not None and not is_public(str(address))):
        raise private_host(host)


def private_host(host: str) -> DataError:
    """The refusal of a host that is not on the public internet."""
    return not_allowed(f"Host '{host}' is not on the public internet; GRADSUM_FETCH_PRIVATE_HOSTS may name it.")


def _s3_place(rest: str, rules: Rules) -> S3Place:
    bucket, _, key = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise not_allowed("An s3:// URI is s3://bucket/key, without ? and #.")
    if bucket not in rules.s3_buckets:
        raise not_allowed("The URI's bucket is none that GRADSUM_S3_BUCKETS names.")
    key = unquote(key)
    parts = key.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts):  # a client of S3 may resolve dots, and so reach another bucket
        raise not_allowed(
            "The URI must name an object as s3://bucket/key, or a folder as s3://bucket/prefix/, without empty parts "
            "or dots."
        )
    return S3Place(bucket, key)


def _file_place(uri: str) -> FilePlace:
    """Dots are refused however they are encoded, not resolved: nobody needs them."""
    parts = urlsplit(uri)
    path = unquote(parts.path, errors="surrogateescape")
    plain = parts.netloc.lower() in {"", "localhost"} and not parts.query and not parts.fragment
    steps = path.split("/")
    if not plain or not path.startswith("/") or "\0" in path or ESCAPE.search(path) or {".", ".."} & set(steps):
        raise file_not_allowed()
    return FilePlace(path)
