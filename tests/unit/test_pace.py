"""A body that drips is given up; one that comes steadily is not, however long it takes."""

import asyncio

import pytest

from service import pace
from service.errors import RequestTimeoutError


async def read(chunks: list[tuple[float, bytes]]) -> int:
    """How many bytes were taken of chunks that come so many seconds apart."""
    left = iter(chunks)

    async def receive() -> dict[str, object]:
        wait, body = next(left)
        await asyncio.sleep(wait)
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    receive_in_time = pace.paced(receive)
    n_bytes = 0
    while (message := await receive_in_time())["more_body"]:
        n_bytes += len(message["body"])
    return n_bytes


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "GRACE_SECONDS", 0.2)


def test_a_body_that_drips_is_given_up() -> None:
    with pytest.raises(RequestTimeoutError, match="Send at least 1000 bytes a second"):
        asyncio.run(read([(0.05, b"x")] * 100))


def test_a_body_that_stops_is_given_up() -> None:
    with pytest.raises(RequestTimeoutError):
        asyncio.run(read([(0, b"x" * 10**6), (60, b"")]))


def test_a_body_that_comes_steadily_may_take_its_time() -> None:
    assert asyncio.run(read([*[(0.05, b"x" * 200)] * 10, (0, b"")])) == 2000


def test_what_comes_behind_a_whole_body_may_be_waited_for() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.3 if sent else 0)
        sent.append(True)
        return {"type": "http.request" if len(sent) == 1 else "http.disconnect"}

    async def both() -> list[object]:
        receive_in_time = pace.paced(receive)
        return [(await receive_in_time())["type"], (await receive_in_time())["type"]]

    sent: list[bool] = []
    assert asyncio.run(both()) == ["http.request", "http.disconnect"]
