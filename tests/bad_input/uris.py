"""Places that must not be read, and places that answer badly."""

import os
from collections.abc import Callable, Sequence

from service.imports.fetch import fetch
from service.imports.s3 import Bucket
from service.uris import Rules
from tests.bad_input.case import Case, Outcome, Target
from workers.errors import DataError

REFUSAL = "This is no regular file or folder below a directory that the service's GRADSUM_IMPORT_ROOTS names."
FORBIDDEN_FILES = [
    "file:///etc/passwd", "file:///no/such/file", "file://{root}/../outside.csv",
    "file://{root}/%2e%2e/outside.csv", "file://{root}/%252e%252e/outside.csv", "file:///proc/self/environ",
    "file://{root}/outside", "file://{root}/fifo", "file:///dev/zero",
]  # fmt: skip
FORBIDDEN_HOSTS = [
    "http://127.0.0.2:{port}/data.csv", "http://localhost:{port}/data.csv", "http://[::1]:{port}/data.csv",
    "http://0.0.0.0:{port}/data.csv", "http://169.254.169.254/latest/meta-data", "http://2130706434:{port}/data.csv",
    "http://017700000002:{port}/data.csv", "http://0x7f000002:{port}/data.csv", "http://[::ffff:10.0.0.1]/data.csv",
    "http://100.64.0.1/data.csv", "gopher://example.org/", "ftp://example.org/a.csv",
    "http://user@127.0.0.1:{port}/data.csv", "{mlflow}/data.csv", "http://127.0.0.1:6379/data.csv",
]  # fmt: skip
PRIVATE_ADDRESSES = [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::ffff:127.0.0.1",), ("169.254.169.254",)]
ANSWERS = {
    "missing": "404 Not Found",
    "broken": "500 Internal Server Error",
    "page": "web page",
    "bomb": "more than 40,000,000 bytes",
    "torn": "in gzip and not whole",
    "brotli": "compresses the answer (br)",
    "declared": "10,000,000,000 bytes",
    "endless": "bytes",
    "cut": "broken or not whole",
    "circle": "more than 5 times",
    "drip": "longer than 2 seconds",
}


def imported(uri: str) -> Callable[[Target], Outcome]:
    def act(target: Target) -> Outcome:
        return target.dataset(target.http.post("/v1/datasets", json={"uri": filled(uri, target), "name": "imported"}))

    return act


def filled(uri: str, target: Target) -> str:
    ports = {"port": target.private.port, "web": target.web.port}
    return uri.format(root=target.import_root, mlflow=target.service.mlflow_url, **ports)


def resolved_to(addresses: Sequence[str]) -> Callable[[Target], Outcome]:
    """A public name whose addresses are, or become at a second look, private: by the fetching part itself."""

    def act(target: Target) -> Outcome:
        rules = Rules(fetch_http=True, fetch_ports=(target.private.port,))
        uri = f"http://example.org:{target.private.port}/data.csv"
        try:
            fetch(uri, rules, Bucket(), 1000, target.files / "fetched", lambda *_: list(addresses))
        except DataError as error:
            return Outcome(422, error.code, error.message)
        return Outcome("fetched", "", "")

    return act


def asked(target: Target) -> Outcome:
    """Whether a server that must not be asked was."""
    return Outcome(len(target.private.seen), "", str(target.private.seen))


def by_command(target: Target) -> Outcome:
    return target.command("dataset", "add", "file:///etc/passwd", "--name", "imported")


def prepare_root(root: os.PathLike[str]) -> None:
    """The traps below an import root: a link that leads out of it, and a pipe."""
    os.symlink("/etc/passwd", os.path.join(root, "outside"))  # noqa: PTH118, PTH211
    os.mkfifo(os.path.join(root, "fifo"))  # noqa: PTH118


CASES = [
    *(Case("B41", uri, imported(uri), (422, "failed"), "uri_not_allowed", (REFUSAL,)) for uri in FORBIDDEN_FILES),
    Case("B41", "file:../../etc/passwd", imported("file:../../etc/passwd"), (422,), "uri_not_allowed"),
    Case("B41", "by the command line", by_command, ("exit 1",), "", (REFUSAL,)),
    *(Case("B42", uri, imported(uri), (422,), "uri_not_allowed") for uri in FORBIDDEN_HOSTS),
    *(
        Case("B42", f"a name that means {found}", resolved_to(found), (422,), "uri_not_allowed")
        for found in PRIVATE_ADDRESSES
    ),
    *(
        Case("B42", f"a redirect to {to}", imported("http://127.0.0.1:{web}/to?" + to), ("failed",), "uri_not_allowed")
        for to in ("http://127.0.0.2:{port}/data.csv", "http://[::1]:{port}/data.csv", "file:///etc/passwd")
    ),
    Case("B42", "and no private server was asked", asked, (0,)),
    *(
        Case("B43", name, imported("http://127.0.0.1:{web}/" + name + ".csv"), ("failed",), "fetch_failed", (cause,))
        for name, cause in ANSWERS.items()
    ),
]
