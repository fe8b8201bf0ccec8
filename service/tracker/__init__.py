"""The tracker: copies what is committed in SQL to MLflow. The only part of Gradsum that knows MLflow.

Jobs never wait for it: a cursor in SQL says how far MLflow is told, and moves only after MLflow has answered. So every
step can be repeated, in any outage and after any crash.
"""

import os

from service.settings import Settings
from service.stop import Stop
from service.store.database import Database
from service.tracker.health import starting

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
"""MLflow's client would repeat a request for minutes; here the loop repeats, so a request gets one chance."""


def run(settings: Settings, database: Database, stop: Stop) -> None:
    """Keep MLflow up to date until `stop` is set. MLflow and matplotlib (2.4 s) are imported here, once."""
    os.environ.update(ENVIRONMENT)
    starting(database)
    from service.tracker.loop import Tracker  # noqa: PLC0415 - after MLflow's settings, in this process only

    Tracker(settings, database).run(stop)
