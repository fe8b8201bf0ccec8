"""A trained model: its files, its hash and its predictions. Numpy only, because this is what MLflow loads.

The modules that this one imports are packaged with the model, so all of them use relative imports.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .activations import ACTIVATIONS
from .errors import DataError, ModelInputError
from .model_input import columns_of_arrays, columns_of_rows
from .network import Network, layer_views
from .preprocessing import Preprocessing, from_json, to_json, transform

Array = npt.NDArray[Any]
BLOCK_ROWS = 256


class Model(NamedTuple):
    """Everything a prediction depends on."""

    network: Network
    layers: tuple[tuple[Array, Array], ...]  # weights (n_out, n_in) and biases (n_out,), in float64
    preprocessing: Preprocessing
    targets: tuple[str, ...]
    classes: tuple[str | int | float, ...] | None
    weights_sha256: str


class Prediction(NamedTuple):
    """Answers for rows. `probabilities` has a column a class, None where the outputs are none."""

    prediction: Array  # classification: (rows,) classes; regression: (rows,), or (rows, n_targets) for several
    probabilities: Array | None  # (rows, n_classes) in float64


def parameter_arrays(network: Network, flat_parameters: Array) -> dict[str, Array]:
    """`weights_0` (n_out, n_in), `biases_0` (n_out,), `weights_1` …: views of the flat vector, in layer order."""
    return {
        f"{kind}_{layer}": array
        for layer, views in enumerate(layer_views(network, flat_parameters))
        for kind, array in zip(("weights", "biases"), views, strict=True)
    }


def weights_sha256(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over name, dtype and shape, and the little-endian bytes, of each array in layer order (docs/MATH.md)."""
    digest = hashlib.sha256()
    for layer in range(len(arrays) // 2):
        for name in (f"weights_{layer}", f"biases_{layer}"):
            array = _little_endian(arrays[name])
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode("ascii"))
            digest.update(array.tobytes())
    return digest.hexdigest()


def weights_npz(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as an `.npz` file; the same arrays give the same bytes."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: _little_endian(array) for name, array in arrays.items()})
    return file.getvalue()


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def save(
    directory: Path,
    network: Network,
    flat_parameters: Array,
    preprocessing: Preprocessing,
    targets: Sequence[str],
    classes: Sequence[str | int | float] | None,
) -> str:
    """Writes `model.json` and `weights.npz`, returns `weights_sha256`; the caller publishes the directory."""
    arrays = parameter_arrays(network, flat_parameters)
    described = {
        "format": 1,
        "network": network._asdict(),
        "preprocessing": to_json(preprocessing),
        "targets": list(targets),
        "classes": None if classes is None else list(classes),
        "weights_sha256": weights_sha256(arrays),
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "weights.npz").write_bytes(weights_npz(arrays))
    text = json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False)
    (directory / "model.json").write_text(text, encoding="utf-8")
    return str(described["weights_sha256"])


def load(directory: Path) -> Model:
    """The model in `directory`; DataError `model_damaged` where its weights are not those that were saved."""
    described = json.loads((directory / "model.json").read_bytes())
    with np.load(directory / "weights.npz", allow_pickle=False) as file:
        arrays = dict(file)
    if weights_sha256(arrays) != described["weights_sha256"]:
        raise DataError(f"The weights in {directory} are not those that were saved.", code="model_damaged")
    network = Network(**{**described["network"], "sizes": tuple(described["network"]["sizes"])})
    layers = [(arrays[f"weights_{layer}"], arrays[f"biases_{layer}"]) for layer in range(len(network.sizes) - 1)]
    return Model(
        network=network,
        layers=tuple((weights.astype(np.float64), biases.astype(np.float64)) for weights, biases in layers),
        preprocessing=from_json(described["preprocessing"]),
        targets=tuple(described["targets"]),
        classes=None if described["classes"] is None else tuple(described["classes"]),
        weights_sha256=described["weights_sha256"],
    )


def columns_from_rows(
    model: Model, rows: Sequence[Mapping[str, object]] | Sequence[Sequence[object]]
) -> dict[str, Array]:
    """What `predict` takes, from rows of JSON: objects with named columns, or lists in the order of the features."""
    return columns_of_rows(model.preprocessing, rows)


def columns_from_arrays(model: Model, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What `predict` takes, from the columns of a frame; integer and float columns give the same bits as rows do."""
    return columns_of_arrays(model.preprocessing, arrays)


def predict(model: Model, columns: Mapping[str, Array]) -> Prediction:
    """The model's answers for `columns`, as `columns_from_rows` or `columns_from_arrays` make them.

    In float64, 256 rows at a time, the last block padded with zeros, and products by `einsum`, not BLAS: so the bits of
    a row do not depend on the other rows, their number, the BLAS library, its kernel or its threads.
    Probabilities are the outputs themselves, of softmax (they sum to 1) or sigmoid (each class by itself, not
    normalised); the class is that of the largest output, the first on ties.
    """
    outputs = outputs_of(model, columns)
    if model.classes is None:
        return Prediction(outputs[:, 0] if len(model.targets) == 1 else outputs, None)
    text = isinstance(model.classes[0], str)
    classes = np.array(model.classes, dtype=object if text else None)
    is_probability = model.network.output_activation in {"softmax", "sigmoid"}
    return Prediction(classes[outputs.argmax(axis=1)], outputs if is_probability else None)


def outputs_of(model: Model, columns: Mapping[str, Array]) -> Array:
    """The network's outputs, (rows, n_outputs) in float64, for `columns` as `predict` takes them."""
    n_rows = len(next(iter(columns.values())))
    outputs = np.empty((n_rows, model.network.sizes[-1]))
    for first in range(0, n_rows, BLOCK_ROWS):
        block = {name: column[first : first + BLOCK_ROWS] for name, column in columns.items()}
        outputs[first : first + BLOCK_ROWS] = _outputs_of_block(model, block)
    if not np.isfinite(outputs).all():
        number = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
        raise ModelInputError(f"rows[{number}] has numbers too large for this model.", field=f"rows[{number}]")
    return outputs


def _outputs_of_block(model: Model, columns: Mapping[str, Array]) -> Array:
    """The outputs, (rows, n_outputs), of at most `BLOCK_ROWS` rows; not finite where numbers are too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        inputs = transform(model.preprocessing, columns)
        activations = np.zeros((BLOCK_ROWS, inputs.shape[1]))
        activations[: len(inputs)] = inputs
        for layer, (weights, biases) in enumerate(model.layers):
            z = np.einsum("bi,oi->bo", activations, weights) + biases
            last = layer == len(model.layers) - 1
            activations = _activated(model.network.output_activation if last else model.network.activation, z)
    return activations[: len(inputs)]


def _activated(activation: str, z: Array) -> Array:
    if activation == "softmax":
        exponentials = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
    ACTIVATIONS[activation].apply(z, np.empty_like(z))
    return z
