"""Answers in gzip, unpacked as they come."""

import gzip
import os
from collections.abc import Iterator

import pytest

from service import compressed
from service.imports.encoding import BLOCK_BYTES, unpacked
from workers.errors import DataError


def in_pieces(packed: bytes, n_bytes: int) -> Iterator[bytes]:
    return (packed[first : first + n_bytes] for first in range(0, len(packed), n_bytes))


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("piece", [997, 10**7])
@pytest.mark.parametrize("content", [b"0", None], ids=["even", "random"])
def test_what_went_in_comes_out(size: int, piece: int, content: bytes | None) -> None:
    plain = os.urandom(size) if content is None else content * size
    for packed in (gzip.compress(plain), gzip.compress(plain[:5]) + gzip.compress(plain[5:]) + bytes(100)):
        assert b"".join(unpacked(in_pieces(packed, piece), 10**9)) == plain


def test_a_bomb_ends_before_it_goes_off() -> None:
    packed = gzip.compress(bytes(3 * compressed.FREE_EXPANSION_BYTES))
    sizes = map(len, unpacked(in_pieces(packed, 1000), 10**12))
    seen: list[int] = []
    with pytest.raises(DataError, match="expands to more than") as raised:
        seen.extend(sizes)
    assert raised.value.code == "fetch_failed"
    assert 0 < sum(seen) <= compressed.FREE_EXPANSION_BYTES


@pytest.mark.parametrize(
    "packed",
    [b"", b"plain text", gzip.compress(b"a" * 1000)[:-1], gzip.compress(b"a") + b"junk"],
    ids=["empty", "plain", "cut", "followed"],  # of its own, a test would be named by the time in the bytes
)
def test_what_is_damaged_or_cut_off_is_refused(packed: bytes) -> None:
    with pytest.raises(DataError, match="in gzip and") as raised:
        list(unpacked(iter([packed]), 10**9))
    assert raised.value.code == "fetch_failed"
