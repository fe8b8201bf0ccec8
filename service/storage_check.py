"""Whether the storage works: asked by the command line, and by every process at its start."""

import os
import subprocess
import sys

from service.settings import Settings, SettingsError
from workers.storage import StorageUnavailableError, storage_of

PREFIX = "Error: "
CHECK_SECONDS = 60.0
"""A check that takes longer says nothing about the settings."""
REFUSED, AWAY = 1, 75
"""How `gradsum storage check` ends where its settings are wrong, or the storage does not answer now (EX_TEMPFAIL)."""


def refuse_wrong_storage(settings: Settings) -> None:
    """SettingsError where the bucket can't be used with these settings; one that is only away will come back."""
    if not settings.has_bucket:
        return
    try:
        storage_of(settings.environment()).check()
    except StorageUnavailableError as error:
        if error.refused:
            raise SettingsError(str(error)) from None


def refuse_wrong_storage_from_outside(settings: Settings) -> None:
    """The same for a process that is to have one thread: another one asks."""
    if not settings.has_bucket:
        return
    command = [sys.executable, "-m", "service.cli", "storage", "check"]
    environment = {**os.environ, **settings.environment()}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=CHECK_SECONDS
        )
    except subprocess.TimeoutExpired:
        return
    sentence = refusal(done.returncode, done.stderr)
    if sentence is not None:
        raise SettingsError(sentence)


def refusal(code: int, said: str) -> str | None:
    """The sentence of a check that refused; None where it found nothing, or broke down: Python ends with 1 then too."""
    is_refusal = code == REFUSED and said.startswith(PREFIX)
    return said.removeprefix(PREFIX).strip() if is_refusal else None
