"""Objects below a prefix of a bucket, in S3 or a server that speaks it. Every request has a deadline.

What goes wrong is a StorageUnavailableError that names the bucket and never a key.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from pyarrow import fs

from workers.storage import StorageUnavailableError

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 10.0
"""How long no byte may come."""
CHUNK_BYTES = 2**24
"""What is in memory of a file at once; a file has at most 10 000 of them."""
WAYS_OUT = {
    "NO_SUCH_BUCKET": "there is no such bucket: check GRADSUM_STORAGE_URL",
    "ACCESS_DENIED": (
        "the keys may not read, write, list and delete there: check GRADSUM_STORAGE_S3_ACCESS_KEY_ID and the "
        "bucket's policy"
    ),
    "INVALID_ACCESS_KEY_ID": "the key is unknown: check GRADSUM_STORAGE_S3_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID": "the key is unknown: check GRADSUM_STORAGE_S3_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH": "the secret is not the key's: check GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY",
}


@dataclass(frozen=True)
class Place:
    """Where the objects are. Empty: Amazon's own endpoint, the environment's region, pyarrow's search for keys."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """As GRADSUM_STORAGE_URL has it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


class Found(NamedTuple):
    """An object below what was asked for: its key behind that (empty for itself), bytes and time of change."""

    name: str
    bytes: int
    touched: float


class ObjectStore:
    """Keys are relative to the prefix."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._files = _file_system(place, SILENCE_SECONDS, attempts=2)
        self._quick = _file_system(place, CONNECT_SECONDS, attempts=1)

    def find(self, key: str) -> list[Found]:
        """The object of this key, or those below it; none where there are none."""
        whole = self._whole(key)
        with self._explained():
            info = self._files.get_file_info(whole)
            if info.type == fs.FileType.NotFound:
                self._refuse_missing_bucket()
                return []
            if info.type == fs.FileType.File:
                return [Found("", info.size, info.mtime.timestamp())]
            found = self._files.get_file_info(fs.FileSelector(whole, allow_not_found=True, recursive=True))
        return [
            Found(info.path.removeprefix(f"{whole}/"), info.size, info.mtime.timestamp())
            for info in found
            if info.type == fs.FileType.File
        ]

    def read(self, key: str) -> bytes:
        """A small object's content; FileNotFoundError where it is not there."""
        with self._explained(), self._files.open_input_stream(self._whole(key)) as stream:
            return bytes(stream.read())

    def get(self, key: str, n_bytes: int, file: IO[bytes]) -> None:
        """Write an object of `n_bytes` to `file`; FileNotFoundError where it is not there."""
        with self._explained(), self._files.open_input_stream(self._whole(key)) as stream:
            left = n_bytes
            while chunk := stream.read(CHUNK_BYTES):
                left -= file.write(chunk)
        if left != 0:
            raise StorageUnavailableError(f"The storage {self.place.url} sent a part of a file: it is tried again.")

    def put(self, path: Path, key: str, on_chunk: Callable[[], None]) -> None:
        """Make a file an object; it is there whole or not at all, whatever ends this process."""
        whole = self._whole(key)
        n_bytes = path.stat().st_size
        with path.open("rb") as file, self._explained():
            stream = self._files.open_output_stream(whole)
            try:
                while chunk := file.read(CHUNK_BYTES):
                    stream.write(chunk)
                    on_chunk()
                stream.close()
            except BaseException:
                self._delete_part(stream, whole, n_bytes)
                raise

    def _delete_part(self, stream: IO[bytes], whole: str, n_bytes: int) -> None:
        """Closing makes an object of the part that was written. A whole one is of an earlier time, and stays."""
        with contextlib.suppress(OSError):
            stream.close()
        with contextlib.suppress(OSError):
            info = self._files.get_file_info(whole)
            if info.type == fs.FileType.File and info.size != n_bytes:
                self._files.delete_file(whole)

    def delete(self, key: str) -> None:
        """Take away the object of this key and all below it; nothing where there is none."""
        whole = self._whole(key)
        with self._explained():
            info = self._files.get_file_info(whole)
            with contextlib.suppress(FileNotFoundError):
                if info.type == fs.FileType.File:
                    self._files.delete_file(whole)
                elif info.type == fs.FileType.Directory:
                    self._files.delete_dir(whole)

    def reach(self) -> None:
        """StorageUnavailableError where the bucket does not answer, soon."""
        with self._explained():
            self._refuse_missing_bucket()

    def check(self) -> None:
        """StorageUnavailableError where an object can't be written, read, listed and deleted, soon."""
        key = self._whole(f".check-{os.uname().nodename}-{secrets.token_hex(8)}")
        with self._explained(), self._nothing_missing():
            with self._quick.open_output_stream(key) as stream:
                stream.write(b"1")
            with self._quick.open_input_stream(key) as stream:
                stream.read()
            self._quick.get_file_info(fs.FileSelector(self._whole("").rstrip("/")))
            self._quick.delete_file(key)

    @contextlib.contextmanager
    def _nothing_missing(self) -> Iterator[None]:
        """What was written a moment ago has to be there."""
        try:
            yield
        except FileNotFoundError:
            raise StorageUnavailableError(self._sentence("NO_SUCH_KEY")) from None

    def _whole(self, key: str) -> str:
        return "/".join(part for part in (self.place.bucket, self.place.prefix, key) if part)

    def _refuse_missing_bucket(self) -> None:
        """A list of what is below a bucket that is not there is empty, like any other."""
        if self._quick.get_file_info(self.place.bucket).type == fs.FileType.NotFound:
            raise StorageUnavailableError(self._sentence("NO_SUCH_BUCKET"), refused=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What S3 says from here to the end of the block as StorageUnavailableError; what the disk says as it is."""
        try:
            yield
        except OSError as error:
            if error.errno is not None:
                raise
            text = str(error)
            found = re.search(r"AWS Error ([A-Z_]+)", text)
            code = found[1] if found else "UNKNOWN"
            if code == "UNKNOWN" and "HTTP status 403" in text:
                code = "ACCESS_DENIED"
            raise StorageUnavailableError(self._sentence(code), refused=code in WAYS_OUT) from None

    def _sentence(self, code: str) -> str:
        where = f"The storage {self.place.url}"
        if code in WAYS_OUT:
            return f"{where} can't be used: {WAYS_OUT[code]} ({code})."
        return f"{where} does not answer ({code}): it is tried again; check GRADSUM_STORAGE_S3_ENDPOINT."


def _file_system(place: Place, silence_seconds: float, attempts: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    options: dict[str, Any] = {}
    if place.access_key_id:
        options = {"access_key": place.access_key_id, "secret_key": place.secret_access_key}
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")  # else the client looks for a region there
    if place.endpoint:
        endpoint = urlsplit(place.endpoint)
        options |= {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc}
    region = place.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        **options,
        **({"region": region} if region else {}),
        background_writes=False,  # else a file that is read faster than it is sent would be in memory
        connect_timeout=CONNECT_SECONDS,
        request_timeout=silence_seconds,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )
