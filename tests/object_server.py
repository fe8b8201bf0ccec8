"""A local server that speaks S3, and storages in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer
from pyarrow import fs

from workers.bucket import Bucket
from workers.object_store import ObjectStore, Place

BUCKET, PREFIX = "gradsum-storage", "all/of-it"
SECRET = "a-secret-that-nobody-may-see"  # noqa: S105 - of a server that takes any


class ObjectServer:
    """One that can be stopped and started again at the same address; what it holds stays."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.start()

    def start(self) -> None:
        """Answer again."""
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        """Refuse connections."""
        self._server.stop()

    @property
    def address(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self._port}"

    def settings(self) -> dict[str, str]:
        """The variables of a service that keeps its files here."""
        return {
            "GRADSUM_STORAGE_URL": f"s3://{BUCKET}/{PREFIX}",
            "GRADSUM_STORAGE_S3_ENDPOINT": self.address,
            "GRADSUM_STORAGE_S3_REGION": "us-east-1",
            "GRADSUM_STORAGE_S3_ACCESS_KEY_ID": "key",
            "GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY": SECRET,
        }

    def files(self) -> fs.S3FileSystem:
        """The server's buckets, for who may do everything."""
        return fs.S3FileSystem(
            access_key="key",
            secret_key=SECRET,
            region="us-east-1",
            endpoint_override=self.address,
            allow_bucket_creation=True,
        )

    def kept(self) -> set[str]:
        """What is below the prefix."""
        selector = fs.FileSelector(f"{BUCKET}/{PREFIX}", recursive=True, allow_not_found=True)
        found = self.files().get_file_info(selector)
        return {info.path.removeprefix(f"{BUCKET}/{PREFIX}/") for info in found if info.type == fs.FileType.File}

    def storage(self, root: Path, cache_bytes: int = 10**9) -> Bucket:
        """The storage as a node with this cache sees it."""
        place = Place(BUCKET, PREFIX, self.address, "us-east-1", "key", SECRET)
        return Bucket(root, ObjectStore(place), cache_bytes)


@contextmanager
def object_server(port: int = 0) -> Iterator[ObjectServer]:
    """A server with an empty bucket, from here to the end of the block."""
    server = ObjectServer(port)
    try:
        server.files().create_dir(BUCKET)
        yield server
    finally:
        server.stop()
