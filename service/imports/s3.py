"""Reads objects of S3, or of a server that speaks it. Which buckets, the caller has checked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from service.imports.failures import fetch_failed

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
CHUNK_BYTES = 2**20


class Bucket(NamedTuple):
    """Where buckets are, as the settings say: empty for Amazon's own endpoint and its default region."""

    endpoint: str = ""
    region: str = ""


@contextmanager
def read_object(bucket: str, key: str, where: Bucket) -> Iterator[Iterator[bytes]]:
    """The chunks of an object; DataError `fetch_failed` where it can't be read."""
    from pyarrow import fs  # noqa: PLC0415 - it starts threads, which only imports from S3 need

    # Keys come from the environment or not at all: else the client would ask the cloud's metadata server.
    key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    options = {"access_key": key_id, "secret_key": secret, "session_token": os.environ.get("AWS_SESSION_TOKEN")}
    if where.endpoint:
        endpoint = urlsplit(where.endpoint)
        options |= {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc}
    region = where.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    try:
        store = fs.S3FileSystem(
            **{name: value for name, value in options.items() if value is not None},
            anonymous=not (key_id and secret),
            connect_timeout=CONNECT_SECONDS,
            request_timeout=IDLE_SECONDS,
        )
        with store.open_input_stream(f"{bucket}/{key}") as stream:
            yield iter(lambda: stream.read(CHUNK_BYTES), b"")
    except FileNotFoundError:
        raise fetch_failed(f"there is no object '{key:.200}' in bucket '{bucket}'") from None
    except OSError as error:
        raise fetch_failed(f"S3 answers: {str(error).rstrip('.'):.300}") from None
