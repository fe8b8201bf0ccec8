import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.model import Model, load, predict, save
from workers.network import Network, n_parameters
from workers.preprocessing import NumberFeature, Preprocessing


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = tmp_path_factory.mktemp("model")
    network = Network((7, 30, 10), "tanh", "softmax", "cross_entropy")
    flat = np.random.default_rng(1).normal(size=n_parameters(network)).astype(np.float32)
    features = tuple(NumberFeature(f"c{place}", 0.5, 1 / 3) for place in range(7))
    save(directory, network, flat, Preprocessing(features), ("digit",), tuple(range(10)))
    return load(directory)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), n_rows=st.integers(1, 700), data=st.data())
def test_a_row_gets_the_same_bits_alone_and_among_others(
    model: Model, seed: int, n_rows: int, data: st.DataObject
) -> None:
    rows = np.random.default_rng(seed).normal(size=(n_rows, 7))
    columns = {f"c{place}": rows[:, place] for place in range(7)}
    whole = predict(model, columns)
    first = data.draw(st.integers(0, n_rows - 1))
    last = data.draw(st.integers(first + 1, n_rows))
    part = predict(model, {name: column[first:last].copy() for name, column in columns.items()})
    assert whole.probabilities is not None
    assert part.probabilities is not None
    assert whole.probabilities[first:last].tobytes() == part.probabilities.tobytes()
    assert part.prediction.tolist() == whole.prediction[first:last].tolist()
