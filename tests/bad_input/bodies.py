"""Bodies over limits, cut off, malformed, and sent a byte a second; most by a socket, because no client sends them."""

import math
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2

from tests.bad_input.case import Case, Outcome, Target, outcome_of

TYPE = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
UPLOAD = b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
SLOW_CLIENTS = 200
CLOSED_SECONDS = 15.0
PATIENCE_SECONDS = 40.0


def connection(target: Target) -> socket.socket:
    place = urlsplit(target.service.url)
    return socket.create_connection((place.hostname or "", place.port or 0), timeout=PATIENCE_SECONDS)


def answered(head: bytes, chunks: Callable[[], Iterator[bytes]]) -> Callable[[Target], Outcome]:
    """What is answered while `chunks` are sent, as far as they are taken."""

    def act(target: Target) -> Outcome:
        with connection(target) as sent:
            try:
                sent.sendall(head)
                for chunk in chunks():
                    sent.sendall(chunk)
            except OSError:  # it has closed: the answer may still be there
                pass
            return read_answer(sent)

    return act


def read_answer(sent: socket.socket) -> Outcome:
    found = b""
    try:
        while b"\r\n\r\n" not in found and (piece := sent.recv(65536)):
            found += piece
        head, _, body = found.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length and (piece := sent.recv(65536)):
            body += piece
    except OSError:
        return Outcome("closed", "", "")
    if not head:
        return Outcome("closed", "", "")
    headers = {"content-type": "application/problem+json"} if b"problem+json" in head else {}
    return outcome_of(httpx2.Response(int(head.split()[1]), content=body, headers=headers))


def forever() -> Iterator[bytes]:
    yield chunk(FILE)
    for _ in range(2000):  # 128 MB, if nobody ends it
        yield chunk(b"1,2\n" * 2**14)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def cut_off(target: Target) -> Outcome:
    """Half of an upload, and the client is gone; then all of it twice, which makes one dataset."""
    content = FILE + b"a,b\n" + b"1,2\n" * 10_000 + b"\r\n--b--\r\n"
    with connection(target) as sent:
        sent.sendall(UPLOAD + b"Content-Length: %d\r\n\r\n" % len(content) + content[: len(content) // 2])
    before = target.http.get("/v1/datasets").json()["data"]
    for _ in range(2):
        found = target.dataset(target.http.post("/v1/datasets", content=content, headers=TYPE))
    more = len(target.http.get("/v1/datasets").json()["data"]) - len(before)
    return found._replace(text=f"{more} more")


def slow_headers(target: Target) -> Outcome:
    """Many clients send a byte of their headers a second: are they closed in time, and is everybody else served?"""
    usual = tail(target, 2.0)
    started = time.monotonic()
    slow = [connection(target) for _ in range(SLOW_CLIENTS)]
    for sent in slow:
        sent.settimeout(0)
    closed: list[float] = []
    waits: list[float] = []
    while slow and time.monotonic() - started < 2 * CLOSED_SECONDS:
        waits += latencies(target, 0.8)
        left = [sent for sent in slow if drip(sent)]
        closed += [time.monotonic() - started] * (len(slow) - len(left))
        slow = left
    for sent in slow:
        sent.close()
    worst = max(closed, default=math.inf) if not slow else math.inf
    p99 = statistics.quantiles(waits, n=100)[98]
    is_right = worst <= CLOSED_SECONDS and p99 < max(0.5, 5 * usual)
    return Outcome("closed" if is_right else "held", "", f"closed after {worst:.1f} s, others waited {p99:.3f} s")


def drip(sent: socket.socket) -> bool:
    """Send one more byte; whether the connection is still open."""
    try:
        sent.send(b"G")
        open_still = sent.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        open_still = False
    sent.close()
    return open_still


def tail(target: Target, seconds: float) -> float:
    return statistics.quantiles(latencies(target, seconds), n=100)[98]


def latencies(target: Target, seconds: float) -> list[float]:
    """How long each of some requests took."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        assert target.http.get("/healthz").status_code == 200
        found.append(time.monotonic() - started)
        time.sleep(0.02)
    return found


def slow_body(target: Target) -> Outcome:
    """A byte of the body a second."""
    started = time.monotonic()
    with connection(target) as sent:
        sent.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
        )
        sent.settimeout(1)
        while time.monotonic() - started < CLOSED_SECONDS:
            try:
                if sent.recv(1, socket.MSG_PEEK) == b"":
                    return Outcome(408, "request_timeout", "closed")
                return read_answer(sent)
            except TimeoutError:
                sent.send(b" ")
    return Outcome("held", "", "")


def form(body: bytes) -> Callable[[Target], Outcome]:
    return lambda target: target.post("/v1/datasets", content=body, headers=TYPE)


def path_for_a_name(target: Target) -> Outcome:
    answer = target.http.post("/v1/datasets", files={"file": ("../../etc/passwd", b"a,b\n1,2\n")})
    return target.dataset(answer)._replace(text=answer.json()["name"])


END = b"\r\n--b--\r\n"
FIELDS = b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % i for i in range(100_000))
LONG_HEAD = FILE.replace(b"a.csv", b"a" * 2**20) + b"a,b\n1,2\n" + END
TWO_FILES = (FILE + b"a,b\n1,2\n\r\n") * 2 + b"--b--\r\n"
REFUSED = (400, 413, 422)
CASES = [
    Case(
        "B37",
        "2 GiB declared",
        answered(UPLOAD + b"Content-Length: 2147483648\r\n\r\n", lambda: iter(())),
        (413,),
        "body_too_large",
        ("limit of 40,000,000 bytes",),
    ),
    Case(
        "B37",
        "chunks for ever",
        answered(UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n", forever),
        (413, "closed"),
        "body_too_large",
        ("limit of 40,000,000 bytes",),
    ),
    Case(
        "B37",
        "a file over the limit, by the command line",
        lambda target: target.command("dataset", "add", str(large_file(target))),
        ("exit 1",),
        "",
        ("40,000,000",),
    ),
    Case("B38", "half an upload, then all of it twice", cut_off, ("ready",), "", ("1 more",)),
    Case("B39", "200 clients with slow headers", slow_headers, ("closed",)),
    Case("B39", "a slow body", slow_body, (408,), "request_timeout"),
    Case("B40", "100 000 fields", form(FIELDS + b"--b--\r\n"), REFUSED, "invalid_form", ("fields",)),
    Case("B40", "a head of a part of 1 MB", form(LONG_HEAD), REFUSED, "invalid_form"),
    Case("B40", "1 MB before the first boundary", form(b"x" * 2**20 + b"\r\n" + FILE + END), REFUSED, "invalid_form"),
    Case("B40", "two files", form(TWO_FILES), REFUSED, "invalid_form", ("file",)),
    Case("B40", "a form without its end", form(FILE + b"a,b\n1,2\n"), REFUSED, "invalid_form", ("last boundary",)),
    Case(
        "B40",
        "no boundary",
        lambda target: target.post("/v1/datasets", content=FILE, headers={"Content-Type": "multipart/form-data"}),
        REFUSED,
        "invalid_form",
        ("boundary",),
    ),
    Case(
        "B40",
        "no name of the file",
        form(FILE.replace(b"a.csv", b"") + b"a,b\n1,2" + END),
        REFUSED,
        "invalid_name",
        ("name",),
    ),
    Case("B40", "a path for a name", path_for_a_name, ("ready",), "", ("passwd",)),
]


def large_file(target: Target) -> object:
    path = target.files / "large.csv"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    return path
