"""Webhooks: written with what they tell of, sent to a real server, signed, again after a failure, in nobody's way."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service import logs
from service.errors import UnprocessableError
from service.notifications.rules import check_notify, unset_secret
from service.notifications.sender import AT_ONCE, PAUSES_SECONDS, Sender
from service.settings import Settings
from service.store import datasets, jobs, notifications
from service.store.database import Database, as_text, migrate
from service.store.notifications import Notification
from service.uris import Rules
from workers.spec import Notify, parse

SECRET = "as-good-as-any"  # noqa: S105 - of this test
SPEC = parse({"dataset": "d", "target": "t"}).model_dump()


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers by path: /ok, /refused, /slow, /drip, /moved."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        if self.path == "/slow":
            self.server.release.wait(30)  # type: ignore[attr-defined]
        if self.path == "/drip":
            self.drip()
            return
        self.send_response({"/refused": 500, "/moved": 302}.get(self.path, 204))
        self.send_header("Location", "/ok")
        self.end_headers()

    def drip(self) -> None:
        """A head that never ends, a byte at a time."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        with contextlib.suppress(OSError):
            while not self.server.release.wait(0.05):  # type: ignore[attr-defined]
                self.wfile.write(b"x")

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self.now


class Scene(NamedTuple):
    """A record, a receiver, and a sender between them whose time is ours."""

    database: Database
    server: Any
    clock: Clock
    sender: Sender

    def url(self, path: str) -> str:
        return f"http://localhost:{self.server.server_address[1]}{path}"

    def tell(self, path: str = "/ok", event: str = "job.failed", object_id: str = "job_1") -> None:
        notify = {"url": self.url(path), "secret_env": "HOOK_SECRET", "events": ["job.failed", "job.succeeded"]}
        with self.database.write() as connection:
            notifications.add(
                connection, notify, project="default", object_id=object_id, event=event, data={"name": "Zoë", "n": 1}
            )

    def known(self, object_id: str = "job_1") -> list[Notification]:
        with self.database.read() as connection:
            return notifications.of_object(connection, object_id)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.server.seen]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path}/record.sqlite"
    migrate(url)
    database = Database(url)
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.release, server.daemon_threads = [], threading.Event(), True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    clock = Clock()
    rules = Rules(fetch_http=True, fetch_ports=(server.server_address[1],), fetch_private_hosts=("localhost",))
    sender = Sender(database, rules, {"HOOK_SECRET": SECRET}, logs.logger("test"), clock=clock)
    yield Scene(database, server, clock, sender)
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()
    database.close()


def test_a_webhook_is_signed_so_that_its_receiver_can_check_sender_message_and_time(scene: Scene) -> None:
    scene.tell()
    assert attempt(scene.sender)
    ((path, headers, body),) = scene.server.seen
    stamp, message_id = headers["webhook-timestamp"], headers["webhook-id"]
    signed = f"{message_id}.{stamp}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert (path, headers["webhook-signature"]) == ("/ok", f"v1,{expected}")
    message = json.loads(body)
    assert message["type"] == "job.failed"
    assert message["data"] == {"name": "Zoë", "n": 1}
    (known,) = scene.known()
    assert known.id == message_id
    assert known.delivered_at
    assert known.next_attempt_at is None
    assert not attempt(scene.sender)


def test_what_is_not_asked_for_is_not_sent(scene: Scene) -> None:
    scene.tell(event="job.cancelled")
    assert scene.known() == []


@pytest.mark.parametrize("path", ["/refused", "/moved"])
def test_a_webhook_that_is_not_taken_is_sent_again_ever_less_often_and_then_given_up(scene: Scene, path: str) -> None:
    scene.tell(path)
    for pause in PAUSES_SECONDS:
        assert attempt(scene.sender)
        assert not attempt(scene.sender), "it is not due yet"
        scene.clock.now += timedelta(seconds=pause)
    assert attempt(scene.sender)
    scene.clock.now += timedelta(days=30)
    assert not attempt(scene.sender)
    (known,) = scene.known()
    assert scene.paths() == [path] * (len(PAUSES_SECONDS) + 1)
    assert len({headers["webhook-id"] for _, headers, _ in scene.server.seen}) == 1
    assert (known.delivered_at, known.next_attempt_at) == (None, None)
    assert known.error == f"Its receiver answers {500 if path == '/refused' else 302}."


def test_a_receiver_that_does_not_answer_keeps_nobody_else_waiting(scene: Scene) -> None:
    for _ in range(AT_ONCE):
        scene.tell("/slow", object_id="job_slow")
    assert scene.sender.step()
    until(lambda: scene.paths() == ["/slow"])
    for place in range(3):
        scene.tell(object_id="job_quick")
        assert scene.sender.step()
        until(lambda count=place + 1: sum(bool(found.delivered_at) for found in scene.known("job_quick")) == count)
    assert not scene.sender.step()
    assert [found.attempts for found in scene.known("job_slow")] == [1] + [0] * (AT_ONCE - 1)


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_an_attempt_ends_in_its_time_however_slowly_it_is_answered(scene: Scene, path: str) -> None:
    rules = Rules(fetch_http=True, fetch_ports=(scene.server.server_address[1],), fetch_private_hosts=("localhost",))
    sender = Sender(
        scene.database, rules, {"HOOK_SECRET": SECRET}, logs.logger("test"), clock=scene.clock, attempt_seconds=0.5
    )
    scene.tell(path)
    assert attempt(sender)
    assert scene.known()[0].error == "Its receiver did not answer within 0.5 seconds."


def test_the_messages_of_an_address_follow_each_other_at_once(scene: Scene) -> None:
    for _ in range(30):
        scene.tell()
    stop = threading.Event()
    thread = threading.Thread(target=scene.sender.run, args=(stop,))
    thread.start()
    until(lambda: all(found.delivered_at for found in scene.known()))  # a tick after each would take longer
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_many_messages_of_one_address_hide_no_other(scene: Scene) -> None:
    for _ in range(AT_ONCE):
        scene.tell("/ok", object_id="job_many")
    scene.tell("/refused", object_id="job_other")
    with scene.database.read() as connection:
        found = notifications.due(connection, as_text(scene.clock()), AT_ONCE)
        rest = notifications.due(connection, as_text(scene.clock()), AT_ONCE, {scene.url("/ok")})
    assert [each.object_id for each in found] == ["job_many", "job_other"]
    assert [each.object_id for each in rest] == ["job_other"]


def attempt(sender: Sender) -> bool:
    """Let the sender take a step, and wait for what comes of it; whether there was anything to send."""
    began = sender.step()
    until(lambda: not sender.is_busy)
    return began


def until(is_done: Callable[[], bool]) -> None:
    """Wait until it is."""
    deadline = time.monotonic() + 20
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_of_two_senders_one_sends(scene: Scene) -> None:
    scene.tell()
    with scene.database.read() as connection:
        (found,) = notifications.due(connection, scene.known()[0].created_at, 10)
    with scene.database.write() as connection:
        assert notifications.claim(connection, found, found.next_attempt_at)
    with scene.database.write() as connection:
        assert not notifications.claim(connection, found, found.next_attempt_at)


def test_nothing_is_sent_to_a_host_that_is_not_public(scene: Scene) -> None:
    scene.tell()
    inside = Sender(
        scene.database, Rules(fetch_http=True, fetch_ports=(scene.server.server_address[1],)),
        {"HOOK_SECRET": SECRET}, logs.logger("test"), clock=scene.clock, resolver=lambda *_: ["127.0.0.1"],
    )  # fmt: skip
    attempt(inside)
    assert scene.server.seen == []
    assert "is not on the public internet" in (scene.known()[0].error or "")


def test_a_secret_that_is_not_there_is_named_and_nothing_is_sent_unsigned(scene: Scene) -> None:
    scene.tell()
    attempt(Sender(scene.database, Rules(), {}, logs.logger("test"), clock=scene.clock))
    assert "HOOK_SECRET" in (scene.known()[0].error or "")
    assert scene.server.seen == []


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_the_end_of_a_job_is_told_in_the_transaction_that_ends_it(scene: Scene, status: str) -> None:
    notify = {"url": scene.url("/ok"), "secret_env": "HOOK_SECRET", "events": [f"job.{status}"]}
    with scene.database.write() as connection:
        dataset, _ = datasets.add(
            connection, id=datasets.new_id(), project="default", actor="a", name="d", options={}, source={}, sha256="1",
            content_key="1", bytes=1, tags={},
        )  # fmt: skip
        job = jobs.add(
            connection, project="default", actor="a", dataset_id=dataset.id, requested={}, resolved=True, warnings=[],
            spec={**SPEC, "name": "nightly", "notify": notify},
        )  # fmt: skip
        for step in {"succeeded": ["starting", "running"], "failed": [], "cancelled": ["cancelling"]}[status]:
            assert jobs.move(connection, job, step)
            job = jobs.required(connection, job.id)
    assert scene.known(job.id) == []
    with scene.database.write() as connection:
        assert jobs.move(connection, job, status, "because")
    (known,) = scene.known(job.id)
    data = known.body["data"]
    assert (data["job_id"], data["name"], data["status"], data["reason"]) == (job.id, "nightly", status, "because")
    assert data["finished_at"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://example.org/hook"}, "notify.url"),
        ({"url": "example.org/hook"}, "notify.url"),
        ({"url": "https://127.0.0.1/hook"}, "notify.url"),
        ({"url": "https://user:word@example.org/hook"}, "notify.url"),
        ({"url": "s3://bucket/key"}, "notify.url"),
        ({"secret_env": "AWS_SECRET_ACCESS_KEY"}, "notify.secret_env"),
        ({"secret_env": "GRADSUM_DATABASE_URL"}, "notify.secret_env"),
        ({"secret_env": "no variable"}, "notify.secret_env"),
    ],
)
def test_a_webhook_that_must_not_be_sent_is_refused(change: dict[str, str], field: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, s3_buckets=("bucket",))
    good = {"url": "https://example.org/hook", "secret_env": "GRADSUM_NOTIFY_SECRET"}
    check_notify(Notify(**good), settings)
    with pytest.raises(UnprocessableError) as refused:
        check_notify(Notify(**{**good, **change}), settings)
    assert [found.field for found in refused.value.errors] == [field]
    assert "s3://" not in refused.value.detail


def test_a_secret_that_is_not_set_is_a_warning() -> None:
    notify = Notify(url="https://example.org/hook", secret_env="HOOK_SECRET")  # noqa: S106 - a variable's name
    assert unset_secret(None, {}) == unset_secret(notify, {"HOOK_SECRET": "s"}) == []
    for environment in ({}, {"HOOK_SECRET": ""}):
        assert "HOOK_SECRET" in unset_secret(notify, environment)[0]
