"""A training matrix is used only as it was written."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workers import integrity
from workers.errors import DataError
from workers.integrity import check_all, check_heads, check_rows, check_unchanged, fingerprint, look

ROWS = 100


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(integrity, "BLOCK_BYTES", 256)
    np.save(tmp_path / "X.npy", np.arange(ROWS * 8.0).reshape(ROWS, 8))
    record = f'{{"arrays": {{"X": {fingerprint(tmp_path / "X.npy")}}}}}'.replace("'", '"')
    (tmp_path / "matrix.json").write_text(record)
    return tmp_path


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def refused(check: Callable[[], None]) -> bool:
    try:
        check()
    except DataError as error:
        return error.code == "data_changed"
    return False


def test_any_flipped_byte_is_found(matrix: Path) -> None:
    check_all(matrix)
    for place in range(0, (matrix / "X.npy").stat().st_size, 97):
        flip(matrix / "X.npy", place)
        assert refused(lambda: check_all(matrix))
        flip(matrix / "X.npy", place)
    check_all(matrix)


def test_a_process_finds_the_changes_in_the_rows_that_it_uses(matrix: Path) -> None:
    arrays = {"X": np.load(matrix / "X.npy")}
    flip(matrix / "X.npy", 128 + 70 * 64)
    check_rows(matrix, arrays, [(0, 60), (80, ROWS)])
    assert refused(lambda: check_rows(matrix, arrays, [(0, 10), (70, 71)]))
    check_heads(matrix)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.utime(path, ns=(0, 0)),
        lambda path: path.write_bytes(path.read_bytes()),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        Path.unlink,
    ],
)
def test_a_file_that_was_touched_is_noticed(matrix: Path, change: Callable[[Path], None]) -> None:
    seen = look(matrix)
    check_unchanged(seen)
    change(matrix / "X.npy")
    assert refused(lambda: check_unchanged(seen))


def test_files_that_are_cut_or_gone_are_named(matrix: Path) -> None:
    (matrix / "X.npy").write_bytes(b"")
    assert refused(lambda: check_heads(matrix))
    (matrix / "matrix.json").write_text("{")
    assert refused(lambda: look(matrix))
