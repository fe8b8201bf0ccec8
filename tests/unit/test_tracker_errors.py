"""What MLflow's answers mean to the tracker."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mlflow import MlflowClient

from service.tracker.errors import MlflowUnavailableError, answers


class Stranger(BaseHTTPRequestHandler):
    """An MLflow with accounts, as whoever has none sees it."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="mlflow"')
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_refused_account_is_named_and_makes_everything_wait(address: str) -> None:
    with pytest.raises(MlflowUnavailableError, match="MLFLOW_TRACKING_PASSWORD"), answers():
        MlflowClient(address, address).search_experiments(max_results=1)
