"""The order of texts on disk is that of code points, however many bytes or rows are equal."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from workers.dataset import Column
from workers.files import scratch_directory
from workers.order import order_of
from workers.stored import StoredArray, StoredTexts, Values

Array = npt.NDArray[Any]
PREFIXES = st.sampled_from(["", "a", "a" * 6, "a" * 7, "a" * 8, "a" * 30, "é" * 9])
TEXTS = st.lists(st.tuples(PREFIXES, st.text("ab\0é", max_size=9)).map("".join), min_size=1, max_size=30)


def column(directory: Path, texts: list[str], codes: list[int]) -> Column:
    encoded = [text.encode() for text in texts]
    np.save(directory / "texts.npy", np.frombuffer(b"".join(encoded), np.uint8))
    np.save(directory / "offsets.npy", np.cumsum([0, *map(len, encoded)], dtype=np.int64))
    np.save(directory / "values.npy", np.array(codes, np.int32))
    texts_on_disk = StoredTexts(StoredArray(directory / "texts.npy"), StoredArray(directory / "offsets.npy"))
    return Column("t", "text", StoredArray(directory / "values.npy"), None, texts_on_disk)


@given(texts=TEXTS, prefix=PREFIXES, is_sorted=st.booleans(), data=st.data())
def test_cuts_are_those_of_the_texts_themselves(
    texts: list[str], prefix: str, data: st.DataObject, *, is_sorted: bool
) -> None:
    texts = [prefix + text for text in (sorted(texts) if is_sorted else texts)]
    codes = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=40))
    rows = [texts[code] for code in codes]
    place = data.draw(st.integers(0, len(rows) - 1))
    with scratch_directory() as directory:
        order = order_of(column(directory, texts, codes), directory)
        cut = order.at(place)
        reached = order.reached(slice(0, len(rows)), cut.value)
    wanted = sorted(rows)[place]
    assert reached.tolist() == [row >= wanted for row in rows]
    assert cut.n_before == sum(row < wanted for row in rows)


class Counted:
    """Values that know how often they were read."""

    def __init__(self, values: Values) -> None:
        self._values, self.dtype, self.n_reads = values, values.dtype, 0

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice) -> Array:
        self.n_reads += 1
        return self._values[rows]


def test_a_long_common_beginning_takes_no_pass_for_each_of_its_pieces(tmp_path: Path) -> None:
    texts = ["a" * 3500 + f"{number:07d}" for number in np.random.default_rng(0).permutation(500)]
    found = column(tmp_path, texts, list(range(500)))
    counted = Counted(found.values)
    assert order_of(found._replace(values=counted), tmp_path).at(200).n_before == 200
    assert counted.n_reads < 10
