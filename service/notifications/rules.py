"""Which webhooks are accepted: to where data may be fetched from too, and with a secret that is nothing else."""

import re
from collections.abc import Mapping

from service.errors import UnprocessableError
from service.imports.registration import rules_of
from service.settings import Settings
from service.uris import HttpPlace, Rules, parse_uri
from workers.errors import DataError
from workers.spec import Notify

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = re.compile(r"GRADSUM_(?!NOTIFY_)|AWS_|MLFLOW_|RAY_|PG")
"""Variables that hold secrets of the service itself: a signature would let others guess at them."""


def check_notify(notify: Notify | None, settings: Settings) -> None:
    """UnprocessableError where the address is none to connect to, or the variable none for a webhook's secret."""
    if notify is None:
        return
    try:
        place_of(notify.url, rules_of(settings))
    except DataError as error:
        raise UnprocessableError(str(error), code="uri_not_allowed", field="notify.url") from None
    if not VARIABLE.fullmatch(notify.secret_env) or OURS.match(notify.secret_env):
        message = (
            f"'{notify.secret_env}' can't hold a webhook's secret: name a variable that the service has for this, "
            "such as GRADSUM_NOTIFY_SECRET."
        )
        raise UnprocessableError(message, code="invalid_request", field="notify.secret_env")


def unset_secret(notify: Notify | None, environment: Mapping[str, str]) -> list[str]:
    """A warning where the variable with the secret is not in `environment`, which need not be the tracker's."""
    if notify is None or environment.get(notify.secret_env):
        return []
    where = f"The variable {notify.secret_env} is not set where the API runs."
    return [f"{where} Unless it is where the tracker runs, notify sends nothing."]


def place_of(url: str, rules: Rules) -> HttpPlace:
    """Where the URL leads; DataError `uri_not_allowed` where the rules do not allow it."""
    place = parse_uri(url, rules) if url.lower().startswith(("https://", "http://")) else None
    if not isinstance(place, HttpPlace):
        raise DataError("A webhook's address begins with https://.", code="uri_not_allowed", field="url")
    return place
