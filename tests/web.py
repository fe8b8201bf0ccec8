"""A web server on loopback: data, errors, pages, redirects, and bodies that are too large or never end."""

import contextlib
import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

ROWS = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(50))


class Web(BaseHTTPRequestHandler):
    """Answers by path: data, errors, pages, redirects, and bodies that are too large or never end."""

    def do_GET(self) -> None:
        self.server.seen.append((self.headers["Host"], self.path))  # type: ignore[attr-defined]
        name = self.path.partition("?")[0].rpartition("/")[2]
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            getattr(self, "do_" + name.partition(".")[0], self.do_missing)()

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_data(self) -> None:
        self.answer(ROWS)

    def do_missing(self) -> None:
        self.answer(b"no", 404)

    def do_broken(self) -> None:
        self.answer(b"no", 500)

    def do_page(self) -> None:
        self.answer(b"\n<!DOCTYPE html><title>Log in</title>", Content_Type="text/csv")

    def do_bomb(self) -> None:
        self.answer(10 * gzip.compress(b"0" * 9_000_000, 9), Content_Encoding="gzip")  # quick to make

    def do_packed(self) -> None:
        self.answer(gzip.compress(ROWS[:100]) + gzip.compress(ROWS[100:]), Content_Encoding="gzip")

    def do_torn(self) -> None:
        self.answer(gzip.compress(ROWS)[:-9], Content_Encoding="x-gzip")

    def do_brotli(self) -> None:
        self.answer(b"...", Content_Encoding="br")

    def do_declared(self) -> None:
        self.answer(b"", Content_Length=str(10**10))

    def do_cut(self) -> None:
        self.answer(ROWS[:100], Content_Length=str(len(ROWS)))
        self.close_connection = True

    def do_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"1,2\n" * 10_000)

    def do_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b"1,2\n")
            self.wfile.flush()
            time.sleep(0.1)

    def do_circle(self) -> None:
        self.answer(b"", 302, Location="circle")

    def do_lost(self) -> None:
        self.answer(b"", 302, Location="http://[::1/data.csv")

    def do_moved(self) -> None:
        self.answer(b"", 301, Location="data.csv?from=moved")

    def do_to(self) -> None:
        self.answer(b"", 307, Location=self.path.partition("?")[2])

    def log_message(self, *_: Any) -> None:
        pass


class Listener(NamedTuple):
    """A server on loopback and the requests that it saw."""

    port: int
    seen: list[tuple[str, str]]


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    server.seen = seen = []  # type: ignore[attr-defined]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Listener(server.server_port, seen)
    server.shutdown()
    thread.join()
    server.server_close()
