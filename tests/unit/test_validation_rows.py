"""The rows of a validation dataset have the codes of the dataset that trains, however their texts are kept."""

from pathlib import Path

import numpy as np
import pytest

from service.ingest import ingest_file
from workers.dataset import Column
from workers.errors import DataError
from workers.matrix import MatrixRequest, open_matrix
from workers.matrix_build import build
from workers.validation_rows import recoded

SPLIT = {"validation": 0.0, "test": 0.0, "by": "row", "column": None, "salt": ""}
REQUEST = MatrixRequest(("y",), "classification", ("x",), SPLIT, standardize=False, dtype="float32")


def dataset(directory: Path, kind: str, labels: list[str]) -> Path:
    directory.mkdir()
    (directory / "upload").write_text("x,y\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels)))
    ingest_file(directory / "upload", {"types": {"y": kind}}, directory / "dataset", {})
    return directory / "dataset"


@pytest.mark.parametrize("kind", ["category", "text"])
@pytest.mark.parametrize("other", ["category", "text"])
def test_classes_and_shared_rows_are_found_whatever_the_type_of_the_text(tmp_path: Path, kind: str, other: str) -> None:
    own = dataset(tmp_path / "own", kind, ["no", "yes", "maybe"] * 4)
    theirs = dataset(tmp_path / "theirs", other, ["no", "yes", "yes"])
    build(own, REQUEST, tmp_path / "matrix", theirs)
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.classes == ("maybe", "no", "yes")
    assert matrix.y[-3:].tolist() == [1, 2, 2]
    (warning,) = matrix.warnings
    assert warning.startswith("2 of 3 validation rows stand in training too")


@pytest.mark.parametrize("kind", ["category", "text"])
def test_a_free_text_as_target_has_too_many_classes(tmp_path: Path, kind: str) -> None:
    own = dataset(tmp_path / "own", kind, ["no", "yes"] * 4)
    theirs = dataset(tmp_path / "theirs", "text", [f"note {row}" for row in range(1001)])
    with pytest.raises(DataError, match="In the validation dataset: Column 'y' has more than 1000 classes") as caught:
        build(own, REQUEST, tmp_path / "matrix", theirs)
    assert (caught.value.code, caught.value.errors[0].field) == ("too_many_classes", "validation_dataset")


def test_the_first_unknown_classes_are_shown_in_order() -> None:
    own = Column("y", "category", np.array([0, 1], np.int32), None, ("a", "b"))
    texts = tuple("zyxwvutsab")
    theirs = Column("y", "text", np.arange(10, dtype=np.int32), None, texts)
    with pytest.raises(DataError, match="has not: 's', 't', 'u', 'v', 'w'\\. The model") as caught:
        recoded(own, theirs, is_target=True)
    assert (caught.value.code, caught.value.errors[0].field) == ("unknown_classes", "validation_dataset")


def test_new_texts_of_a_feature_stand_behind_the_known_ones_and_gaps_stay_gaps() -> None:
    own = Column("k", "category", np.array([0, 1], np.int32), None, ("a", "c"))
    values, missing = np.array([1, -1, 0, 2], np.int32), np.array([False, True, False, False])
    found = recoded(own, Column("k", "category", values, missing, ("b", "c", "d")), is_target=False)
    assert found.values[:].tolist() == [1, -1, 2, 3]
    assert found.categories == ("a", "c", "b", "d")
