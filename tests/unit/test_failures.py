"""Errors about one schedule or job do not fill the log."""

import pytest

from service import logs
from service.failures import AGAIN_SECONDS, Complaints
from service.store.database import DatabaseUnavailableError

LOG = logs.logger("dispatcher")  # before pytest listens: the first one sets logging up


def test_an_error_that_stays_is_logged_once_and_each_hour(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    complaints = Complaints(LOG, lambda: now)

    def look(schedule: str, error: Exception | None) -> int:
        """How many lines that makes."""
        caplog.clear()
        with complaints.contained("schedule_not_understood", schedule_id=schedule):
            if error is not None:
                raise error
        return len(caplog.records)

    broken, otherwise = ValueError("broken"), ValueError("otherwise")
    assert [look("a", broken), look("a", broken), look("b", broken), look("b", broken)] == [1, 0, 1, 0]
    assert [look("a", otherwise), look("a", otherwise)] == [1, 0]
    assert [look("a", None), look("a", otherwise)] == [0, 1]  # it was mended in between
    now = AGAIN_SECONDS
    assert [look("b", broken), look("b", broken)] == [1, 0]
    with pytest.raises(DatabaseUnavailableError):
        look("a", DatabaseUnavailableError("away"))
