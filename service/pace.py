"""How slowly the body of a request may come: a client that drips bytes must not hold a connection for ever."""

import asyncio
import time

from starlette.types import Message, Receive

from service.errors import RequestTimeoutError

GRACE_SECONDS = 10.0
LEAST_BYTES_PER_SECOND = 1000
"""Beyond the grace, each so many bytes earn another second. Only waiting counts, not what the service itself takes."""


def paced(receive: Receive) -> Receive:
    """`receive` as the application calls it; RequestTimeoutError where the body comes too slowly or not at all."""
    waited = 0.0
    n_bytes = 0
    is_whole = False

    async def receive_in_time() -> Message:
        nonlocal waited, n_bytes, is_whole
        if is_whole:  # what comes now is that the client has gone, some time
            return await receive()
        patience = min(GRACE_SECONDS, GRACE_SECONDS + n_bytes / LEAST_BYTES_PER_SECOND - waited)
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, patience)):
                message = await receive()
        except TimeoutError:
            raise RequestTimeoutError(
                f"The body came too slowly: {n_bytes} bytes in {waited + time.monotonic() - started:.0f} seconds of "
                f"waiting. Send at least {LEAST_BYTES_PER_SECOND} bytes a second.",
                headers={"Connection": "close"},
            ) from None
        waited += time.monotonic() - started
        n_bytes += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        return message

    return receive_in_time
