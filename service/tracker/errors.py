"""What can go wrong with MLflow: it does not answer (everything waits), or it refuses something (one job waits)."""

import contextlib
from collections.abc import Iterator

import requests
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2

UNAUTHENTICATED, TOO_MANY_REQUESTS, SERVER_ERRORS = 401, 429, 500
LONGEST_MESSAGE = 500


class MlflowUnavailableError(Exception):
    """MLflow does not answer, or answers that it can't now."""


class RefusedError(Exception):
    """MLflow answers, and will not do what was asked."""


@contextlib.contextmanager
def answers() -> Iterator[None]:
    """Turns what MLflow's client raises into one of the two errors above."""
    try:
        yield
    except MlflowException as error:
        raise _translated(error.get_http_status_code(), error.message) from error
    except requests.exceptions.RequestException as error:
        status = SERVER_ERRORS if error.response is None else error.response.status_code
        raise _translated(status, str(error)) from error


def exists_already(error: MlflowException) -> bool:
    """Whether something could not be made because it is there."""
    return bool(error.error_code == databricks_pb2.ErrorCode.Name(databricks_pb2.RESOURCE_ALREADY_EXISTS))


def is_missing(error: MlflowException) -> bool:
    """Whether MLflow knows nothing of what was asked for."""
    return bool(error.error_code == databricks_pb2.ErrorCode.Name(databricks_pb2.RESOURCE_DOES_NOT_EXIST))


def _translated(status: int, message: str) -> Exception:
    if status == UNAUTHENTICATED:
        return MlflowUnavailableError(
            "MLflow refuses the account of the tracker: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD have to "
            "be those of an account that writes."
        )
    sentence = " ".join(message.split())[:LONGEST_MESSAGE]
    if status == TOO_MANY_REQUESTS or status >= SERVER_ERRORS:
        return MlflowUnavailableError(sentence)
    return RefusedError(sentence)
