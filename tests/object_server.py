"""A local server that speaks S3, and storages in it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from pyarrow import fs
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from workers.bucket import Bucket
from workers.object_store import ObjectStore, Place

BUCKET, PREFIX = "gradsum-storage", "all/of-it"
SECRET = "a-secret-that-nobody-may-see"  # noqa: S105 - of a server that takes any


class ObjectServer:
    """One that can be stopped and started again at the same address; what it holds stays."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.requests: list[str] = []
        """What was asked so far: method and URL."""
        self.refuses: Callable[[str], bool] = lambda _request: False
        """Which of the requests are answered with 403."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self.start()

    def start(self) -> None:
        """Answer again."""
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self._port = self._server.port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = Request(environ)
        request = f"{asked.method} {asked.full_path}"
        self.requests.append(request)
        if not self.refuses(request):
            answered: Iterable[bytes] = self._app(environ, start_response)
            return answered
        asked.get_data()
        body = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
        return Response(body, 403, content_type="application/xml")(environ, start_response)

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
