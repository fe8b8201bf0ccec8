"""What a job asks for: the one definition of every option, with its type, range and default.

`parse` reads a request and names every field that is wrong; `workers.resolve` puts values for `auto`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from workers.errors import FieldError, SpecError
from workers.field_errors import field_errors

Auto = Literal["auto"]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
LayerSize = Annotated[int, Field(ge=1, le=10_000_000)]


class Options(BaseModel):
    """Strict: no unknown fields, no silent conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Split(Options):
    """Which rows are held out: for validation, and for the final figures (test)."""

    validation: Fraction = 0.1
    test: Fraction = 0.0
    by: Literal["hash", "group", "time", "row"] = "hash"
    column: Name | None = None
    stratify: bool = False
    salt: Annotated[str, Field(max_length=200)] = ""


class PreprocessingOptions(Options):
    """What the model does to raw rows before the first layer."""

    standardize: bool | Auto = "auto"
    standardize_target: bool | Auto = "auto"
    missing_values: Literal["error", "mean", "most_frequent"] = "error"
    max_categories: Annotated[int, Field(ge=1, le=100_000)] = 1000


Initialization = Literal["glorot", "he", "zeros"]


class NetworkOptions(Options):
    """The layers."""

    hidden_layers: Annotated[list[LayerSize], Field(max_length=100)] | Auto = "auto"
    activation: Literal["auto", "sigmoid", "tanh", "relu", "identity"] = "auto"
    output_activation: Literal["auto", "sigmoid", "tanh", "relu", "identity", "softmax"] = "auto"
    bias: bool = True
    dropout: Fraction = 0.0
    initialization: Auto | Initialization | Annotated[list[Initialization], Field(min_length=1)] = "auto"


class GradientDescent(Options):
    """Every step goes down the gradient, times the learning rate."""

    name: Literal["gradient_descent"]


class Momentum(Options):
    """Every step goes down the decaying sum of the gradients so far."""

    name: Literal["momentum"]
    beta: Fraction = 0.9
    nesterov: bool = False


class Adam(Options):
    """Kingma & Ba (2015), with bias correction."""

    name: Literal["adam"]
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: Positive = 1e-8


class Rprop(Options):
    """iRprop⁻."""

    name: Literal["rprop"]


class Lbfgs(Options):
    """Limited-memory BFGS with a strong Wolfe line search."""

    name: Literal["lbfgs"]
    history: Annotated[int, Field(ge=1, le=100)] = 10


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) and value != "auto" else value


OptimizerOptions = Annotated[
    GradientDescent | Momentum | Adam | Rprop | Lbfgs,
    Field(discriminator="name"),
]


class ConstantRate(Options):
    """The learning rate stays as it is."""

    name: Literal["constant"]
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class StepRate(Options):
    """The learning rate is multiplied by `factor` every `every` epochs."""

    name: Literal["step"]
    every: Annotated[int, Field(ge=1)] = 100
    factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class CosineRate(Options):
    """The learning rate falls to 0 along half a cosine."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


Schedule = ConstantRate | StepRate | CosineRate


class EarlyStopping(Options):
    """Stop when the validation loss has not improved for `patience` validations."""

    patience: Annotated[int, Field(ge=1)] = 10
    min_improvement: NonNegative = 0.0


class TrainingOptions(Options):
    """How the weights are found."""

    epochs: Annotated[int, Field(ge=1)] | Auto = "auto"
    learning_rate: Positive | Auto = "auto"
    learning_rate_schedule: Annotated[Annotated[Schedule, Field(discriminator="name")], BeforeValidator(_named)] = (
        ConstantRate(name="constant")
    )
    optimizer: Annotated[OptimizerOptions | Auto, BeforeValidator(_named)] = "auto"
    loss: Literal["auto", "squared_error", "cross_entropy"] = "auto"
    batch_size: Annotated[int, Field(ge=1)] | Auto | None = "auto"
    l1: NonNegative = 0.0
    l2: NonNegative | Auto = "auto"
    clip_gradient_norm: Positive | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    dtype: Literal["float32", "float64"] = "float32"
    early_stopping: EarlyStopping | Auto | None = "auto"
    target_loss: NonNegative | None = None
    validate_every_epochs: Annotated[int, Field(ge=1)] = 1
    max_runtime_seconds: Positive | None = None


class Resources(Options):
    """How many workers compute, and into how many fixed shards the training rows are cut."""

    workers: Annotated[int, Field(ge=1)] | Auto = "auto"
    shards: Annotated[int, Field(ge=1)] | Auto = "auto"


class CheckpointOptions(Options):
    """How often the state of training is kept: in this version never, which `auto` and null both say."""

    every_epochs: Annotated[int, Field(ge=1)] | Auto | None = "auto"
    keep: Annotated[int, Field(ge=1, le=1000)] = 3


class Tracking(Options):
    """Where MLflow shows the job."""

    experiment: Name = "auto"
    registered_model: Annotated[Name, Field(pattern=r"^[^@/:.\x00-\x1f\x7f]+$")] | None = None
    max_points: Annotated[int, Field(ge=2, le=100_000)] = 1000


Event = Literal[
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "firing.fired",
    "firing.skipped_overlap",
    "firing.missed",
    "firing.coalesced",
    "firing.unchanged",
    "firing.held",
    "firing.failed_to_submit",
    "model.promoted",
    "model.kept",
    "model.incomparable",
    "model.waiting",
    "drift.found",
]
TROUBLE: tuple[Event, ...] = (
    "job.failed",
    "firing.missed",
    "firing.held",
    "firing.failed_to_submit",
    "model.kept",
    "model.incomparable",
    "model.waiting",
    "drift.found",
)
"""What somebody may have to look at."""


class Notify(Options):
    """A webhook: where each of `events` is posted, signed with the secret that the variable `secret_env` holds."""

    url: Annotated[str, Field(min_length=1, max_length=2000, description="https://, as far as the operator allows")]
    secret_env: Annotated[
        str, Field(min_length=1, max_length=200, description="The variable, never the secret: GRADSUM_NOTIFY_SECRET")
    ]
    events: Annotated[list[Event], Field(min_length=1, description="What it is told of")] = list(TROUBLE)


class InitialParameters(Options):
    """Where training starts: weights[l] of shape (n_out, n_in), biases[l] of (n_out,), for each layer l."""

    weights: Annotated[list[list[list[float]]], Field(min_length=1)]
    biases: list[list[float]] | None = None


class DatasetByUri(Options):
    """Data that the service fetches itself; `name` and `options` are those of a dataset by URI."""

    uri: Annotated[str, Field(min_length=1)]
    name: str | None = None
    options: dict[str, Any] = {}


class JobSpec(Options):
    """A training request. Only `dataset` and `target` are required."""

    name: Name | None = None
    preset: Literal["auto", "textbook"] = "auto"
    dataset: Name | DatasetByUri
    target: Name | Annotated[list[Name], Field(min_length=1)]
    task: Literal["auto", "classification", "regression"] = "auto"
    features: Annotated[list[Name], Field(min_length=1)] | Auto = "auto"
    ignore: list[Name] = []
    weight_column: Name | None = None
    class_weight: Literal["balanced"] | dict[str, NonNegative] | None = None
    split: Split = Split()
    validation_dataset: Name | None = None
    preprocessing: PreprocessingOptions = PreprocessingOptions()
    network: NetworkOptions = NetworkOptions()
    training: TrainingOptions = TrainingOptions()
    initial_parameters: InitialParameters | None = None
    warm_start: Name | None = None
    resources: Resources = Resources()
    checkpoint: CheckpointOptions = CheckpointOptions()
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    tracking: Tracking = Tracking()
    tags: dict[Name, Annotated[str, Field(max_length=5000)]] = {}
    notify: Notify | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns, one or more."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


def parse(body: object) -> JobSpec:
    """The spec in `body`; SpecError with every field that is wrong."""
    try:
        spec = JobSpec.model_validate(body)
    except ValidationError as error:
        raise _refusal(field_errors(error, JobSpec)) from None
    refuse_what_is_not_there_yet(spec)
    return spec if spec.validation_dataset is None else _without_validation_share(spec)


def refuse_what_is_not_there_yet(spec: JobSpec) -> None:
    """SpecError for an option that this version of Gradsum does not have: never accepted and ignored."""
    wanted = {
        "checkpoint.every_epochs": spec.checkpoint.every_epochs not in {"auto", None},
        "checkpoint.keep": spec.checkpoint.keep != CheckpointOptions().keep,
    }
    fields = [field for field, is_wanted in wanted.items() if is_wanted]
    if fields:
        raise _refusal(tuple(FieldError(field, "is not available in this version; leave it out") for field in fields))


def _without_validation_share(spec: JobSpec) -> JobSpec:
    """All validation rows come from the validation dataset; SpecError where a share of the dataset is asked for too."""
    if "validation" in spec.split.model_fields_set and spec.split.validation > 0:
        message = "must be 0 or left out where a validation_dataset is given"
        raise _refusal((FieldError("split.validation", message),))
    return spec.model_copy(update={"split": spec.split.model_copy(update={"validation": 0.0})})


def _refusal(problems: tuple[FieldError, ...]) -> SpecError:
    return SpecError("; ".join(f"{field} {message}" for field, message in problems) + ".", errors=problems)
