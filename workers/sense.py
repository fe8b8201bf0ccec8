"""Which options make no sense together, and the way out of each: checked once every `auto` has its value."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workers.counting import counted
from workers.errors import FieldError, SpecError
from workers.spec import ConstantRate, EarlyStopping, JobSpec, Lbfgs, Rprop


def check_sense(spec: JobSpec) -> None:
    """SpecError with every field of a resolved spec that contradicts another."""
    found = [*_ignored(spec), *_outputs(spec), *_optimizer(spec), *_stopping(spec), *_network(spec), *_target(spec)]
    if found:
        raise SpecError(" ".join(error.message for error in found), errors=tuple(found))


def doubts(spec: JobSpec) -> list[str]:
    """What may be meant, but rarely is."""
    found = []
    network, training = spec.network, spec.training
    if isinstance(training.optimizer, Lbfgs) and training.l1 > 0:
        found.append(
            "lbfgs may end early with training.l1, which has kinks: training.l2 has none, and adam bears them."
        )
    methods = network.initialization
    of_hidden = methods[:-1] if isinstance(methods, list) else [methods]
    if network.hidden_layers and "zeros" in of_hidden:
        found.append("Nodes of a hidden layer that start at zero stay the same: set network.initialization to auto.")
    return found


def check_weights(spec: JobSpec, columns: Mapping[str, Mapping[str, Any]], classes: Sequence[Any] | None) -> None:
    """SpecError where the weight column or the class weights can't be used; `classes` is None for a regression."""
    if spec.weight_column is not None:
        _check_weight_column(spec, columns[spec.weight_column])
    if spec.class_weight is None:
        return
    if classes is None:
        message = "class_weight needs classes, and the task is regression. Use weight_column, or leave it out."
        raise SpecError(message, field="class_weight")
    if isinstance(spec.class_weight, dict):
        _check_class_weights(spec.class_weight, [str(label) for label in classes])


def _check_weight_column(spec: JobSpec, column: Mapping[str, Any]) -> None:
    name, reason = column["name"], None
    if name in spec.targets:
        reason = "is the target, so it can't be the weight column"
    elif column["type"] != "number":
        reason = "holds no numbers, so it can't be the weight column"
    elif column["nulls"]:
        missing = counted(column["nulls"], "missing value")
        reason = f"is the weight column and has {missing}: give each row a weight"
    elif column["min"] < 0:
        reason = f"is the weight column and has values below 0 (down to {column['min']:g}): weights are 0 or more"
    elif column["max"] == 0:
        reason = "is the weight column and is 0 in every row"
    if reason is not None:
        raise SpecError(f"Column '{name}' {reason}.", field="weight_column")


def _check_class_weights(weights: Mapping[str, float], labels: Sequence[str]) -> None:
    for name in weights:
        if name not in labels:
            nearest = difflib.get_close_matches(name, labels, n=1)
            hint = f"; did you mean '{nearest[0]}'?" if nearest else f". Its classes are {', '.join(labels[:10])}."
            raise SpecError(f"The target has no class '{name}'{hint}", field="class_weight")
    if all(weights.get(label, 1.0) == 0 for label in labels):
        raise SpecError("class_weight gives every class the weight 0.", field="class_weight")


def _ignored(spec: JobSpec) -> Iterator[FieldError]:
    """Columns that are to be left out and to be used."""
    uses = dict.fromkeys(spec.features, "a feature") | dict.fromkeys(spec.targets, "the target")
    for place, name in enumerate(spec.ignore):
        if name in uses:
            field = f"ignore[{place}]"
            yield FieldError(field, f"Column '{name}' is {uses[name]}, so it can't be ignored. Take it out of {field}.")


def _outputs(spec: JobSpec) -> Iterator[FieldError]:
    output, loss = spec.network.output_activation, spec.training.loss
    if loss == "cross_entropy" and spec.task == "regression":
        message = "training.loss cross_entropy needs classes, and the task is regression. Use squared_error."
        yield FieldError("training.loss", message)
    elif loss == "cross_entropy" and output not in {"softmax", "sigmoid"}:
        message = f"training.loss cross_entropy needs softmax or sigmoid outputs, not {output}. Use squared_error."
        yield FieldError("network.output_activation", message)
    if spec.task == "classification" and len(spec.targets) > 1:
        yield FieldError("target", "Several targets can only be a regression. Name one target.")
    if spec.task == "regression" and len(spec.targets) == 1 and output == "softmax":
        message = "One softmax output is always 1, so it can't learn a number. Use identity."
        yield FieldError("network.output_activation", message)


def _target(spec: JobSpec) -> Iterator[FieldError]:
    if spec.preprocessing.standardize_target is not True:
        return
    field = "preprocessing.standardize_target"
    if spec.task == "classification":
        yield FieldError(field, f"{field} is for numbers, and the task is classification. Leave it out.")
    elif spec.network.output_activation != "identity" or not spec.network.bias:
        found = "network.bias is false" if not spec.network.bias else f"these are {spec.network.output_activation}"
        yield FieldError(field, f"{field} needs identity outputs with biases, and {found}. Set it to false.")


def _optimizer(spec: JobSpec) -> Iterator[FieldError]:
    training = spec.training
    if not isinstance(training.optimizer, Rprop | Lbfgs):
        return
    name = training.optimizer.name
    if isinstance(training.batch_size, int):
        message = f"{name} needs the gradient of all rows. Set training.batch_size to null, or use adam."
        yield FieldError("training.batch_size", message)
    if not isinstance(training.learning_rate_schedule, ConstantRate) or training.learning_rate_schedule.warmup_epochs:
        message = f"{name} finds the length of its steps itself. Leave the schedule out, or use adam."
        yield FieldError("training.learning_rate_schedule", message)
    if name == "lbfgs" and training.clip_gradient_norm is not None:
        message = "lbfgs needs the true gradient. Leave training.clip_gradient_norm out, or use adam."
        yield FieldError("training.clip_gradient_norm", message)
    if name == "lbfgs" and spec.network.dropout > 0:
        message = "lbfgs needs a loss that is the same at each look. Set network.dropout to 0, or use adam."
        yield FieldError("network.dropout", message)


def _stopping(spec: JobSpec) -> Iterator[FieldError]:
    training = spec.training
    without_validation = spec.split.validation == 0 and spec.validation_dataset is None
    if isinstance(training.early_stopping, EarlyStopping) and without_validation:
        message = "Early stopping needs validation rows. Set split.validation above 0, or use training.target_loss."
        yield FieldError("training.early_stopping", message)
    warmup = training.learning_rate_schedule.warmup_epochs
    if isinstance(training.epochs, int) and warmup >= training.epochs:
        message = f"The warm-up of {counted(warmup, 'epoch')} must end before the last of {training.epochs}."
        yield FieldError("training.learning_rate_schedule.warmup_epochs", message)
    if spec.initial_parameters is not None and spec.warm_start is not None:
        yield FieldError("warm_start", "Give initial_parameters or warm_start, not both.")


def _network(spec: JobSpec) -> Iterator[FieldError]:
    network = spec.network
    if not isinstance(network.hidden_layers, list):
        return
    layers = len(network.hidden_layers) + 1
    if network.dropout > 0 and layers == 1:
        message = "Dropout is for hidden layers, and there are none. Set network.dropout to 0, or use training.l2."
        yield FieldError("network.dropout", message)
    if isinstance(network.initialization, list) and len(network.initialization) != layers:
        message = f"The list names {counted(len(network.initialization), 'layer')}; the network has {layers}."
        yield FieldError("network.initialization", message)
