"""What a setting may be, and how a log line reads."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import logs
from service.settings import SettingsError, load_settings
from service.store.engines import shown_url
from workers.storage import storage_of

NEW = "It is a new directory: GRADSUM_DATA_DIR or GRADSUM_STORAGE_URL names another one."


@pytest.fixture(autouse=True)
def _only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GRADSUM_"):
            monkeypatch.delenv(name)


def test_everything_has_a_default_below_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.data_dir == tmp_path / ".gradsum"
    assert settings.database_url == f"sqlite:///{tmp_path}/.gradsum/gradsum.sqlite"
    assert settings.storage == tmp_path / ".gradsum" / "storage"
    assert settings.mlflow_public_url == "http://127.0.0.1:5000"
    assert settings.worker_slots >= 1
    assert settings.limit_upload_bytes == 10 * 2**30


def test_given_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GRADSUM_PORT=8001\nGRADSUM_MLFLOW_PORT=5001\nGRADSUM_LIMIT_EPOCHS=7\nOTHER=1\n")
    monkeypatch.setenv("GRADSUM_MLFLOW_PORT", "5002")
    monkeypatch.setenv("GRADSUM_WORKER_SLOTS", "")
    settings = load_settings(limit_epochs=9, host=None)
    assert (settings.port, settings.mlflow_port, settings.limit_epochs) == (8001, 5002, 9)
    assert settings.worker_slots >= 1


def test_a_child_reads_the_same_settings_from_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(data_dir="elsewhere", port=8123, limit_columns=5)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "child").mkdir()
    monkeypatch.chdir(tmp_path / "child")
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("GRADSUM_PORT", "http", "it should be a valid integer"),
        ("GRADSUM_PORT", "70000", "it should be less than or equal to 65535"),
        ("GRADSUM_PORT", "5000", "GRADSUM_MLFLOW_PORT are both 5000"),
        ("GRADSUM_HOST", "192.168.1.1", "must be a loopback address"),
        ("GRADSUM_HOST", "example.org", "must be a loopback address"),
        ("GRADSUM_WORKER_SLOTS", "0", "it should be greater than or equal to 1"),
        ("GRADSUM_LIMIT_UPLOAD_BYTES", "10GB", "it should be a valid integer"),
        ("GRADSUM_STORAGE_URL", "ftp://host/key", "must be a directory"),
        ("GRADSUM_STORAGE_URL", "s3://", "must be s3://BUCKET"),
        ("GRADSUM_STORAGE_URL", "s3://bucket/a//b", "must be s3://BUCKET"),
        ("GRADSUM_STORAGE_URL", "s3://bucket/../b", "must be s3://BUCKET"),
        ("GRADSUM_STORAGE_URL", "s3://key:secret@bucket/b", "must be s3://BUCKET"),
        ("GRADSUM_STORAGE_S3_ENDPOINT", "minio:9000", "must begin with http"),
        ("GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY", "secret", "GRADSUM_STORAGE_S3_ACCESS_KEY_ID and"),
        ("GRADSUM_STORAGE_CACHE_BYTES", "0", "it should be greater than or equal to 1"),
        ("GRADSUM_MLFLOW_TRACKING_URI", "localhost:5000", "must begin with http"),
        ("GRADSUM_DATABASE_URL", "mysql://me:secret@there", "must begin with sqlite"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    message = str(refusal.value)
    assert name in message
    assert reason in message
    assert message.endswith(".")
    assert "\n" not in message
    assert "secret" not in message


def test_a_bucket_has_its_copies_beside_what_a_directory_would_hold(tmp_path: Path) -> None:
    keys = {"storage_s3_access_key_id": "key", "storage_s3_secret_access_key": "word-that-nobody-sees"}
    settings = load_settings(storage_url="s3://my-bucket/gradsum/", data_dir=str(tmp_path), **keys)
    assert (settings.storage_url, settings.has_bucket) == ("s3://my-bucket/gradsum", True)
    storage = storage_of(settings.storage_environment())
    assert (storage.url, storage.root) == (settings.storage_url, settings.storage)
    assert settings.storage == tmp_path / "storage-cache"
    assert "word-that-nobody-sees" not in repr(settings)
    assert storage_of(load_settings(data_dir=str(tmp_path)).environment()).root == tmp_path / "storage"


def test_with_tokens_any_address_may_be_listened_on(tmp_path: Path) -> None:
    settings = load_settings(api_tokens_file="tokens", host="0.0.0.0")  # noqa: S104
    assert settings.api_tokens_file == str(tmp_path / "tokens")
    assert settings.api_url == "http://127.0.0.1:8000"


def test_lists_are_read_from_text_and_nothing_may_be_fetched_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings()
    assert (settings.import_roots, settings.s3_buckets, settings.fetch_private_hosts) == ((), (), ())
    assert (settings.fetch_http, settings.fetch_ports) == (False, ())
    monkeypatch.setenv("GRADSUM_IMPORT_ROOTS", f"/data{os.pathsep}/more , here,")
    monkeypatch.setenv("GRADSUM_FETCH_PORTS", "8443, 9000")
    monkeypatch.setenv("GRADSUM_FETCH_PRIVATE_HOSTS", "Files.Internal., [::1]")
    settings = load_settings(s3_buckets="lake,pond", fetch_http=True)
    assert settings.import_roots == (Path("/data"), Path("/more"), tmp_path / "here")
    assert (settings.fetch_ports, settings.fetch_private_hosts) == ((8443, 9000), ("files.internal", "::1"))
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_file_that_is_not_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GRADSUM_PORT=\xff\xfe\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("gradsum")
    before = (list(root.handlers), root.level, ours.level)
    stream = io.StringIO()
    logs.set_up("tracker", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_an_event_is_one_line_with_its_fields(lines: io.StringIO) -> None:
    logs.logger("dispatcher").info("job_started", job_id="job_1", attempt=1, loss=0.1234567891, reason=None)
    assert lines.getvalue()[19:] == " INFO dispatcher job_started job_id=job_1 attempt=1 loss=0.123457 reason=None\n"


def test_no_value_can_forge_a_line(lines: io.StringIO) -> None:
    logs.logger("api").warning("refused", name="a\n2026 INFO api forged\x1b[31m\u202e\u2028", blank="two words")
    logging.getLogger("library").warning("first\nsecond")
    text = lines.getvalue()
    assert text.count("\n") == 2
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '"a\\n2026 INFO api forged\\u001b[31m\\u202e\\u2028" blank="two words"' in text
    assert " WARNING tracker library first\\nsecond\n" in text


def test_libraries_are_heard_from_warnings_up_and_tracebacks_are_indented(lines: io.StringIO) -> None:
    logging.getLogger("library").info("chatter")
    try:
        int("bad\nnews")
    except ValueError:
        logs.logger("api").exception("failed", path="/v1")
    first, *rest = lines.getvalue().splitlines()
    assert first.endswith("ERROR api failed path=/v1")
    assert all(line.startswith("    ") for line in rest)
    assert "chatter" not in lines.getvalue()


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "head", ":6379", "auto"])
def test_a_ray_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(SettingsError, match=r"GRADSUM_RAY_ADDRESS .*ray-head:6379"):
        load_settings(ray_address=address)
    assert load_settings(ray_address="ray-head:6379").ray_address == "ray-head:6379"


def test_the_address_of_a_database_is_shown_without_its_secrets() -> None:
    assert shown_url("sqlite:////data/gradsum.sqlite") == "sqlite:////data/gradsum.sqlite"
    shown = shown_url("postgresql+psycopg://me:secret@db:5432/gradsum?password=secret")
    assert shown == "postgresql+psycopg://me:***@db:5432/gradsum"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["migrate"], "The database sqlite:///{}/gradsum.sqlite has this version's schema.\n"),
        (["storage", "check"], f"The storage {{}}/storage can be written and read. {NEW}\n"),
    ],
)
def test_what_makes_a_data_directory_names_it(command: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *command, "--data-dir", str(tmp_path / "new")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout + done.stderr == said.format(tmp_path / "new")
