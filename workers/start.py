"""Where training starts if not from drawn weights: given ones, or those of a trained model, if they fit the network.

What fits is written to one file, `.npz` like the weights that training ends with, which every attempt reads.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from workers.counting import counted
from workers.errors import DataError, FieldError, SpecError
from workers.files import write_atomically
from workers.plan import layer_sizes
from workers.spec import InitialParameters, JobSpec
from workers.target_scaling import scaling_from_json

MOST_NAMED = 5


def write_start(spec: JobSpec, matrix: Mapping[str, Any], source: Path | None, destination: Path) -> None:
    """Write what a resolved spec starts from to `destination`; `matrix` is its `matrix.json`, `source` a model.

    SpecError names the shapes that are wrong, or what differs between the model and the job.
    """
    n_outputs = len(matrix["classes"] or matrix["targets"])
    if spec.initial_parameters is not None:
        sizes = layer_sizes(spec, matrix["n_inputs"], n_outputs)
        check_shapes(spec.initial_parameters, sizes, bias=spec.network.bias)
        arrays = _arrays(spec.initial_parameters, np.dtype(spec.training.dtype))
    elif source is not None:
        trained = read_description(source)
        check_same(trained, spec, input_names(matrix["preprocessing"]), matrix["targets"], matrix["classes"])
        with np.load(source / "weights.npz", allow_pickle=False) as file:
            arrays = dict(file)
    scaling = scaling_from_json(matrix.get("target_scaling"))
    if scaling is not None:  # what is given or kept answers in the target's own unit, and training does not
        last = [f"{kind}_{len(arrays) // 2 - 1}" for kind in ("weights", "biases")]
        arrays |= dict(zip(last, scaling.in_deviations(*(arrays[name] for name in last)), strict=True))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    write_atomically(destination, file.getvalue())


def check_shapes(given: InitialParameters, sizes: Sequence[int | None], *, bias: bool) -> None:
    """SpecError where the weights or biases are not those of a network with these layer sizes; None where unknown."""
    layers = len(sizes) - 1
    errors = []
    for name, values in (("weights", given.weights), ("biases", given.biases)):
        if values is not None and len(values) != layers:
            message = f"There are {name} for {counted(len(values), 'layer')}; the network has {layers}."
            errors.append(FieldError(f"initial_parameters.{name}", message))
    if not errors:
        errors = [*_wrong_shapes(given, sizes)]
    if not bias and any(value != 0 for values in given.biases or [] for value in values):
        message = "network.bias is false, so biases must be 0 or left out."
        errors.append(FieldError("initial_parameters.biases", message))
    if errors:
        raise SpecError(" ".join(error.message for error in errors), errors=tuple(errors))


def read_description(model: Path) -> dict[str, Any]:
    """What a trained model says of itself: `model.json`; DataError where it is gone."""
    try:
        described: dict[str, Any] = json.loads((model / "model.json").read_bytes())
    except OSError:
        message = "The model that warm_start names is gone from the storage."
        raise DataError(message, code="warm_start_gone", field="warm_start") from None
    return described


def input_names(preprocessing: Mapping[str, Any]) -> list[str]:
    """The network's inputs by name: `width`, `colour=red`, `colour=(unknown)`."""
    names = []
    for feature in preprocessing["features"]:
        if feature["type"] == "number":
            names.append(str(feature["name"]))
        else:
            names += [f"{feature['name']}={category}" for category in (*feature["categories"], "(unknown)")]
    return names


def check_same(
    trained: Mapping[str, Any],
    spec: JobSpec,
    inputs: Sequence[str] | None,
    targets: Sequence[str],
    classes: Sequence[Any] | None,
) -> None:
    """SpecError that names every difference between a trained model and a job; `inputs` is None where not yet known."""
    network, mine = trained["network"], spec.network
    found = [
        *_differences("targets", trained["targets"], list(targets)),
        *_differences("classes", trained["classes"] or [], classes or []),
        *(_differences("inputs", input_names(trained["preprocessing"]), inputs) if inputs is not None else []),
        *_other("hidden layers", list(network["sizes"][1:-1]), mine.hidden_layers),
        *(_other("activation", network["activation"], mine.activation) if mine.hidden_layers else []),
        *_other("output activation", network["output_activation"], mine.output_activation),
        *_other("bias", network.get("bias", True), mine.bias),
    ]
    if found:
        message = (
            f"The job can't start from that model: {'; '.join(found)}. Give it what the model has, or no warm_start."
        )
        raise SpecError(message, code="warm_start_mismatch", field="warm_start")


def _differences(what: str, theirs: Sequence[Any], mine: Sequence[Any]) -> Iterable[str]:
    if list(theirs) == list(mine):
        return
    known, known_to_the_model = frozenset(mine), frozenset(theirs)
    extra = [value for value in theirs if value not in known]
    new = [value for value in mine if value not in known_to_the_model]
    parts = [f"only the model has {_listed(extra)}"] if extra else []
    parts += [f"only the job has {_listed(new)}"] if new else []
    yield f"{what} differ: {', '.join(parts) or 'they are in another order'}"


def _other(what: str, theirs: object, mine: object) -> Iterable[str]:
    if theirs != mine:
        yield f"{what} {theirs} in the model, {mine} in the job"


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:MOST_NAMED])
    return shown if len(values) <= MOST_NAMED else f"{shown} and {len(values) - MOST_NAMED} more"


def _wrong_shapes(given: InitialParameters, sizes: Sequence[int | None]) -> Iterable[FieldError]:
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        rows = given.weights[layer]
        widths = {len(row) for row in rows}
        if len(rows) != n_out or (widths != {n_in} if n_in is not None else len(widths) != 1):
            shape = f"({len(rows)}, {'/'.join(str(width) for width in sorted(widths)) or 0})"
            message = (
                f"weights[{layer}] has shape {shape}; the network needs ({n_out}, {n_in or 'one for each input'})."
            )
            yield FieldError(f"initial_parameters.weights[{layer}]", message)
        if given.biases is not None and len(given.biases[layer]) != n_out:
            message = f"biases[{layer}] has {len(given.biases[layer])} numbers; the network needs {n_out}."
            yield FieldError(f"initial_parameters.biases[{layer}]", message)


def _arrays(given: InitialParameters, dtype: np.dtype[Any]) -> dict[str, Any]:
    """The arrays in the job's dtype; SpecError where a number is beyond it."""
    arrays = {}
    for layer, rows in enumerate(given.weights):
        biases = [0.0] * len(rows) if given.biases is None else given.biases[layer]
        for name, values in (("weights", rows), ("biases", biases)):
            with np.errstate(over="ignore"):
                array = arrays[f"{name}_{layer}"] = np.array(values, np.float64).astype(dtype)
            if not np.isfinite(array).all():
                message = f"{name}[{layer}] has a number that {dtype} can't hold. Set training.dtype to float64."
                raise SpecError(message, field=f"initial_parameters.{name}[{layer}]")
    return arrays
