"""Where training starts if not from drawn weights: shapes and differences are named, what fits is written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.errors import DataError, SpecError
from workers.initialization import saved_parameters
from workers.model import save
from workers.network import Network, layer_views, n_parameters
from workers.preprocessing import CategoryFeature, NumberFeature, Preprocessing, to_json
from workers.spec import InitialParameters, JobSpec
from workers.start import check_same, check_shapes, input_names, read_description, write_start

PREPROCESSING = Preprocessing((NumberFeature("size", 2.0, 4.0), CategoryFeature("color", ("blue", "red"))))
NETWORK = Network((4, 3, 2), "sigmoid", "softmax", "cross_entropy")
INPUTS = ["size", "color=blue", "color=red", "color=(unknown)"]
MATRIX = {
    "n_inputs": 4, "targets": ["quality"], "classes": ["bad", "good"], "preprocessing": to_json(PREPROCESSING),
}  # fmt: skip
GIVEN = InitialParameters(weights=[[[0.5, 1.0]] * 3, [[1.0, 2.0, 3.0]]], biases=[[1.0, 2.0, 3.0], [4.0]])


def spec(network: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
    options = {"hidden_layers": [3], "activation": "sigmoid", "output_activation": "softmax", **(network or {})}
    return JobSpec.model_validate(
        {"dataset": "d", "target": "quality", "network": options, "training": training or {}, **fields}
    )


def trained_model(directory: Path, dtype: type = np.float64, network: Network = NETWORK) -> Any:
    flat = np.random.default_rng(0).normal(size=n_parameters(network)).astype(dtype)
    save(directory, network, flat, PREPROCESSING, ("quality",), ("bad", "good"))
    return flat


def mismatch(directory: Path, job: JobSpec, **changes: Any) -> str:
    theirs = read_description(directory)
    mine = {"inputs": INPUTS, "targets": ("quality",), "classes": ["bad", "good"], **changes}
    with pytest.raises(SpecError) as caught:
        check_same(theirs, job, **mine)
    assert (caught.value.code, [error.field for error in caught.value.errors]) == (
        "warm_start_mismatch",
        ["warm_start"],
    )
    return caught.value.message


def test_given_parameters_are_written_layer_by_layer_in_the_job_s_dtype(tmp_path: Path) -> None:
    network = Network((2, 3, 1), "sigmoid", "identity", "squared_error")
    matrix = {"n_inputs": 2, "targets": ["y"], "classes": None}
    write_start(spec(initial_parameters=GIVEN.model_dump()), matrix, None, tmp_path / "start.npz")
    flat = saved_parameters(network, tmp_path / "start.npz", np.float32)
    (hidden, hidden_biases), (last, last_biases) = layer_views(network, flat)
    assert flat.dtype == np.float32
    assert (hidden.tolist(), hidden_biases.tolist()) == ([[0.5, 1.0]] * 3, [1.0, 2.0, 3.0])
    assert (last.tolist(), last_biases.tolist()) == ([[1.0, 2.0, 3.0]], [4.0])


def test_biases_that_are_left_out_are_0(tmp_path: Path) -> None:
    given = {"weights": GIVEN.weights}
    matrix = {"n_inputs": 2, "targets": ["y"], "classes": None}
    write_start(spec(initial_parameters=given), matrix, None, tmp_path / "start.npz")
    with np.load(tmp_path / "start.npz") as file:
        assert not file["biases_0"].any()
        assert file["biases_1"].tolist() == [0]


@pytest.mark.parametrize(
    ("given", "sizes", "field", "message"),
    [
        ({"weights": [[[1.0]]]}, (1, 2, 1), "weights", "weights for 1 layer; the network has 2"),
        ({"weights": [[[1.0]]], "biases": [[1.0]] * 2}, (1, 1), "biases", "biases for 2 layers; the network has 1"),
        ({"weights": [[[1.0, 2.0]]]}, (3, 1), "weights[0]", "has shape (1, 2); the network needs (1, 3)"),
        ({"weights": [[[1.0], [1.0, 2.0]]]}, (1, 2), "weights[0]", "has shape (2, 1/2); the network needs (2, 1)"),
        ({"weights": [[]]}, (1, 2), "weights[0]", "has shape (0, 0); the network needs (2, 1)"),
        ({"weights": [[[1.0]], [[1.0]]]}, (1, 1, 2), "weights[1]", "has shape (1, 1); the network needs (2, 1)"),
        ({"weights": [[[1.0]]], "biases": [[1.0, 2.0]]}, (1, 1), "biases[0]", "has 2 numbers; the network needs 1"),
    ],
)
def test_wrong_shapes_are_named_with_what_the_network_needs(
    given: dict[str, Any], sizes: tuple[int, ...], field: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_shapes(InitialParameters(**given), sizes, bias=True)
    assert [error.field for error in caught.value.errors] == [f"initial_parameters.{field}"]
    assert message in caught.value.message


def test_biases_of_a_network_without_must_be_0() -> None:
    with pytest.raises(SpecError, match=r"network\.bias is false"):
        check_shapes(GIVEN, (2, 3, 1), bias=False)
    check_shapes(InitialParameters(weights=GIVEN.weights), (2, 3, 1), bias=False)
    check_shapes(InitialParameters(weights=GIVEN.weights, biases=[[0.0] * 3, [0.0]]), (2, 3, 1), bias=False)


def test_a_number_beyond_the_dtype_is_refused_and_fits_a_wider_one(tmp_path: Path) -> None:
    given = {"weights": [[[1e300]]]}
    matrix = {"n_inputs": 1, "targets": ["y"], "classes": None}
    job = spec({"hidden_layers": []}, initial_parameters=given)
    with pytest.raises(SpecError, match=r"float32 can't hold. Set training.dtype to float64"):
        write_start(job, matrix, None, tmp_path / "start.npz")
    assert not (tmp_path / "start.npz").exists()
    write_start(
        spec({"hidden_layers": []}, {"dtype": "float64"}, initial_parameters=given), matrix, None, tmp_path / "s"
    )


def test_a_model_that_is_the_same_is_started_from_in_any_dtype(tmp_path: Path) -> None:
    flat = trained_model(tmp_path / "model", np.float64)
    write_start(spec(warm_start="job_1"), MATRIX, tmp_path / "model", tmp_path / "start.npz")
    np.testing.assert_array_equal(saved_parameters(NETWORK, tmp_path / "start.npz", np.float64), flat)
    rounded = saved_parameters(NETWORK, tmp_path / "start.npz", np.float32)
    np.testing.assert_array_equal(rounded, flat.astype(np.float32))


def test_inputs_are_named_by_column_and_category() -> None:
    assert input_names(to_json(PREPROCESSING)) == INPUTS


@pytest.mark.parametrize(
    ("network", "changes", "difference"),
    [
        ({}, {"inputs": [*INPUTS[:3], "weight"]}, "only the model has 'color=(unknown)', only the job has 'weight'"),
        ({}, {"inputs": [INPUTS[0], "color=blue", "color=(unknown)"]}, "inputs differ: only the model has 'color=red'"),
        ({}, {"inputs": INPUTS[::-1]}, "inputs differ: they are in another order"),
        ({}, {"classes": ["bad", "good", "ugly"]}, "classes differ: only the job has 'ugly'"),
        ({}, {"classes": None}, "classes differ: only the model has 'bad', 'good'"),
        ({}, {"targets": ("price",)}, "targets differ: only the model has 'quality', only the job has 'price'"),
        ({"hidden_layers": [3, 3]}, {}, "hidden layers [3] in the model, [3, 3] in the job"),
        ({"activation": "relu"}, {}, "activation sigmoid in the model, relu in the job"),
        ({"output_activation": "sigmoid"}, {}, "output activation softmax in the model, sigmoid in the job"),
        ({"bias": False}, {}, "bias True in the model, False in the job"),
    ],
)
def test_each_difference_from_the_model_is_named(
    tmp_path: Path, network: dict[str, Any], changes: dict[str, Any], difference: str
) -> None:
    trained_model(tmp_path)
    assert difference in mismatch(tmp_path, spec(network), **changes)


def test_all_differences_are_named_at_once_and_long_lists_are_cut(tmp_path: Path) -> None:
    trained_model(tmp_path)
    message = mismatch(tmp_path, spec({"activation": "relu"}), classes=[f"c{place}" for place in range(9)])
    assert "activation sigmoid" in message
    assert "'c4' and 4 more" in message


def test_inputs_that_are_not_known_yet_are_not_compared(tmp_path: Path) -> None:
    trained_model(tmp_path)
    check_same(read_description(tmp_path), spec(), None, ["quality"], ["bad", "good"])


def test_a_model_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone from the storage"):
        read_description(tmp_path)
