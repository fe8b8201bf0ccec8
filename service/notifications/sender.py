"""Sends what is due: signed, once to each address at a time, again after a failure, ever less often.

An attempt is written to the record before it is made, so a sender that dies repeats it later: receivers get every
message at least once, and know a repeated one by its `webhook-id`.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import httpx2

from service.addresses import Resolver, resolve
from service.logs import Log
from service.notifications.deadline import Deadline
from service.notifications.rules import place_of
from service.notifications.signature import signed_headers
from service.outbound import ask, cause
from service.stop import Stop
from service.store import notifications
from service.store.database import Database, DatabaseUnavailableError, as_text
from service.store.notifications import Notification
from service.uris import Rules
from workers.errors import DataError

TICK_SECONDS = 1.0
LOOK_SECONDS = 0.05
AT_ONCE = 8
ATTEMPT_SECONDS = 30.0
"""How long an attempt may take in all, however slowly its receiver answers."""
PAUSES_SECONDS = (5, 30, 120, 600, 1800, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
"""Between attempts. After the last of them, two days later, a message is given up."""


class Sender:
    """Sends the webhooks of the record."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        environment: Mapping[str, str],
        log: Log,
        *,
        resolver: Resolver = resolve,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._database = database
        self._rules = rules
        self._environment = environment
        self._log = log
        self._resolver = resolver
        self._clock = clock
        self._attempt_seconds = attempt_seconds
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()  # addresses, at most AT_ONCE, guarded by the lock
        self._ended = threading.Event()

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            self._ended.clear()
            try:
                busy = self.step()
            except DatabaseUnavailableError:
                busy = False  # the tracker, whose process this is, says so
            except Exception:  # noqa: BLE001 - it is logged, and the others must be sent
                self._log.exception("notifications_failed")
                busy = False
            if not busy:
                self._rest(stop)

    def _rest(self, stop: Stop) -> None:
        """Sleep for a tick, less where an attempt ends: its address may have more to get."""
        until = time.monotonic() + TICK_SECONDS
        while self.is_busy and time.monotonic() < until and not self._ended.is_set():
            if stop.wait(LOOK_SECONDS):
                return
        if not self._ended.is_set():
            stop.wait(max(0.0, until - time.monotonic()))

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is under way."""
        with self._lock:
            return bool(self._in_flight)

    def step(self) -> bool:
        """Begin an attempt for each address that something is due for and none is under way; whether there was any.

        Nobody waits for it: a receiver that hangs delays its own messages only.
        """
        with self._lock:
            in_flight = set(self._in_flight)
        with self._database.read() as connection:
            found = notifications.due(connection, as_text(self._clock()), AT_ONCE - len(in_flight), in_flight)
        for one in found:
            thread = threading.Thread(target=self._attempt_alone, args=(one,), daemon=True)
            with self._lock:  # the thread can't end before its address is noted
                thread.start()
                self._in_flight.add(one.url)
        return bool(found)

    def _attempt_alone(self, found: Notification) -> None:
        try:
            self._attempt(found)
        except Exception:  # noqa: BLE001 - it is logged, and repeated as after any failure
            self._log.exception("notification_attempt_failed", id=found.id)
        finally:
            with self._lock:
                self._in_flight.discard(found.url)
                self._ended.set()

    def _attempt(self, found: Notification) -> None:
        try:
            with self._database.write() as connection:
                if not notifications.claim(connection, found, self._next_attempt_at(found)):
                    return
            error = self._send(found)
            with self._database.write() as connection:
                if error is None:
                    notifications.delivered(connection, found.id)
                else:
                    notifications.failed(connection, found.id, error)
        except DatabaseUnavailableError as lost:
            error = str(lost)
        if error is not None and found.attempts == 0:
            self._log.warning("notification_failed", id=found.id, notified_event=found.event, reason=error)

    def _next_attempt_at(self, found: Notification) -> str | None:
        if found.attempts >= len(PAUSES_SECONDS):
            return None
        return as_text(self._clock() + timedelta(seconds=PAUSES_SECONDS[found.attempts]))

    def _send(self, found: Notification) -> str | None:
        """Why the receiver did not take it, in a sentence; None where it did."""
        secret = self._environment.get(found.secret_env)
        if not secret:
            return f"The variable {found.secret_env}, which should hold the secret, is not set where the tracker runs."
        body = json.dumps(found.body, ensure_ascii=False, allow_nan=False).encode()
        headers = signed_headers(secret, found.id, int(self._clock().timestamp()), body)
        try:
            with Deadline(self._attempt_seconds) as deadline, ExitStack() as opened:
                status = self._post(found.url, headers, body, opened, deadline).status_code
        except DataError as error:
            return str(error)
        except httpx2.TransportError as error:
            if deadline.is_over:
                return f"Its receiver did not answer within {self._attempt_seconds:g} seconds."
            return f"It could not be sent: {cause(error)}."
        return None if httpx2.codes.is_success(status) else f"Its receiver answers {status}."

    def _post(
        self, url: str, headers: dict[str, str], body: bytes, opened: ExitStack, deadline: Deadline
    ) -> httpx2.Response:
        headers = {"Content-Type": "application/json", **headers}
        return ask(
            "POST", place_of(url, self._rules), self._rules, self._resolver, opened, headers, body, deadline.watch
        )
