"""Arrays and texts on disk are read in blocks, and never where they are not what was written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import DataError
from workers.files import scratch_directory
from workers.stored import ScratchArray, StoredArray, StoredTexts, rechunked

FILLED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from workers.stored import ScratchArray
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))
try:
    ScratchArray(Path(sys.argv[1]), np.uint64).append(np.arange(200, dtype=np.uint64))
except OSError as error:
    print(error.errno)
"""


def stored(path: Path, values: np.ndarray) -> StoredArray:
    np.save(path, values)
    return StoredArray(path)


def test_a_block_is_read_from_its_place(tmp_path: Path) -> None:
    array = stored(tmp_path / "a.npy", np.arange(10.0))
    assert (len(array), array.dtype) == (10, np.float64)
    assert [array[rows].tolist() for rows in (slice(2, 4), slice(9, 99), slice(5, 5))] == [[2, 3], [9], []]
    assert array[:].tolist() == list(range(10))


@pytest.mark.parametrize("data", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00"])
def test_a_file_without_an_array_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "000000.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"000000\.npy") as caught:
        StoredArray(tmp_path / "000000.npy")
    assert caught.value.code == "data_changed"


def test_a_file_that_is_too_short_or_was_written_to_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "000000.npy"
    whole = stored(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:-8])
    for array in (whole, StoredArray(path)):
        with pytest.raises(DataError, match=r"000000\.npy") as caught:
            array[90:]
        assert (caught.value.code, caught.value.errors[0].field) == ("data_changed", "dataset")
    path.unlink()
    with pytest.raises(DataError, match=r"000000\.npy"):
        whole[:1]


def test_the_error_names_the_dataset_that_an_array_is_of(tmp_path: Path) -> None:
    np.save(tmp_path / "000000.npy", np.arange(3))
    array = StoredArray(tmp_path / "000000.npy", "validation_dataset")
    (tmp_path / "000000.npy").unlink()
    with pytest.raises(DataError) as caught:
        array[:]
    assert caught.value.errors[0].field == "validation_dataset"


def test_an_array_that_is_read_counts_as_in_use(tmp_path: Path) -> None:
    """The sweep removes what nobody touched for ten minutes; a pass over many rows may take longer."""
    array = ScratchArray(tmp_path / "a", np.uint8)
    array.append(np.zeros(3, np.uint8))
    os.utime(tmp_path / "a", (0, 0))
    assert len(array[:2]) == 2
    assert (tmp_path / "a").stat().st_mtime > 0


def test_an_array_grows_at_its_end(tmp_path: Path) -> None:
    array = ScratchArray(tmp_path / "a", np.uint8)
    assert array[:].tolist() == []
    for values in ([1, 2], [], [3]):
        array.append(np.array(values, np.uint8))
    assert (len(array), array[1:].tolist(), array[3:].tolist()) == (3, [2, 3], [])


def test_values_for_which_there_is_no_room_are_an_error(tmp_path: Path) -> None:
    """A system without room takes the first of the values, and says nothing."""
    filled = subprocess.run([sys.executable, "-c", FILLED, tmp_path / "a"], capture_output=True, text=True, check=True)
    assert filled.stdout == f"{errno.EFBIG}\n"


def test_an_array_whose_file_was_cut_is_not_read(tmp_path: Path) -> None:
    array = ScratchArray(tmp_path / "a", np.uint64)
    array.append(np.arange(10, dtype=np.uint64))
    os.truncate(tmp_path / "a", 40)
    assert array[:5].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="cut this file"):
        array[4:6]


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=30),
    data=st.data(),
    gap=st.sampled_from([0, 10, 2**14]),
)
def test_texts_are_found_by_their_places(texts: list[str], data: st.DataObject, gap: int) -> None:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    codes = data.draw(st.lists(st.integers(0, len(texts) - 1)))
    with scratch_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.stored.MOST_GAP_BYTES", gap)
        bytes_of_all = np.frombuffer(b"".join(encoded), np.uint8)
        kept = StoredTexts(stored(directory / "t.npy", bytes_of_all), stored(directory / "o.npy", ends))
        assert len(kept) == len(texts)
        assert kept.take(np.array(codes, np.int32)) == [texts[code] for code in codes]
        assert (kept[:], kept[0]) == (tuple(texts), texts[0])


@given(sizes=st.lists(st.integers(0, 9)), length=st.integers(1, 7))
def test_blocks_hold_the_same_values_however_they_came(sizes: list[int], length: int) -> None:
    values = np.arange(sum(sizes))
    blocks = list(rechunked(np.split(values, np.cumsum(sizes)[:-1]) if sizes else [], length))
    assert [len(block) for block in blocks[:-1]] == [length] * (len(blocks) - 1)
    assert [value for block in blocks for value in block.tolist()] == values.tolist()
