"""A child that dies or hangs is replaced, and whoever waits for its answer is told."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from service import logs
from service.child import AWAY_SECONDS, Child, Lost, Message

pytestmark = pytest.mark.usefixtures("leaves_nothing")
QUESTION = {"do": "ingest", "path": "nowhere", "options": {}, "destination": "nowhere", "limits": {"columns": 1}}


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("service.prepare", logs.logger("test"))
    pump_until(child, lambda: child.ready is not None)
    yield child
    child.stop()


def pump_until(child: Child, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        child.pump()
        time.sleep(0.01)


def pid_of(child: Child) -> int:
    assert child._process is not None
    return child._process.pid


def ask(child: Child, deadline_seconds: float = 60) -> list[Message | Lost]:
    answers: list[Message | Lost] = []
    child.ask(QUESTION, deadline_seconds, answers.append)
    return answers


def test_questions_are_answered_in_their_own_time(child: Child) -> None:
    first, second = ask(child), ask(child)
    assert first == second == []
    pump_until(child, lambda: bool(first and second))
    assert isinstance(first[0], dict)
    assert "error" in first[0]


def test_a_killed_child_is_replaced_and_everyone_who_waits_is_told(child: Child) -> None:
    os.kill(pid_of(child), signal.SIGSTOP)
    first, second = ask(child), ask(child)
    os.kill(pid_of(child), signal.SIGKILL)
    pump_until(child, lambda: bool(first and second))
    assert isinstance(first[0], Lost)
    assert isinstance(second[0], Lost)
    pump_until(child, lambda: child.ready is not None)
    third = ask(child)
    pump_until(child, lambda: bool(third))
    assert isinstance(third[0], dict)


def test_a_child_that_hangs_is_replaced_when_the_deadline_has_passed(child: Child) -> None:
    frozen = pid_of(child)
    os.kill(frozen, signal.SIGSTOP)
    answers = ask(child, deadline_seconds=0.2)
    pump_until(child, lambda: bool(answers))
    assert isinstance(answers[0], Lost)
    pump_until(child, lambda: child.ready is not None)
    assert pid_of(child) != frozen


def test_an_error_in_one_answer_does_not_swallow_the_next(child: Child) -> None:
    def fail(_answer: Message | Lost) -> None:
        raise RuntimeError

    child.ask(QUESTION, 60, fail)
    second = ask(child)
    with pytest.raises(RuntimeError):
        pump_until(child, lambda: bool(second))
    pump_until(child, lambda: bool(second))


def test_a_child_whose_storage_is_away_loses_questions_without_blame_until_it_is_back() -> None:
    nowhere = {
        "GRADSUM_STORAGE_URL": "s3://bucket/files",
        "GRADSUM_STORAGE_S3_ENDPOINT": "http://127.0.0.1:1",
        "GRADSUM_STORAGE_S3_ACCESS_KEY_ID": "key",
        "GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY": "word",
    }
    child = Child("service.prepare", logs.logger("test"), environment=nowhere)
    try:
        pump_until(child, lambda: child.ready is not None)
        message = {"do": "sweep", "uploads": [], "matrices": [], "known": {}, "now": time.time()}
        answers: list[Message | Lost] = []
        child.ask(message, 60, answers.append)
        pump_until(child, lambda: bool(answers))
        child.ask(message, 60, answers.append)
        child.pump()  # it is left alone for a while
        assert len(answers) == 2
        for answer in answers:
            assert isinstance(answer, Lost)
            assert not answer.in_hand
            assert "s3://bucket/files does not answer" in answer.reason
        assert child.ready is not None
        assert "does not answer" in str(child.away)
        child._again_at = time.monotonic() - AWAY_SECONDS
        assert child.away is None  # it may be back: nobody has asked since
        child.ask({"do": "unknown", "destination": ""}, 60, answers.append)
        pump_until(child, lambda: len(answers) == 3)
        assert child.away is None
    finally:
        child.stop()
