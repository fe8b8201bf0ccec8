import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import BadRequestError, UnprocessableError
from service.requests import clean_dataset_name, clean_name, parse_json

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(values)
def test_whatever_is_json_reads_as_itself(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequestError, UnprocessableError):
        parse_json(raw)


@pytest.mark.parametrize("depth", [65, 100, 900, 1000, 5_000, 1_000_000])
def test_deep_nesting_is_refused_at_any_depth(depth: int) -> None:
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        with pytest.raises(BadRequestError) as refusal:
            parse_json(text.encode())
        assert refusal.value.code == "too_deep"


def test_sixty_four_levels_are_fine() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)


def test_every_number_that_is_not_finite_is_named_by_its_path() -> None:
    with pytest.raises(UnprocessableError) as refusal:
        parse_json(b'{"a": {"b": [1, NaN, 2.5]}, "c": [[-1e999]], "d": Infinity}')
    assert {error.field for error in refusal.value.errors} == {"a.b[1]", "c[0][0]", "d"}


def test_a_name_is_trimmed_and_composed() -> None:
    assert clean_name("  cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize("name", ["", " ", "a\tb", "a\nb", "a\x7fb", "a\u202eb", "a\u2066b", "a\ud800b", "n" * 201])
def test_a_name_that_would_mislead_is_refused(name: str) -> None:
    with pytest.raises(UnprocessableError):
        clean_name(name)


@pytest.mark.parametrize("name", ["a@1", "a/b", "ds_1", "job_1", "sch_1"])
def test_a_dataset_can_not_be_named_like_an_id_a_version_or_a_path(name: str) -> None:
    with pytest.raises(UnprocessableError):
        clean_dataset_name(name)
