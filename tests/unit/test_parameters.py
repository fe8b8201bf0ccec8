from typing import Any, Literal

import pytest
from fastapi import Query

from service.parameters import expected


@pytest.mark.parametrize(
    ("kind", "bounds", "said"),
    [
        (int, {"ge": 1, "le": 1000}, "a whole number from 1 to 1000"),
        (int, {"ge": 0}, "a whole number of at least 0"),
        (int | None, {"le": 9}, "a whole number of at most 9"),
        (int, {}, "a whole number"),
        (bool, {}, "true or false"),
        (str | None, {"max_length": 200}, "at most 200 characters long"),
        (str, {}, "text"),
        (Literal["a", "b"], {}, "one of 'a', 'b'"),
        (Literal["a", "b"] | None, {}, "one of 'a', 'b'"),
    ],
)
def test_a_parameter_says_what_it_may_be(kind: Any, bounds: dict[str, Any], said: str) -> None:
    info = Query(**bounds)
    info.annotation = kind
    assert expected(info) == said
