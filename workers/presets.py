"""What each preset puts where a request says `auto`; docs/MODELS.md has what the choices of `auto` are worth."""

from collections.abc import Mapping
from typing import Any

from workers.initialization import automatic_methods

Values = Mapping[str, Mapping[str, Any]]
"""Values by group and option."""

TEXTBOOK: Values = {
    "preprocessing": {"standardize": False, "standardize_target": False},
    "network": {"hidden_layers": [30], "activation": "sigmoid", "output_activation": "sigmoid"},
    "training": {
        "epochs": 100,
        "optimizer": {"name": "gradient_descent"},
        "loss": "squared_error",
        "batch_size": None,
        "early_stopping": None,
    },
}
"""The method of the source document."""

ADAM, LBFGS = {"name": "adam"}, {"name": "lbfgs"}

AUTO: dict[str, Values] = {
    "small classification": {
        "preprocessing": {"standardize": True, "standardize_target": False},
        "network": {"hidden_layers": [16], "activation": "tanh"},
        "training": {
            "epochs": 100,
            "optimizer": LBFGS,
            "l2": "by features and rows",
            "batch_size": None,
            "early_stopping": None,
        },
    },
    "small classification in part": {
        "preprocessing": {"standardize": True, "standardize_target": False},
        "network": {"hidden_layers": [32], "activation": "tanh"},
        "training": {
            "epochs": 300,
            "optimizer": ADAM,
            "batch_size": None,
            "early_stopping": {"patience": 10},
        },
    },
    "classification": {
        "preprocessing": {"standardize": True, "standardize_target": False},
        "network": {"hidden_layers": [64], "activation": "tanh"},
        "training": {
            "epochs": 100,
            "optimizer": ADAM,
            "batch_size": "by rows",
            "early_stopping": {"patience": 10},
        },
    },
    "small regression": {
        "preprocessing": {"standardize": True, "standardize_target": "where it can"},
        "network": {"hidden_layers": [1024], "activation": "sigmoid", "initialization": ["he", "zeros"]},
        "training": {
            "epochs": 10,
            "optimizer": LBFGS,
            "batch_size": None,
            "early_stopping": None,
        },
    },
    "regression": {
        "preprocessing": {"standardize": True, "standardize_target": "where it can"},
        "network": {"hidden_layers": [64], "activation": "tanh"},
        "training": {
            "epochs": 300,
            "optimizer": LBFGS,
            "batch_size": None,
            "early_stopping": {"patience": 20},
        },
    },
}
"""By what there is to learn. Few rows want what fits them nearly as smoothly as a linear model does: classes by a
penalty, regressions by few steps. "In part" is where a request chooses some itself.
"""

SMALL_CLASSIFICATION_ROWS = 1000
SMALL_REGRESSION_ROWS = 500
"""Below these many rows of the dataset."""
PENALTY = 0.6
"""Of a small classification: l2 is this many times its features for each row of the dataset."""
WITH_OUTPUTS_FROM_ZERO = {"small classification", "small classification in part", "classification"}
"""Where the last layer of the preset's network starts at zero, so that no part of the answer is drawn."""
EPOCHS_OF_OTHERS = 200
"""With an optimizer that `auto` would not have chosen."""
FEWEST_BATCH_ROWS, MOST_BATCH_ROWS, MOST_STEPS = 32, 1024, 128

LEARNING_RATES = {"gradient_descent": 0.1, "momentum": 0.02, "adam": 0.003, "rprop": 0.01, "lbfgs": 1.0}
"""What `auto` is for each optimizer."""
TEXTBOOK_LEARNING_RATE = 1.0
"""And what it is for the source's own method."""


def apply_preset(chosen: dict[str, Any], task: str, rows: int, features: int) -> dict[str, Any]:
    """`chosen`, a spec as a dictionary, with a value for each `auto` of how to train; `rows` are the dataset's."""
    textbook, situation = chosen["preset"] == "textbook", _situation(chosen, task, rows)
    own_network = chosen["network"]["hidden_layers"] == "auto"
    for group, options in (TEXTBOOK if textbook else _adapted(AUTO[situation], chosen, rows)).items():
        for name, value in options.items():
            if chosen[group][name] == "auto":
                chosen[group][name] = value
    network, training, preprocessing = chosen["network"], chosen["training"], chosen["preprocessing"]
    bears_scaling = _bears_scaled_targets(chosen)
    training["l2"] = _automatic_l2(training["l2"], features, rows)
    if training["learning_rate"] == "auto":
        name = training["optimizer"]["name"]
        source = textbook and name == "gradient_descent"
        training["learning_rate"] = TEXTBOOK_LEARNING_RATE if source else LEARNING_RATES[name]
    if training["loss"] == "auto":
        training["loss"] = _automatic_loss(task, network["output_activation"])
    if network["output_activation"] == "auto":
        network["output_activation"] = _automatic_output(task, training["loss"])
    if preprocessing["standardize_target"] == "where it can":
        preprocessing["standardize_target"] = bears_scaling and network["output_activation"] == "identity"
    if network["initialization"] == "auto":
        from_zero = own_network and not textbook and situation in WITH_OUTPUTS_FROM_ZERO
        network["initialization"] = _automatic_initialization(network, outputs_from_zero=from_zero)
    return chosen


def batch_rows(rows: int) -> int:
    """The smallest power of two, from 32 to 1 024, with which an epoch over these rows has at most 128 steps."""
    size = FEWEST_BATCH_ROWS
    while size < MOST_BATCH_ROWS and size * MOST_STEPS < rows:
        size *= 2
    return size


def _situation(chosen: Mapping[str, Any], task: str, rows: int) -> str:
    """Which of `AUTO` a request is."""
    if task == "classification":
        if rows >= SMALL_CLASSIFICATION_ROWS:
            return "classification"
        return "small classification" if _leaves_all_open(chosen) else "small classification in part"
    return "small regression" if rows < SMALL_REGRESSION_ROWS and _leaves_all_open(chosen) else "regression"


def _leaves_all_open(chosen: Mapping[str, Any]) -> bool:
    """Whether network and training are the preset's: what small data gets suits no other. Relu never leaves zero."""
    network, training = chosen["network"], chosen["training"]
    parts = (network["hidden_layers"], network["activation"], training["optimizer"], training["epochs"])
    is_open = all(part == "auto" for part in parts) and network["output_activation"] != "relu"
    return is_open and not _rules_out_lbfgs(chosen)


def _rules_out_lbfgs(chosen: Mapping[str, Any]) -> bool:
    """Whether the request has an option that lbfgs refuses, or hardly bears."""
    network, training = chosen["network"], chosen["training"]
    return bool(
        isinstance(training["batch_size"], int)
        or training["learning_rate_schedule"] != {"name": "constant", "warmup_epochs": 0}
        or training["clip_gradient_norm"] is not None
        or training["l1"] > 0
        or network["dropout"] > 0
    )


def _adapted(values: Values, chosen: Mapping[str, Any], rows: int) -> Values:
    """The values for a request that may have chosen some itself, and for its number of rows."""
    training, asked = dict(values["training"]), chosen["training"]
    if training["optimizer"] == LBFGS and _rules_out_lbfgs(chosen):
        training["optimizer"] = ADAM
    optimizer = training["optimizer"] if asked["optimizer"] == "auto" else asked["optimizer"]
    if optimizer["name"] != values["training"]["optimizer"]["name"]:
        training |= {"epochs": EPOCHS_OF_OTHERS, "batch_size": "by rows" if optimizer["name"] == "adam" else None}
    if training["batch_size"] == "by rows":
        training["batch_size"] = batch_rows(rows)
    held_out = chosen["split"]["validation"] > 0 or chosen["validation_dataset"] is not None
    if asked["epochs"] != "auto" or not held_out:
        training["early_stopping"] = None
    return {**values, "training": training}


def _automatic_l2(asked: float | str, features: int, rows: int) -> float:
    if asked == "by features and rows":
        return float(f"{PENALTY * features / rows:.2g}")
    return 0.0 if isinstance(asked, str) else asked


def _automatic_loss(task: str, output_activation: str) -> str:
    if task == "classification" and output_activation in {"auto", "softmax", "sigmoid"}:
        return "cross_entropy"
    return "squared_error"


def _automatic_output(task: str, loss: str) -> str:
    if task == "regression":
        return "identity"
    return "softmax" if loss == "cross_entropy" else "sigmoid"


def _bears_scaled_targets(chosen: Mapping[str, Any]) -> bool:
    """Whether a request gives no number that is meant for the steps or the weights of the target as it is."""
    training, penalties = chosen["training"], (chosen["training"]["l1"], chosen["training"]["l2"])
    gives_steps = training["learning_rate"] != "auto" or training["clip_gradient_norm"] is not None
    gives_weights = chosen["initial_parameters"] is not None or any(value not in ("auto", 0) for value in penalties)
    return bool(chosen["network"]["bias"] and not gives_steps and not gives_weights)


def _automatic_initialization(network: Mapping[str, Any], *, outputs_from_zero: bool) -> str | list[str]:
    """A name, or one for each layer where they differ. Outputs of relu never leave zero: its slope there is 0."""
    output = network["output_activation"]
    methods = automatic_methods(network["activation"], output, len(network["hidden_layers"]) + 1)
    if outputs_from_zero and output != "relu":
        methods[-1] = "zeros"
    return methods if len(set(methods)) > 1 else methods[0]
