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
    assert (color.type, color.categories, color.values.tolist()) == ("category", ("red",), [0, -1])


def test_an_unknown_column_is_named_with_the_nearest(dataset: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'colour'\. Did you mean 'color'") as caught:
        read_columns(dataset, ["colour"])
    assert caught.value.code == "column_not_found"
