"""A check's answer is kept for a while, a good one and a bad one."""

import pytest

from service.recently import Recently
from workers.storage import StorageUnavailableError


def test_an_answer_holds_for_some_seconds_and_is_then_found_anew() -> None:
    now, asked, is_away = [10.0], [0], [True]

    def check() -> None:
        asked[0] += 1
        if is_away[0]:
            raise StorageUnavailableError("It is away.", refused=True)

    recently = Recently(check, 5.0, lambda: now[0])
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match="It is away") as error:
            recently()
        assert error.value.refused
    is_away[0] = False
    now[0] += 5
    recently()
    recently()
    assert asked == [2]
