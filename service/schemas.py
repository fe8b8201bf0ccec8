"""The bodies of requests and answers, for reading requests and for /docs. A job's body is `workers.spec.JobSpec`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

LARGEST_VERSION = 2**31 - 1


class Described:
    """Any JSON value to FastAPI, described as `model` in the documentation: the route itself says what is wrong."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept everything."""
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the model."""
        return handler(self._model.__pydantic_core_schema__)


class Request(BaseModel):
    """A body: strict, without unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Version = Annotated[int, Field(ge=1, le=LARGEST_VERSION)]
Row = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array"}]})]


class PredictRequest(Request):
    """Rows to predict, as objects by column (in any order, more is ignored) or lists in the order of the features."""

    alias: Literal["champion"] | None = None
    version: Version | None = None
    rows: Annotated[list[Row], Field(min_length=1)]


class ImportRequest(Request):
    """A dataset that the service fetches itself: https://, s3:// or file://, as far as the operator allows."""

    uri: Annotated[str, Field(min_length=1)]
    name: str | None = None
    options: dict[str, Any] = {}
    tags: dict[str, str] = {}


class ResumeRequest(Request):
    """How a job goes on."""

    accept_other_numerics: bool = False


class PromoteRequest(Request):
    """The version that becomes the champion, and why."""

    version: Version
    reason: Annotated[str, Field(max_length=2000)] | None = None


JOB_EXAMPLES: dict[str, Any] = {
    "smallest": {"summary": "The smallest request", "value": {"dataset": "digits", "target": "digit"}},
    "textbook": {
        "summary": "Plain gradient descent on the full batch",
        "value": {
            "name": "digits",
            "preset": "textbook",
            "dataset": "digits",
            "target": "digit",
            "preprocessing": {"standardize": True},
            "training": {"epochs": 1000, "seed": 0},
            "tracking": {"registered_model": "digits"},
        },
    },
    "uri": {
        "summary": "Data that the service fetches itself",
        "value": {"dataset": {"uri": "https://example.org/people.csv", "name": "people"}, "target": "income"},
    },
}
PREDICT_EXAMPLES: dict[str, Any] = {
    "objects": {"summary": "Rows as objects", "value": {"rows": [{"width": 1.5, "colour": "red"}]}},
    "lists": {"summary": "Rows as lists, by a given version", "value": {"version": 3, "rows": [[1.5, "red"]]}},
}


class Owned(BaseModel):
    """What every object carries."""

    project: str = "default"
    actor: str = Field("anonymous", description="The token's name, or anonymous")
    group_id: str | None = None
    created_at: str = Field(description="ISO-8601, UTC")
    tags: dict[str, str] = {}


ConfusionMatrix = Annotated[
    list[list[float]] | None,
    Field(description="Rows by true (down) and predicted class (across), or their weights; null for over 100 classes"),
]


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class ProblemMembers(BaseModel):
    """What is wrong, wherever it is said."""

    type: str = Field(description="/problems/ and a stable code")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do, in a sentence")
    errors: list[FieldProblem]


class ProblemDocument(ProblemMembers):
    """Every error: application/problem+json."""

    request_id: str = Field(description="Also in the header X-Request-ID and in the service's log")


class DatasetProgress(BaseModel):
    """How far a dataset is; each phase, and each reading of a file that is read more than once, begins at 0."""

    phase: Literal["fetching", "expanding", "checking", "reading", "keeping"]
    unit: Literal["bytes", "rows"]
    done: int
    of: int | None = Field(description="null where it is not known")


class DatasetError(ProblemMembers):
    """Why a dataset failed: what the 422 says where the same is found at once."""

    code: str
    message: str


class DatasetDocument(Owned):
    """A version of a dataset."""

    id: str
    object: Literal["dataset"]
    name: str
    version: int
    status: Literal["preparing", "ready", "failed"]
    rows: int | None
    rejected_rows: int | None
    columns: list[dict[str, Any]] | None = Field(
        description="name, type, min, max, mean, std, nulls; not in lists: categories, distinct_values"
    )
    sha256: str | None = Field(description="Of the file; null while it is still to be fetched")
    bytes: int | None
    options: dict[str, Any]
    source: dict[str, Any]
    progress: DatasetProgress | None = Field(description="While it is being prepared; null before that, and afterwards")
    error: DatasetError | None


class ColumnPreview(BaseModel):
    """A column of a file as its beginning shows it."""

    name: str
    type: Literal["number", "category", "text", "date"] | None = Field(description="null where a problem hides it")
    nulls: int | None
    samples: list[str | None] = Field(description="The first five values; null where missing")
    problem: str | None = Field(description="What would stand in the way, were this the whole column")


class PreviewDocument(BaseModel):
    """What would be understood of a file, had it been sent without dry_run."""

    object: Literal["dataset_preview"]
    name: str
    bytes: int | None = Field(description="null where only the beginning was fetched of what a URI names")
    options: dict[str, Any]
    format: Literal["csv", "parquet", "arrow", "npz"]
    gzip: bool
    delimiter: str | None
    decimal: str | None
    header: bool | None
    rows_looked_at: int
    rejected_rows: int = Field(description="How many of these would be left out (on_bad_rows: skip)")
    whole_file: bool = Field(description="Whether the rows that were looked at are all")
    columns: list[ColumnPreview]


class ClassDocument(BaseModel):
    """How good a model is at one class, on held-out rows."""

    label: str | int | float = Field(alias="class")
    precision: float | None = Field(description="Of what was predicted as it; null where nothing was")
    recall: float | None = Field(description="Of its rows; null where it has none")
    rows: int = Field(description="However they are weighted")


class ResultDocument(BaseModel):
    """What a job came to, at the weights that are kept. Null for rows that it does not hold out."""

    model_config = ConfigDict(extra="allow")

    epochs: int
    best_epoch: int | None
    stopped_by: Literal["epochs", "early_stopping", "target_loss", "max_runtime"]
    loss: float = Field(description="On the training rows, without penalties")
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_confusion_matrix: ConfusionMatrix = None
    validation_classes: list[ClassDocument] = []
    validation_r2: float | None = None
    validation_r2_by_target: dict[str, float | None] = {}
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_confusion_matrix: ConfusionMatrix = None
    test_classes: list[ClassDocument] = []
    test_r2: float | None = Field(None, description="The mean over targets; null where a target is constant")
    test_r2_by_target: dict[str, float | None] = {}
    weights_sha256: str
    numerics: dict[str, Any] = Field(description="What the bits depend on")


class NotificationDocument(BaseModel):
    """A webhook, and whether its receiver has it."""

    id: str = Field(description="The receiver knows a repeated one by it: it is the header webhook-id")
    event: str
    status: Literal["pending", "delivered", "given_up"]
    created_at: str
    attempts: int
    next_attempt_at: str | None
    delivered_at: str | None
    error: str | None = Field(description="Why the last attempt failed")


class JobDocument(Owned):
    """A job."""

    id: str
    object: Literal["job"]
    name: str | None
    status: str
    status_reason: dict[str, Any] | None
    started_at: str | None
    finished_at: str | None
    estimated_finish_at: str | None
    spec: dict[str, Any] = Field(description="With a value for every `auto`")
    requested: dict[str, Any] = Field(description="The body as it was sent, without the values of a URI's query")
    plan: dict[str, Any] | None
    progress: dict[str, Any] | None
    attempt: int
    workers: list[dict[str, Any]]
    warnings: list[str]
    transitions: list[dict[str, Any]]
    result: ResultDocument | None
    mlflow: dict[str, Any]
    notifications: list[NotificationDocument] = Field(description="The webhooks that `notify` asks for, oldest first")
    error: dict[str, Any] | None
    verdict: dict[str, Any] | None = Field(
        None, description="Of a schedule's job: whether its model became the champion"
    )


class DryRunDocument(BaseModel):
    """What a job would be, had it been sent without dry_run."""

    spec: dict[str, Any]
    plan: dict[str, Any]
    warnings: list[str]


class MetricsDocument(BaseModel):
    """Figures of consecutive epochs."""

    object: Literal["list"]
    data: list[dict[str, float | int | None]]
    first_id: int | None
    last_id: int | None = Field(description="Send it as after_epoch for the next page")
    has_more: bool


class ModelDocument(Owned):
    """A registered model with its versions."""

    id: str
    object: Literal["model"]
    name: str
    champion: int | None = Field(description="The version that serves")
    promotion: dict[str, Any] | None = Field(description="promoted_at, reason, and by hand the actor of the champion")
    versions: list[dict[str, Any]] = Field(description="Newest first; in lists the newest ten")


class PredictionDocument(BaseModel):
    """Answers, in the order of the rows."""

    model: str
    version: int
    predictions: list[Any]
    probabilities: list[dict[str, float]] | None = Field(description="By class; null where the outputs are none")


class DeletedDocument(BaseModel):
    """An object that is no more."""

    id: str
    object: str
    deleted: Literal[True]


class ListOf(BaseModel):
    """A page of a list, newest first."""

    object: Literal["list"]
    first_id: str | None
    last_id: str | None = Field(description="Send it as `after` for the next page")
    has_more: bool


class DatasetList(ListOf):
    """Datasets."""

    data: list[DatasetDocument]


class JobList(ListOf):
    """Jobs."""

    data: list[JobDocument]


class ModelList(ListOf):
    """Models, in the order of the alphabet."""

    data: list[ModelDocument]
