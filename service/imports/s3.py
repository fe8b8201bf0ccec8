"""Reads objects of S3, or of a server that speaks it. Which buckets, the caller has checked."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from service.imports.failures import fetch_failed
from service.progress import SILENT, Progress

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
CHUNK_BYTES = 2**20


class Bucket(NamedTuple):
    """Where buckets are, as the settings say: empty for Amazon's own endpoint and its default region."""

    endpoint: str = ""
    region: str = ""


def read_object(bucket: str, key: str, where: Bucket, progress: Progress = SILENT) -> Generator[bytes, None, None]:
    """The chunks of an object, whose size `progress` is told; DataError `fetch_failed` where it can't be read."""
    with _explained(bucket, key), _store(where).open_input_file(f"{bucket}/{key}") as stream:
        progress.expect(stream.size())
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def list_objects(bucket: str, prefix: str, where: Bucket) -> Iterator[tuple[str, bool]]:
    """Of what is right below the prefix, which ends with a slash, the name and whether more is below it."""
    from pyarrow import fs  # noqa: PLC0415 - see `_store`

    with _explained(bucket, prefix):
        found = _store(where).get_file_info(fs.FileSelector(f"{bucket}/{prefix}"))
    for info in found:
        yield info.base_name, info.type == fs.FileType.Directory


def _store(where: Bucket) -> Any:  # noqa: ANN401 - a pyarrow.fs.S3FileSystem
    from pyarrow import fs  # noqa: PLC0415 - it starts threads, which only imports from S3 need

    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # else the client looks for keys and a region there
    return fs.S3FileSystem(**_options(where), connect_timeout=CONNECT_SECONDS, request_timeout=IDLE_SECONDS)


@contextmanager
def _explained(bucket: str, key: str) -> Iterator[None]:
    """What goes wrong from here to the end of the block as DataError `fetch_failed`."""
    try:
        yield
    except FileNotFoundError:
        raise fetch_failed(f"there is no object '{key:.200}' in bucket '{bucket}'") from None
    except OSError as error:
        raise fetch_failed(f"S3 answers: {str(error).rstrip('.'):.300}") from None


def _options(where: Bucket) -> dict[str, Any]:
    """How to reach the server. Keys come from the environment or not at all."""
    key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    options: dict[str, Any] = {"anonymous": True}
    if key_id and secret:
        options = {"access_key": key_id, "secret_key": secret, "session_token": os.environ.get("AWS_SESSION_TOKEN")}
    if where.endpoint:
        endpoint = urlsplit(where.endpoint)
        options |= {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc}
    region = where.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return options | ({"region": region} if region else {})
