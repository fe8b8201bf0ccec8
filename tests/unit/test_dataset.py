from pathlib import Path

import pytest

from service.ingest import ingest_file
from workers.dataset import read_columns, read_metadata
from workers.errors import DataError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "upload").write_text("size,color\n1.5,red\n2.5,\n")
    ingest_file(tmp_path / "upload", {}, tmp_path / "dataset", {"columns": 10})
    return tmp_path / "dataset"


def test_only_the_wanted_columns_are_read(dataset: Path) -> None:
    assert list(read_columns(dataset, ["color"])) == ["color"]
    assert read_metadata(dataset)["rows"] == 2


def test_numbers_have_no_categories_and_complete_columns_no_mask(dataset: Path) -> None:
    size, color = read_columns(dataset, ["size", "color"]).values()
    assert (size.type, size.missing, size.categories) == ("number", None, None)
    assert (color.type, color.categories, color.values[:].tolist()) == ("category", ("red",), [0, -1])


def test_an_unknown_column_is_named_with_the_nearest(dataset: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'colour'\. Did you mean 'color'") as caught:
        read_columns(dataset, ["colour"])
    assert caught.value.code == "column_not_found"


def test_a_column_that_was_changed_on_disk_is_not_read_and_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n2,y\n3,x\n")
    directory = tmp_path / "dataset"
    made = ingest_file(tmp_path / "rows.csv", {}, directory, {})
    file = directory / "000001.npy"
    written = file.read_bytes()
    for changed in (written[:-1] + bytes([written[-1] ^ 1]), written + b"0", written[:-1], None):
        file.write_bytes(changed) if changed is not None else file.unlink()
        assert read_columns(directory, ["a"])["a"].values[:].tolist() == [1, 2, 3]
        with pytest.raises(DataError, match=r"000001\.npy") as raised:
            read_columns(directory, ["a", "b"])
        assert (raised.value.code, raised.value.errors[0].field) == ("data_changed", "dataset")
        assert ingest_file(tmp_path / "rows.csv", {}, directory, {}) == made
        assert file.read_bytes() == written
    (directory / "columns.json").write_text("{")
    with pytest.raises(DataError, match=r"columns\.json"):
        read_columns(directory, ["a"])
    assert ingest_file(tmp_path / "rows.csv", {}, directory, {}) == made
