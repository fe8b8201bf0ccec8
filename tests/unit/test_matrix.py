import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.ingest import ingest_file
from tests.columns import numbers, training_on
from workers.errors import DataError, ModelInputError
from workers.matrix import MatrixRequest, matrix_key, open_matrix, request_from_json
from workers.matrix_build import _check_targets, build
from workers.model_input import columns_of_arrays, columns_of_rows
from workers.preprocessing import from_json, transform
from workers.targets import check_numbers
from workers.weight_column import check_weights

DIGITS = Path("deploy/examples/digits/digits.csv")
HASH_SPLIT = {"validation": 0.1, "test": 0.0, "by": "hash", "column": None, "salt": ""}
ROW_SPLIT = {"validation": 0.25, "test": 0.25, "by": "row", "column": None, "salt": ""}


def dataset(tmp_path: Path, content: str) -> Path:
    (tmp_path / "upload").write_text(content)
    ingest_file(tmp_path / "upload", {}, tmp_path / "dataset", {"columns": 1000})
    return tmp_path / "dataset"


def request(target: str = "y", *features: str, **changes: Any) -> MatrixRequest:
    plain = MatrixRequest(
        (target,), "classification", features or ("x",), ROW_SPLIT, standardize=False, dtype="float32"
    )
    return plain._replace(**changes)


WEIGHTED = request(weight_column="w")


def refused(tmp_path: Path, content: str, wanted: MatrixRequest) -> tuple[str, str, str]:
    with pytest.raises(DataError) as caught:
        build(dataset(tmp_path, content), wanted, tmp_path / "matrix")
    assert not (tmp_path / "matrix").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    return caught.value.code, caught.value.errors[0].field, caught.value.message


def test_the_digits_are_standardised_over_training_rows(tmp_path: Path) -> None:
    columns = ingest_file(DIGITS, {}, tmp_path / "dataset", {"columns": 1000})["columns"]
    features = tuple(column["name"] for column in columns[:-1])
    wanted = request("digit", *features, split=HASH_SPLIT, standardize=True, dtype="float64")
    meta = build(tmp_path / "dataset", wanted, tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert (meta["training_rows"] + meta["validation_rows"], meta["test_rows"], matrix.n_inputs) == (1797, 0, 64)
    assert 140 < meta["validation_rows"] < 220
    assert (matrix.classes, matrix.y.dtype, matrix.X.flags.writeable) == (tuple(range(10)), np.int32, False)
    training = matrix.X[: matrix.training_rows]
    assert np.abs(training.mean(axis=0)).max() < 1e-12
    assert set(training.std(axis=0).round(12)) == {0.0, 1.0}
    assert [warning.split("'")[1] for warning in matrix.warnings] == ["pixel_0_0", "pixel_4_0", "pixel_4_7"]


def test_rows_are_training_then_validation_then_test(tmp_path: Path) -> None:
    directory = dataset(tmp_path, "x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(8)))
    meta = build(directory, request(), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.X[:, 0].tolist() == list(range(8))
    assert (matrix.training_rows, matrix.validation_rows, matrix.test_rows) == (4, 2, 2)
    assert matrix.X.flags.c_contiguous
    sha256 = hashlib.sha256((tmp_path / "matrix/X.npy").read_bytes()).hexdigest()
    assert meta["arrays"]["X"] == {
        "sha256": sha256,
        "blocks": [sha256],
        "bytes": (tmp_path / "matrix/X.npy").stat().st_size,
    }


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "c", "a"], ("a", "b", "c")),
        (["10", "2", "2", "-1"], (-1, 2, 10)),
        (["1.5", "0", "0", "1.5"], (0.0, 1.5)),
        (["true", "false", "true", "false"], ("false", "true")),
    ],
)
def test_classes_are_those_of_the_whole_column_in_order(tmp_path: Path, values: list[str], classes: tuple[Any]) -> None:
    directory = dataset(tmp_path, "x,y\n" + "".join(f"{row},{value}\n" for row, value in enumerate(values)))
    build(directory, request(), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.classes == classes
    assert [type(value) for value in matrix.classes or ()] == [type(value) for value in classes]
    assert [str(classes[place]) for place in matrix.y] == [str(type(classes[0])(value)) for value in values]


def test_a_regression_may_have_several_targets(tmp_path: Path) -> None:
    directory = dataset(tmp_path, "x,y,z\n1,2,3\n4,5,6\n7,8,9\n0,0,1\n")
    build(directory, request(targets=("y", "z"), task="regression"), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert (matrix.classes, matrix.y.dtype) == (None, np.float32)
    assert matrix.y.tolist() == [[2, 3], [5, 6], [8, 9], [0, 1]]


def test_categories_become_inputs(tmp_path: Path) -> None:
    directory = dataset(tmp_path, "x,y\nred,0\nblue,1\nred,1\nblue,0\ngreen,0\nred,1\nblue,1\nred,0\n")
    build(directory, request(), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.X.tolist()[:5] == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_categories_beyond_the_most_are_counted_in_training_rows_only(tmp_path: Path) -> None:
    """The first four rows train, where two are equally frequent: 'late' is frequent in the others alone."""
    kinds = ["red", "red", "blue", "blue"] + ["late"] * 6
    directory = dataset(tmp_path, "x,y\n" + "".join(f"{kind},{row % 2}\n" for row, kind in enumerate(kinds)))
    meta = build(directory, request(max_categories=1), tmp_path / "matrix")
    assert meta["training_rows"] == 4
    assert meta["preprocessing"]["features"][0]["categories"] == ["blue"]
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.X.tolist() == [[0, 1]] * 2 + [[1, 0]] * 2 + [[0, 1]] * 6
    assert "max_categories is 1" in matrix.warnings[0]


def test_a_split_by_a_column_keeps_its_equal_values_together(tmp_path: Path) -> None:
    lines = "".join(f"{row},{row % 2},p{row % 20}\n" for row in range(200))
    split = HASH_SPLIT | {"column": "person", "validation": 0.3}
    build(dataset(tmp_path, f"x,y,person\n{lines}"), request(split=split), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    training, validation = ({int(x) % 20 for x in rows[:, 0]} for rows in np.split(matrix.X, [matrix.training_rows]))
    assert training
    assert validation
    assert not training & validation


def test_weights_stand_in_the_order_of_the_matrix(tmp_path: Path) -> None:
    lines = "".join(f"{row},{row % 2},{row / 4}\n" for row in range(200))
    wanted = request(split=HASH_SPLIT | {"test": 0.2}, weight_column="w")
    meta = build(dataset(tmp_path, f"x,y,w\n{lines}"), wanted, tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    assert matrix.weights is not None
    assert (matrix.weights.dtype, matrix.weights.flags.writeable) == (np.float64, False)
    assert matrix.weights.tolist() == (matrix.X[:, 0] / 4).tolist()
    assert set(meta["arrays"]) == {"X", "y", "weights"}
    assert (matrix.validation_rows > 0, matrix.test_rows > 0) == (True, True)


def test_without_a_weight_column_there_are_no_weights(tmp_path: Path) -> None:
    build(dataset(tmp_path, "x,y,w\n1,0,1\n2,1,1\n3,0,1\n4,1,1\n"), request(), tmp_path / "matrix")
    assert open_matrix(tmp_path / "matrix").weights is None


def test_the_weight_column_has_no_part_in_the_split(tmp_path: Path) -> None:
    """Rows stay on their side when only their weights change; without the column's name they would not."""
    found = {}
    for name, factor in (("one", 1), ("other", 3)):
        (tmp_path / name).mkdir()
        lines = "".join(f"{row},{row % 2},{factor * row + 1}\n" for row in range(200))
        directory = dataset(tmp_path / name, f"x,y,w\n{lines}")
        for weight_column in ("w", None):
            wanted = request(split=HASH_SPLIT | {"validation": 0.3}, weight_column=weight_column)
            matrix_directory = tmp_path / name / f"matrix-{weight_column}"
            build(directory, wanted, matrix_directory)
            found[name, weight_column] = open_matrix(matrix_directory).X[:, 0].tolist()
    assert found["one", "w"] == found["other", "w"]
    assert found["one", None] != found["other", None]


def test_a_second_build_changes_nothing(tmp_path: Path) -> None:
    directory = dataset(tmp_path, "x,y\n1,0\n2,1\n3,0\n4,1\n")
    first = build(directory, request(), tmp_path / "matrix")
    before = (tmp_path / "matrix/X.npy").stat().st_mtime_ns
    assert build(directory, request(), tmp_path / "matrix") == first
    assert (tmp_path / "matrix/X.npy").stat().st_mtime_ns == before


def test_the_key_follows_dataset_and_request() -> None:
    wanted = request()
    others = [request("z"), request(dtype="float64"), request(split=HASH_SPLIT), request("y", "x", "z")]
    others.append(request(weight_column="w"))
    assert len({matrix_key("k", wanted), matrix_key("l", wanted), *(matrix_key("k", other) for other in others)}) == 7
    saved = {**wanted._asdict(), "targets": ["y"], "features": ["x"]}
    assert matrix_key("k", request_from_json(saved)) == matrix_key("k", wanted)


@pytest.mark.parametrize(
    ("content", "wanted", "expected"),
    [
        (
            "x,y\n1,0\n2,1\n,1\n4,0\n",
            request(),
            ("missing_values", "features", "'x' has no value in 1 of 4 rows, first in row 4"),
        ),
        ("x,y\n1,0\n2,\n3,1\n4,0\n", request(), ("missing_values", "target", "first in row 3")),
        ("x,y\n1,0\n2,0\n3,0\n4,0\n", request(), ("one_class", "target", "one value only (0)")),
        ("x,y\n1,0\n2,1\n3,0\n4,0\n", request("z"), ("column_not_found", "target", "no column 'z'")),
        ("x,y\n1,0\n2,1\n3,0\n4,0\n", request("y", "z"), ("column_not_found", "features", "no column 'z'")),
        ("x,y\n1,0\n2,1\n3,0\n4,0\n", request("y", "y"), ("target_is_feature", "features", "'y'")),
        ("x,y\n1,0\n2,1\n3,0\n4,0\n", request(features=()), ("no_features", "features", "No column")),
        ("x,y\n1,a\n2,b\n3,a\n4,b\n", request(task="regression"), ("target_not_numeric", "target", "'y' is text")),
        (
            "x,y\n1,0\n2,1\n3,0\n4,0\n",
            request(targets=("x", "y"), features=("x",)),
            ("target_is_feature", "features", "'x'"),
        ),
        (
            "x,y\n3e38,0\n3e38,1\n-3e38,0\n-3e38,1\n",
            request(standardize=True),
            ("nonfinite_values", "features", "too large for float32"),
        ),
        ("x,y\n1,0\n2,1\n", request(split=ROW_SPLIT | {"test": 0.01}), ("split_draws_no_row", "split.test", "2 rows")),
        ("x,y\n1,0\n2,1\n", request(split=HASH_SPLIT | {"column": "p"}), ("column_not_found", "split.column", "'p'")),
        ("x,y\n" + "".join(f"a{n},{n % 2}\n" for n in range(1001)), request(), ("text_feature", "features", "'x'")),
        (
            "x,y\n" + "".join(f"{n},{n / 4}\n" for n in range(1001)),
            request(),
            ("too_many_classes", "target", "'y' has more than 1000 classes"),
        ),
        ("x,y\n1,0\n2,1\n3,0\n4,1\n", request(weight_column="w"), ("column_not_found", "weight_column", "'w'")),
        *(
            ("x,y,w\n" + "".join(f"{n},{n % 2},{w}\n" for n, w in enumerate(weights)), WEIGHTED, expected)
            for weights, expected in (
                ((1, 1, 1, -0.5), ("invalid_weights", "weight_column", "at least 0 in each row")),
                ((1, 1, "", 1), ("invalid_weights", "weight_column", "at least 0 in each row")),
                (("a", "b", "c", "d"), ("invalid_weights", "weight_column", "at least 0 in each row")),
                ((0, 0, 1, 1), ("invalid_weights", "weight_column", "is 0 in all training rows")),
                ((1, 1, 0, 0), ("invalid_weights", "weight_column", "is 0 in all validation and test rows")),
            )
        ),
    ],
)
def test_what_can_not_be_trained_on_is_named(
    tmp_path: Path, content: str, wanted: MatrixRequest, expected: tuple[str, str, str]
) -> None:
    code, field, message = refused(tmp_path, content, wanted)
    assert (code, field) == expected[:2]
    assert expected[2] in message


def test_numbers_that_only_datasets_of_earlier_versions_hold_are_named(tmp_path: Path) -> None:
    columns, split = [numbers("w", 1.0, 1e300)], training_on(tmp_path, 2, 0, 1)
    with pytest.raises(DataError, match="'w' has 1 value too large for float32"):
        check_numbers("w", columns, "float32")
    with pytest.raises(DataError, match="'w' has 1 value too large for float32"):
        check_weights("w", [(columns[0], split)], "float32")
    with pytest.raises(DataError, match=r"too large to be added \(up to 1e\+308\)"):
        check_weights("w", [(numbers("w", 1e308, 1e308), split)], "float64")


def test_dates_are_no_feature(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("x,y\n2026-01-01,0\n2026-01-02,1\n2026-01-03,0\n2026-01-04,1\n")
    ingest_file(tmp_path / "upload", {"types": {"x": "date"}}, tmp_path / "dataset", {"columns": 10})
    with pytest.raises(DataError, match="'x' holds dates") as caught:
        build(tmp_path / "dataset", request(), tmp_path / "matrix")
    assert (caught.value.code, caught.value.errors[0].field) == ("text_feature", "features")


GAPS = "a,c,y\n" + "".join(
    f"{'' if n % 5 == 0 else n / 7},{'?' if n % 4 == 0 else 'red' if n % 3 else 'blue'},{n % 2}\n" for n in range(60)
)


@pytest.mark.parametrize("method", ["mean", "most_frequent"])
def test_raw_rows_with_gaps_predict_from_the_bits_that_training_saw(tmp_path: Path, method: str) -> None:
    (tmp_path / "upload").write_text(GAPS)
    options = {"missing_markers": ["", "?"]}
    ingest_file(tmp_path / "upload", options, tmp_path / "dataset", {"columns": 10})
    changes = {"standardize": True, "dtype": "float64", "missing_values": method, "missing_markers": ("", "?")}
    build(tmp_path / "dataset", request("y", "a", "c", **changes), tmp_path / "matrix")
    matrix = open_matrix(tmp_path / "matrix")
    preprocessing = from_json(matrix.preprocessing)
    rows = [line.split(",") for line in GAPS.splitlines()[1:]]
    for gap in (None, "", "?", float("nan")):
        raw = [[float(a) if a else gap, gap if c == "?" else c] for a, c, _ in rows]
        assert transform(preprocessing, columns_of_rows(preprocessing, raw)).tobytes() == matrix.X.tobytes()
    frame = {
        "a": np.array([float(a or "nan") for a, _, _ in rows]),
        "c": np.array([None if c == "?" else c for _, c, _ in rows], object),
    }
    assert transform(preprocessing, columns_of_arrays(preprocessing, frame)).tobytes() == matrix.X.tobytes()
    with pytest.raises(ModelInputError, match=r"rows\[0\]: column 'a' needs a number, not 'x'"):
        columns_of_rows(preprocessing, [["x", "red"]])


def test_gaps_in_target_and_weights_stay_errors(tmp_path: Path) -> None:
    for name, wanted in (("y", request(missing_values="mean")), ("w", WEIGHTED._replace(missing_values="mean"))):
        (tmp_path / name).mkdir()
        content = "x,y,w\n1,0,1\n2,1,1\n3,,1\n4,1,1\n" if name == "y" else "x,y,w\n1,0,1\n2,1,1\n3,0,\n4,1,1\n"
        with pytest.raises(DataError, match=f"'{name}'"):
            build(dataset(tmp_path / name, content), wanted, tmp_path / name / "matrix")


def test_test_rows_change_nothing_of_what_is_trained(tmp_path: Path) -> None:
    matrices = []
    for name, last in (("one", "3,red,0\n9,blue,1\n"), ("other", ",green,1\n1000,red,0\n")):
        (tmp_path / name).mkdir()
        rows = "".join(f"{n},{'red' if n % 3 else 'blue'},{n % 2}\n" for n in range(6))
        wanted = request("y", "a", "c", missing_values="mean", standardize=True)
        build(dataset(tmp_path / name, f"a,c,y\n{rows}{last}"), wanted, tmp_path / name / "matrix")
        matrices.append(open_matrix(tmp_path / name / "matrix"))
    one, other = matrices
    n_used = one.training_rows + one.validation_rows
    assert one.preprocessing == other.preprocessing
    assert one.X[:n_used].tobytes() == other.X[:n_used].tobytes()
    assert one.X[n_used:].tobytes() != other.X[n_used:].tobytes()
    assert one.y[:n_used].tolist() == other.y[:n_used].tolist()


def test_another_dataset_validates(tmp_path: Path) -> None:
    for name in ("train", "validate"):
        (tmp_path / name).mkdir()
    mine = dataset(tmp_path / "train", "x,c,y\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n")
    wanted = request("y", "x", "c", split=ROW_SPLIT | {"validation": 0.0})
    theirs = dataset(tmp_path / "validate", "more,y,c,x\n0,b,green,7\n0,b,blue,8\n")
    build(mine, wanted, tmp_path / "matrix", theirs)
    matrix = open_matrix(tmp_path / "matrix")
    assert (matrix.training_rows, matrix.validation_rows, matrix.test_rows) == (3, 2, 1)
    assert matrix.X.tolist() == [[1, 1, 0], [2, 0, 1], [3, 1, 0], [7, 0, 1], [8, 0, 1], [4, 0, 1]]
    assert matrix.y.tolist() == [0, 1, 0, 1, 1, 1]
    for number, (content, code) in enumerate(
        (
            ("y,x\na,1\n", "column_not_found"),
            ("y,c,x\nz,red,1\n", "unknown_classes"),
            ("y,c,x\na,red,red\n", "column_types_differ"),
            ("y,c,x\na,red,\n", "missing_values"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(DataError) as caught:
            build(mine, wanted, tmp_path / "other", dataset(tmp_path / str(number), content))
        assert (caught.value.code, caught.value.errors[0].field) == (code, "validation_dataset")


def test_held_out_rows_that_train_too_are_counted(tmp_path: Path) -> None:
    content = "x,y\n1,0\n2,1\n3,0\n-0,1\n" + "1,0\n2,0\n" + "0,1\n3,0\n"
    build(dataset(tmp_path, content), request(), tmp_path / "matrix")
    (warning,) = open_matrix(tmp_path / "matrix").warnings
    assert warning.startswith("1 of 2 validation rows and 2 of 2 test rows stand in training too")


def test_a_dataset_that_is_changed_while_a_matrix_is_built_of_it_is_not_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = dataset(tmp_path, "x,y\n1,0\n2,1\n3,0\n4,1\n")
    file = directory / "000000.npy"

    def changed(*arguments: Any) -> Any:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        return _check_targets(*arguments)

    monkeypatch.setattr("workers.matrix_build._check_targets", changed)
    with pytest.raises(DataError, match=r"000000\.npy") as caught:
        build(directory, request(), tmp_path / "matrix")
    assert caught.value.code == "data_changed"
    assert not (tmp_path / "matrix").exists()


def test_a_matrix_that_was_changed_is_made_anew(tmp_path: Path) -> None:
    directory = dataset(tmp_path, "x,y\n1,0\n2,1\n3,0\n4,1\n")
    build(directory, request(), tmp_path / "matrix")
    whole = (tmp_path / "matrix/X.npy").read_bytes()
    (tmp_path / "matrix/X.npy").write_bytes(whole[:-1] + b"?")
    build(directory, request(), tmp_path / "matrix")
    assert (tmp_path / "matrix/X.npy").read_bytes() == whole
