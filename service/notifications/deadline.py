"""An end for a request as a whole: the timeouts of HTTP clients start anew with each byte."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any, Self

import httpx2


class Deadline:
    """Cuts the connections of a request when its time is up; `watch` is told of them by the request itself."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Time runs."""
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """What was watched is let go of."""
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """The `trace` of a request. ReadTimeout where it would begin another connection after its time."""
        if event == "connection.connect_tcp.complete":
            with self._lock:
                # A second handle of the connection: TLS takes the first one over, and this one still cuts it.
                self._sockets.append(info["return_value"].get_extra_info("socket").dup())
        if self.is_over:
            raise httpx2.ReadTimeout("its time is up")

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for each in self._sockets:
                with contextlib.suppress(OSError):  # it is closed already
                    each.shutdown(socket.SHUT_RDWR)
