"""What the environment, or `.env` in the working directory, says about this service: each `GRADSUM_…` name, checked."""

import contextlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

import psutil
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.addresses import is_loopback
from service.numerics import Numerics
from workers.storage import CACHE, CACHE_BYTES, SCHEME

PREFIX = "GRADSUM_"
STORAGE_VARIABLES = ("GRADSUM_DATA_DIR", "GRADSUM_STORAGE_")
SECRETS = {"database_url", "storage_url", "storage_s3_secret_access_key"}
"""Fields whose value is never repeated in a message: it may hold a password."""
BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/(?!\.+(/|$))[A-Za-z0-9_.-]+)*/?")


class SettingsError(Exception):
    """A setting that can't be used: one sentence that names its variable and the way out."""


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _bound(host: str, info: ValidationInfo) -> str:
    if not info.data.get("api_tokens_file") and not is_loopback(host):
        raise ValueError("must be a loopback address such as 127.0.0.1, unless GRADSUM_API_TOKENS_FILE is set")
    return host


def _file(path: str) -> str:
    return str(_absolute(Path(path))) if path else ""


def _database(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
    return url


def _storage(url: str) -> str:
    if url.startswith(SCHEME):
        if not BUCKET.fullmatch(url):
            raise ValueError("must be s3://BUCKET or s3://BUCKET/PREFIX, of letters, digits, dots, - and _")
        return url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"", "file"} or parts.netloc:
        raise ValueError("must be a directory, a file:/// address of one, or s3://BUCKET/PREFIX")
    return str(_absolute(Path(unquote(parts.path) if parts.scheme else url)))


def _http(url: str) -> str:
    if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc):
        raise ValueError("must begin with http:// or https:// and name a host")
    return url.rstrip("/")


def _ray(address: str) -> str:
    if not address:
        return address
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        raise ValueError("must be the host and port of a Ray head, such as ray-head:6379 (Ray Client is not supported)")
    return address


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _most_memory() -> int:
    """Three quarters of the memory that this machine, or the container it is, has."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return total * 3 // 4


def _public_url(data: dict[str, Any]) -> str:
    """Where a browser finds MLflow unless it is told: where the tracker does; empty if that can't be said."""
    return data.get("mlflow_tracking_uri") or f"http://127.0.0.1:{data.get('mlflow_port')}"


def _split(separators: str) -> BeforeValidator:
    """Reads a list from text, as the environment has it."""

    def split(value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in re.split(f"[{separators}]", value) if part.strip())

    return BeforeValidator(split)


def _host(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], NoDecode, _split(",")]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode, _split(",")]
Ports = Annotated[tuple[Port, ...], NoDecode, _split(",")]
Directories = Annotated[tuple[Annotated[Path, AfterValidator(_absolute)], ...], NoDecode, _split(f",{os.pathsep}")]


class Settings(BaseSettings):
    """Every setting with its default in place; paths are absolute."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, validate_default=True
    )

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Path(".gradsum")
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default_factory=lambda data: f"sqlite:///{data.get('data_dir')}/gradsum.sqlite"
    )
    storage_url: Annotated[str, AfterValidator(_storage)] = Field(
        default_factory=lambda data: f"{data.get('data_dir')}/storage"
    )
    storage_s3_endpoint: Annotated[str, AfterValidator(_http)] = ""
    storage_s3_region: str = ""
    storage_s3_access_key_id: str = ""
    storage_s3_secret_access_key: str = Field(default="", repr=False)
    storage_cache_bytes: Count = CACHE_BYTES
    ray_address: Annotated[str, AfterValidator(_ray)] = ""
    worker_slots: Count = Field(default_factory=_cores)
    numerics: Numerics = "native"
    api_tokens_file: Annotated[str, AfterValidator(_file)] = ""
    host: Annotated[str, AfterValidator(_bound)] = "127.0.0.1"
    port: Port = 8000
    mlflow_port: Port = 5000
    mlflow_tracking_uri: Annotated[str, AfterValidator(_http)] = ""
    mlflow_public_url: Annotated[str, AfterValidator(_http)] = Field(default_factory=_public_url)

    import_roots: Directories = ()
    fetch_http: bool = False
    fetch_ports: Ports = ()
    fetch_private_hosts: Hosts = ()
    s3_endpoint: Annotated[str, AfterValidator(_http)] = ""
    s3_region: str = ""
    s3_buckets: Names = ()

    limit_upload_bytes: Count = 10 * 2**30
    limit_fetch_seconds: Count = 3600
    limit_json_body_bytes: Count = 2**20
    limit_parameters: Count = 10**9
    limit_epochs: Count = 10**7
    limit_shards: Count = 4096
    limit_workers: Count = 1024
    limit_predict_rows: Count = 100_000
    limit_columns: Count = 100_000
    limit_rows: Count = 10**10
    limit_ingest_memory_bytes: Count = Field(default_factory=_most_memory)
    limit_concurrent_jobs: Count = 100

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.mlflow_port and not self.mlflow_tracking_uri:
            raise ValueError(f"GRADSUM_PORT and GRADSUM_MLFLOW_PORT are both {self.port}: give them different ports.")
        return self

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        if bool(self.storage_s3_access_key_id) != bool(self.storage_s3_secret_access_key):
            names = "GRADSUM_STORAGE_S3_ACCESS_KEY_ID and GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY"
            raise ValueError(f"{names} belong together: set both, or neither.")
        return self

    @property
    def has_bucket(self) -> bool:
        """Whether the storage is a bucket."""
        return self.storage_url.startswith(SCHEME)

    @property
    def storage(self) -> Path:
        """The directory of `storage_url`, or of the copies of its bucket: uploads, datasets, matrices, models."""
        return self.data_dir / CACHE if self.has_bucket else Path(self.storage_url)

    def storage_environment(self) -> dict[str, str]:
        """The variables of `environment` by which another process knows the storage (`workers.storage`)."""
        return {name: value for name, value in self.environment().items() if name.startswith(STORAGE_VARIABLES)}

    @property
    def api_url(self) -> str:
        """Where the API listens, as a client on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - all addresses
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables that give another process these same settings."""
        return {PREFIX + name.upper(): _spelled(value) for name, value in self.model_dump().items()}


def _spelled(value: object) -> str:
    """As a variable of the environment has it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def load_settings(**given: Any) -> Settings:  # noqa: ANN401 - pydantic checks them
    """The settings, where a `given` field that is not None wins over the environment. Raises SettingsError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        found = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
        raise SettingsError(" ".join(map(_sentence, found))) from None
    except UnicodeDecodeError:
        raise SettingsError("The file .env is not UTF-8 text: save it as UTF-8, or remove it.") from None
    except OSError as error:
        raise SettingsError(f"The file .env can't be read: {error.strerror}.") from None


def _sentence(details: ErrorDetails) -> str:
    """`GRADSUM_PORT is 'http': Input should be a valid integer.`, for one of pydantic's errors."""
    reason = details["msg"].removeprefix("Value error, ").rstrip(".").split(", unable to parse")[0]
    if not details["loc"]:
        return f"{reason}."
    field = str(details["loc"][0])
    value = "" if field in SECRETS else f" is {str(details['input'])!r}:"
    return f"{PREFIX}{field.upper()}{value} {reason.replace('Input should', 'it should')}."
