"""Who is let in: tokens and their scopes, decided at the headers; and without tokens, no page of another site."""

import io
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from service import logs
from service.settings import Settings, SettingsError
from service.store import firings, schedules
from service.store.database import as_text
from service.tokens import new_token, revoke_token
from tests.integration.conftest import Api, running_api

CSV = "x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(40))


class Guarded(NamedTuple):
    """An API with tokens."""

    api: Api
    file: Path
    reader: str
    writer: str
    log: io.StringIO

    def ask(self, method: str, path: str, token: str | None, **request: Any) -> httpx2.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.api.http.request(method, path, headers={**headers, **request.pop("headers", {})}, **request)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory: Path = tmp_path_factory.mktemp("guarded")
    file = directory / "tokens"
    reader, writer = new_token(file, "reader", "read"), new_token(file, "writer", "write")
    root, ours = logging.getLogger(), logging.getLogger("gradsum")
    before = (list(root.handlers), root.level, ours.level)
    log = io.StringIO()
    logs.set_up("api", log)
    settings = Settings(data_dir=directory, api_tokens_file=str(file), host="0.0.0.0", worker_slots=2)  # noqa: S104
    with running_api(settings) as api:
        yield Guarded(api, file, reader, writer, log)
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{code}"
    assert answer.headers["x-request-id"] == body["request_id"]
    return body


WRONG = ["", "Bearer", "Basic {token}", "Bearer x{token}", "{token}", "Bearer {token} {token}", "Bearer é"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/nothing", "/readyz", "/metrics", "/v1/jobs/job_1/weights"])
def test_without_a_token_that_is_known_nothing_is_answered(guarded: Guarded, path: str) -> None:
    """B1."""
    details = set()
    for value in [None, *(text.format(token=guarded.reader) for text in WRONG)]:
        headers = {} if value is None else {"Authorization": value.encode()}
        answer = guarded.api.http.get(path, headers=headers)
        body = problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        details.add(body["detail"])
    assert len(details) == 1
    twice = [("Authorization", f"Bearer {guarded.reader}")] * 2
    problem(guarded.api.http.get(path, headers=twice), 401, "unauthenticated")


def test_what_says_nothing_of_this_installation_is_open(guarded: Guarded) -> None:
    for path in ("/", "/healthz", "/docs", "/docs/swagger-ui.css", "/openapi.json"):
        assert guarded.ask("GET", path, None).status_code == 200
        problem(guarded.ask("POST", path, None), 401, "unauthenticated")
    document = guarded.ask("GET", "/openapi.json", None).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_a_token_that_may_read_reads_and_predicts_and_changes_nothing(guarded: Guarded) -> None:
    """B2."""
    assert guarded.ask("GET", "/v1/jobs", guarded.reader).status_code == 200
    assert guarded.ask("GET", "/readyz", guarded.reader).status_code == 200
    problem(guarded.ask("POST", "/v1/models/none/predict", guarded.reader, json={"rows": [[1]]}), 404, "not_found")
    for method, path in (
        ("POST", "/v1/jobs"), ("POST", "/v1/jobs?dry_run=true"), ("DELETE", "/v1/jobs/job_1"),
        ("POST", "/v1/models/none/promote"), ("POST", "/v1/models/a/b/predict"), ("PATCH", "/v1/jobs"),
    ):  # fmt: skip
        body = problem(guarded.ask(method, path, guarded.reader, json={}), 403, "missing_scope")
        assert "'write'" in body["detail"]
        assert "'reader'" in body["detail"]


def test_everything_carries_the_name_of_its_token_and_a_key_is_its_actor_s_own(guarded: Guarded) -> None:
    other = new_token(guarded.file, "other", "write")
    made = guarded.ask(
        "POST", "/v1/datasets", guarded.writer, files={"file": ("actor.csv", CSV)}, data={"name": "actor"}
    ).json()
    assert made["actor"] == "writer"
    guarded.api.prepare(made["id"])
    job = {"dataset": "actor", "target": "y"}
    key = {"Idempotency-Key": "k"}
    first = guarded.ask("POST", "/v1/jobs", guarded.writer, json=job, headers=key).json()
    again = guarded.ask("POST", "/v1/jobs", guarded.writer, json=job, headers=key).json()
    others = guarded.ask("POST", "/v1/jobs", other, json=job, headers=key).json()
    assert first["id"] == again["id"] != others["id"]
    assert (first["actor"], others["actor"]) == ("writer", "other")
    cancelled = guarded.ask("POST", f"/v1/jobs/{first['id']}/cancel", other).json()
    assert cancelled["transitions"][-1]["reason"] == "asked for by other"
    revoke_token(guarded.file, "other")
    problem(guarded.ask("GET", "/v1/jobs", other), 401, "unauthenticated")
    assert guarded.ask("GET", f"/v1/jobs/{others['id']}", guarded.reader).json()["actor"] == "other"


def test_a_firing_carries_who_asked_for_it_and_else_who_added_its_schedule(guarded: Guarded) -> None:
    other = new_token(guarded.file, "second", "write")
    files = {"file": ("fired.csv", CSV)}
    guarded.api.prepare(guarded.ask("POST", "/v1/datasets", guarded.writer, files=files).json()["id"])
    body = {"name": "fired", "cron": "0 * * * *", "job": {"dataset": "fired", "target": "y"}}
    path = f"/v1/schedules/{guarded.ask('POST', '/v1/schedules', guarded.writer, json=body).json()['id']}"
    with guarded.api.database.write() as connection:
        schedule = schedules.required(connection, path.rpartition("/")[2])
        for hours in (2, 3):
            due_at = as_text(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours))
            firings.add(
                connection, schedule_id=schedule.id, due_at=due_at, triggered_by="cron", outcome="missed", reason=None
            )
    guarded.ask("POST", f"{path}/backfill", other, json={"from": due_at, "to": due_at})
    guarded.ask("POST", f"{path}/trigger", other)
    rows = guarded.ask("GET", f"{path}/firings", guarded.reader).json()["data"]
    assert [(row["triggered_by"], row["actor"]) for row in rows] == [
        ("user", "second"), ("backfill", "second"), ("cron", "writer"),
    ]  # fmt: skip
    for row in rows:
        carried = {"project": "default", "group_id": None, "tags": {}, "created_at": row["fired_at"]}
        assert row.items() >= carried.items()
        if row["job_id"] is not None:
            assert guarded.ask("GET", f"/v1/jobs/{row['job_id']}", guarded.reader).json()["actor"] == "second"


@pytest.mark.parametrize("framing", [f"Content-Length: {2**31}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("scope", "status"), [(None, 401), ("reader", 403)])
def test_a_body_is_refused_at_its_headers_and_the_connection_closed(
    guarded: Guarded, framing: str, scope: str | None, status: int
) -> None:
    """B4: not a byte of the body is sent here before the answer has come, and the connection is at its end."""
    token = "" if scope is None else f"Authorization: Bearer {guarded.reader}\r\n"
    head = f"POST /v1/datasets HTTP/1.1\r\nHost: x\r\n{token}{framing}\r\nContent-Type: multipart/form-data\r\n\r\n"
    url = guarded.api.http.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in answer.lower()


def test_no_token_is_in_the_log(guarded: Guarded) -> None:
    unknown = "gradsum_a-token-that-nobody-knows"
    for token in (guarded.reader, guarded.writer, unknown):
        guarded.ask("POST", "/v1/jobs", token, content=b"{", headers={"Content-Type": "application/json"})
        guarded.ask("DELETE", "/v1/jobs/job_1", token)
    text = guarded.log.getvalue()
    assert "status=401" in text
    assert "tokens_read" in text
    assert not [token for token in (guarded.reader, guarded.writer, unknown) if token in text]


def test_commands_show_their_token_and_say_what_is_wrong_with_it(guarded: Guarded) -> None:
    def gradsum(*arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.cli", *arguments]
        environment = {"GRADSUM_URL": str(guarded.api.http.base_url), "GRADSUM_TOKEN": token}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    listed = gradsum("job", "list", "--json", token=f" {guarded.reader}\n")
    assert json.loads(listed.stdout)["object"] == "list", listed.stderr
    refused = gradsum("job", "list")
    assert refused.returncode == 1
    assert "GRADSUM_TOKEN" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    refused = gradsum("job", "cancel", "job_1", "--token", guarded.reader)
    assert refused.returncode == 1
    assert "'write'" in refused.stderr
    assert guarded.reader not in refused.stderr


def test_the_command_prints_a_token_once_on_stdout_alone(tmp_path: Path) -> None:
    def gradsum(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.cli", "token", *arguments]
        environment = {"GRADSUM_API_TOKENS_FILE": str(tmp_path / "tokens")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    made = gradsum("new", "ci", "--scope", "write")
    assert made.returncode == 0, made.stderr
    (token,) = made.stdout.splitlines()
    assert token not in made.stderr
    assert gradsum("list").stdout == "ci  write\n"
    again = gradsum("new", "ci", "--scope", "read")
    assert (again.returncode, again.stdout) == (1, "")
    assert "already" in again.stderr
    assert gradsum("revoke", "ci").returncode == 0
    assert gradsum("list").stdout == ""


def test_a_service_does_not_start_on_a_wrong_tokens_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, api_tokens_file=str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="does not exist"), running_api(settings):
        pass


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", "10.0.0.1"])
def test_without_tokens_a_name_that_was_pointed_here_is_refused(api: Api, host: str) -> None:
    problem(api.http.get("/v1/jobs", headers={"Host": host}), 403, "wrong_host")


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_without_tokens_names_of_the_machine_itself_are_served(api: Api, host: str) -> None:
    assert api.http.get("/v1/jobs", headers={"Host": host}).status_code == 200


def test_without_tokens_a_page_of_another_site_changes_nothing(api: Api) -> None:
    upload: Callable[..., httpx2.Response] = lambda **headers: api.http.post(  # noqa: E731
        "/v1/datasets", files={"file": ("o.csv", CSV)}, headers=headers
    )
    problem(upload(Origin="https://evil.example"), 403, "cross_origin")
    problem(upload(Origin="null"), 403, "cross_origin")
    assert upload(Origin=str(api.http.base_url).rstrip("/")).status_code == 201
    assert api.http.get("/v1/jobs", headers={"Origin": "https://evil.example"}).status_code == 200
