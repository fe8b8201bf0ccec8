"""Keyed randomness: streams of different keys have nothing in common, and a place in a stream is a place."""

from itertools import combinations, product

import numpy as np
import pytest

from workers.randomness import DROPOUT, INITIAL_WEIGHTS, ORDER_OF_ROWS, generator, stream_key, words_at

MASK = 2**64 - 1


def split_mix(state: int) -> int:
    """The finaliser of SplitMix64, in plain integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


def words(key: np.uint64, places: list[int]) -> list[int]:
    found = np.array(places, np.uint64)
    words_at(key, found, np.empty_like(found))
    return [int(word) for word in found]


def test_words_are_those_of_splitmix64() -> None:
    """1234567 is the published example: its stream begins with these words."""
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert words(np.uint64(1234567), [1, 2, 3]) == first
    key, places = stream_key(DROPOUT, 5, 1), [0, 1, 2**40, 2**64 - 1]
    assert words(key, places) == [split_mix((int(key) + place * 0x9E3779B97F4A7C15) & MASK) for place in places]


def test_a_word_does_not_depend_on_what_is_drawn_with_it() -> None:
    key = stream_key(DROPOUT, 3, 7)
    assert [words(key, [place])[0] for place in (4, 900, 2)] == words(key, [4, 900, 2])


def test_the_same_key_gives_the_same_numbers() -> None:
    for purpose in (INITIAL_WEIGHTS, ORDER_OF_ROWS, DROPOUT):
        np.testing.assert_array_equal(generator(purpose, 4, 2).random(9), generator(purpose, 4, 2).random(9))
        assert stream_key(purpose, 4, 2, 3) == stream_key(purpose, 4, 2, 3)


def test_no_two_keys_share_a_stream() -> None:
    """Also where the same numbers stand in other places, and for the largest seed."""
    keys = [*product((0, 1, 2), (0, 1, 2**63 - 1), (0, 1, 2), (0, 1, 2), (0, 1, 2))]
    assert len({int(stream_key(*key)) for key in keys}) == len(keys)
    draws = {int(generator(*key).integers(2**62)) for key in product((0, 1, 2), (0, 1, 2**63 - 1), range(5))}
    assert len(draws) == 45


@pytest.mark.parametrize("places", [range(10_000), range(0, 640_000, 64), range(2**50, 2**50 + 10_000)])
def test_neighbouring_places_and_streams_look_independent(places: range) -> None:
    """Correlations of 10 000 numbers have a deviation of 0.01: five of them are the bar."""
    streams = []
    for number in range(4):
        uniform = np.array(words(stream_key(DROPOUT, 0, number), list(places)), np.float64) / 2.0**64
        assert uniform.mean() == pytest.approx(0.5, abs=5 * 0.0029)
        assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 0.05
        streams.append(uniform)
    assert all(abs(np.corrcoef(left, right)[0, 1]) < 0.05 for left, right in combinations(streams, 2))
