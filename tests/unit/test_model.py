import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.errors import DataError, ModelInputError
from workers.model import (
    Model,
    columns_from_arrays,
    columns_from_rows,
    load,
    parameter_arrays,
    predict,
    save,
    weights_npz,
    weights_sha256,
)
from workers.network import Network, n_parameters
from workers.preprocessing import CategoryFeature, NumberFeature, Preprocessing

PREPROCESSING = Preprocessing((NumberFeature("size", 2.0, 4.0), CategoryFeature("color", ("blue", "red"))))
CLASSES = ("bad", "good")
ROW = {"size": 3, "color": "red"}


def saved(
    directory: Path, output: str = "softmax", classes: tuple[Any, ...] | None = CLASSES, outputs: int = 2
) -> Model:
    network = Network((4, 3, outputs), "sigmoid", output, "squared_error")
    flat = np.random.default_rng(0).normal(size=n_parameters(network)).astype(np.float32)
    targets = ("quality",) if classes else tuple(f"target_{place}" for place in range(outputs))
    save(directory, network, flat, PREPROCESSING, targets, classes)
    return load(directory)


def by_hand(model: Model, size: float, color: list[float]) -> np.ndarray[Any, Any]:
    """The outputs by the plain formulas, with an identity output."""
    inputs = np.array([(size - 2.0) / 4.0, *color])
    (first, first_biases), (second, second_biases) = model.layers
    hidden = 1 / (1 + np.exp(-(first @ inputs + first_biases)))
    return np.asarray(second @ hidden + second_biases)


def test_a_prediction_is_the_forward_pass(tmp_path: Path) -> None:
    model = saved(tmp_path, "identity", None, 2)
    answer = predict(model, columns_from_rows(model, [ROW, {"size": -1.5, "color": "violet"}]))
    expected = [by_hand(model, 3, [0, 1, 0]), by_hand(model, -1.5, [0, 0, 1])]
    np.testing.assert_allclose(answer.prediction, expected, rtol=1e-14)
    assert answer.probabilities is None
    one = saved(tmp_path / "one", "identity", None, 1)
    assert predict(one, columns_from_rows(one, [ROW])).prediction.shape == (1,)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_probabilities_are_the_outputs_and_the_class_is_the_largest(tmp_path: Path, output: str) -> None:
    model = saved(tmp_path, output)
    answer = predict(model, columns_from_rows(model, [ROW]))
    z = by_hand(model, 3, [0, 1, 0])
    expected = np.exp(z) / np.exp(z).sum() if output == "softmax" else 1 / (1 + np.exp(-z))
    assert answer.probabilities is not None
    np.testing.assert_allclose(answer.probabilities[0], expected, rtol=1e-14)
    assert answer.prediction.tolist() == [CLASSES[int(z.argmax())]]


def test_equal_outputs_give_the_first_class(tmp_path: Path) -> None:
    network = Network((4, 3), "sigmoid", "softmax", "cross_entropy")
    save(tmp_path, network, np.zeros(n_parameters(network)), PREPROCESSING, ("n",), (3, 5, 7))
    model = load(tmp_path)
    assert predict(model, columns_from_rows(model, [ROW])).prediction.tolist() == [3]


def test_no_rows_give_no_predictions(tmp_path: Path) -> None:
    model = saved(tmp_path)
    assert predict(model, columns_from_rows(model, [])).prediction.tolist() == []


def test_lists_objects_and_frames_give_the_same_bits(tmp_path: Path) -> None:
    model = saved(tmp_path)
    answers = [
        predict(model, columns).probabilities
        for columns in (
            columns_from_rows(model, [[3, " red "]]),
            columns_from_rows(model, [[3.0, "red"]]),
            columns_from_rows(model, [{"extra": None, "color": "red", "size": 3}]),
            columns_from_arrays(model, {"color": np.array(["red"]), "size": np.array([3], np.int64)}),
            columns_from_arrays(model, {"color": np.array(["red"], object), "size": np.array([3.0], np.float32)}),
            columns_from_arrays(model, {"x": np.array([1]), "size": np.array([3], object), "color": np.array(["red"])}),
        )
    ]
    assert len({np.asarray(answer).tobytes() for answer in answers}) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, {"size": 1}], "rows[1] has no column 'color'."),
        ([ROW, [1]], "rows[1] has 1 value, the model takes 2: size, color."),
        ([7], "rows[0] must be an object with named columns, or a list of 2 values."),
        ([ROW | {"size": "3"}], "rows[0]: column 'size' needs a number, not '3'."),
        ([ROW | {"size": True}], "rows[0]: column 'size' needs a number, not true."),
        ([ROW | {"size": None}], "rows[0]: column 'size' needs a number, not null."),
        ([ROW, ROW | {"size": float("nan")}], "rows[1]: column 'size' needs a finite number, not nan."),
        ([ROW | {"size": 10**400}], f"rows[0]: column 'size' needs a finite number, not 1{'0' * 39}…."),
        ([ROW, ROW | {"color": 3}], "rows[1]: column 'color' needs text, not 3."),
        ([ROW | {"color": False}], "rows[0]: column 'color' needs text, not false."),
        ([ROW | {"color": None}], "rows[0]: column 'color' needs text, not null."),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    model = saved(tmp_path)
    with pytest.raises(ModelInputError) as caught:
        columns_from_rows(model, rows)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": np.array([True])}, "rows[0]: column 'size' needs a number, not true."),
        ({"size": np.array([np.inf])}, "rows[0]: column 'size' needs a finite number, not inf."),
        ({"size": np.array(["2026-01-01"], "datetime64[D]")}, "needs a number, not datetime.date(2026, 1, 1)."),
        ({"size": np.array([1j])}, "rows[0]: column 'size' needs a number, not 1j."),
        ({"color": np.array([np.nan], object)}, "rows[0]: column 'color' needs text, not nan."),
    ],
)
def test_a_wrong_column_of_a_frame_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = saved(tmp_path)
    with pytest.raises(ModelInputError) as caught:
        columns_from_arrays(model, {"size": np.array([1.0]), "color": np.array(["red"])} | changes)
    assert message in caught.value.message
    with pytest.raises(ModelInputError, match="Column 'size' is missing"):
        columns_from_arrays(model, {})


def test_numbers_beyond_the_model_are_refused(tmp_path: Path) -> None:
    model = saved(tmp_path, "identity", None)
    preprocessing = Preprocessing((NumberFeature("size", -1e308, 0.1), PREPROCESSING.features[1]))
    steep = model._replace(preprocessing=preprocessing, network=model.network._replace(activation="identity"))
    columns = columns_from_rows(model, [ROW | {"size": -1e308}, ROW | {"size": 1e308}])
    with pytest.raises(ModelInputError, match=r"rows\[1\] has numbers too large"):
        predict(steep, columns)


def test_the_hash_is_that_of_the_npz_in_five_lines() -> None:
    network = Network((2, 3, 1), "tanh", "identity", "squared_error")
    arrays = parameter_arrays(network, np.arange(13, dtype=np.float32))
    data = weights_npz(arrays)
    digest = hashlib.sha256()
    with np.load(io.BytesIO(data)) as file:
        for name in ("weights_0", "biases_0", "weights_1", "biases_1"):
            digest.update(f"{name} {file[name].dtype.str} {file[name].shape}\n".encode() + file[name].tobytes())
    assert weights_sha256(arrays) == digest.hexdigest()
    assert weights_sha256({name: array.astype(">f4") for name, array in arrays.items()}) == digest.hexdigest()
    assert weights_npz(arrays) == data


def test_a_damaged_model_is_not_loaded(tmp_path: Path) -> None:
    model = saved(tmp_path)
    arrays = parameter_arrays(model.network, np.zeros(n_parameters(model.network), np.float32))
    (tmp_path / "weights.npz").write_bytes(weights_npz(arrays))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert caught.value.code == "model_damaged"
