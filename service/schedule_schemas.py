"""The bodies of requests and answers about schedules."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from service.schemas import Described, ListOf, NotificationDocument, Owned, Request
from workers.spec import JobSpec, Name, Notify

DAY_SECONDS = 86_400
Fraction = Annotated[float, Field(ge=0, le=1)]
Metric = Literal["test_loss", "test_accuracy", "test_r2"]
Floor = Annotated[float, Field(ge=-1e9, le=1e9)]
Ratio = Annotated[float, Field(ge=0, le=1e6)]
Outcome = Literal["fired", "skipped_overlap", "missed", "coalesced", "unchanged", "held", "failed_to_submit"]
Verdict = Literal["promoted", "kept", "incomparable", "waiting"]


def _in_order(bounds: list[float]) -> list[float]:
    if bounds[0] > bounds[1]:
        raise ValueError("two numbers, the smaller one first")
    return bounds


class Check(Request):
    """What the new data must be like, compared with what the champion was trained on; null is not checked."""

    min_rows: Annotated[int, Field(ge=1)] | None = None
    rows_vs_last: Annotated[list[Ratio], Field(min_length=2, max_length=2), AfterValidator(_in_order)] | None = Field(
        default_factory=lambda: [0.5, 2.0]
    )
    max_null_fraction: Fraction | None = None
    max_psi: Annotated[float, Field(gt=0, le=1000)] | None = None
    same_columns: bool = True


class Promotion(Request):
    """When the new model becomes the champion."""

    metric: Metric = "test_loss"
    unless_worse_by: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    must_beat_linear: bool = False
    floors: dict[Metric, Floor] = Field(default_factory=dict)
    mode: Literal["auto", "manual"] = "auto"


class Drift(Request):
    """The dataset that is watched, and how far it may move."""

    dataset: Name
    max_psi: Annotated[float, Field(gt=0, le=1000)] = 0.25
    mode: Literal["suggest", "run"] = "suggest"


class ScheduleRequest(Request):
    """A job that is made again and again: at due times, or when its data changes."""

    name: Name
    cron: Annotated[str, Field(max_length=200)] | None = None
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    on: Literal["cron", "new_data", "drift"] = "cron"
    job: dict[str, Any] = Field(description="A job's body; a dataset's uri may hold {due_date} and {due_at}")
    overlap_policy: Literal["skip", "queue", "cancel_running"] = "skip"
    catch_up: Literal["latest", "all", "skip"] = "latest"
    catch_up_window_seconds: Annotated[int, Field(ge=0, le=31 * DAY_SECONDS)] = 3600
    on_unchanged_data: Literal["train", "skip"] = "train"
    cool_down_seconds: Annotated[int, Field(ge=0, le=366 * DAY_SECONDS)] = 3600
    drift: Drift | None = None
    check: Check | None = None
    promotion: Promotion | None = None
    notify: Notify | None = None
    paused: bool = False
    tags: dict[Name, Annotated[str, Field(max_length=5000)]] = Field(default_factory=dict)


Place = Annotated[str, Field(max_length=40)]
_PLACES: dict[str, Any] = {"from": (Place, ...), "to": (Place, ...)}  # `from` is a word of Python's own
BackfillRequest = create_model("BackfillRequest", __base__=Request, **_PLACES)


class ScheduleDescription(ScheduleRequest):
    """A schedule's body, as the documentation shows it."""

    job: Annotated[Any, Described(JobSpec)]


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out of a change stays as it is."""
    schema.pop("required", None)
    for field in schema["properties"].values():
        field.pop("default", None)


class ScheduleChanges(ScheduleRequest):
    """The fields of a schedule that change, as the documentation shows them."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    job: dict[str, Any] = Field(description="The fields of the job that change")


class ScheduleDocument(Owned):
    """A schedule."""

    id: str
    object: Literal["schedule"]
    name: str
    cron: str | None
    timezone: str
    on: str
    in_words: str
    next_due_at: list[str] = Field(description="The next five, with the time zone's offset; none without cron")
    job: dict[str, Any]
    overlap_policy: str
    catch_up: str
    catch_up_window_seconds: int
    on_unchanged_data: str
    cool_down_seconds: int
    drift: dict[str, Any] | None
    check: dict[str, Any] | None
    promotion: dict[str, Any] | None
    notify: dict[str, Any] | None
    paused: bool


class OneScheduleDocument(ScheduleDocument):
    """A schedule, with its webhooks."""

    warnings: list[str] = Field(description="What may be wrong with it, though it is accepted")

    notifications: list[NotificationDocument] = Field(
        description="The last 20 webhooks about due times and drift, newest first; each job shows its own"
    )


class FiringDocument(Owned):
    """One row of a schedule's ledger."""

    id: str
    object: Literal["firing"]
    schedule_id: str
    due_at: str
    due_times: int | None = Field(description="How many due times the row stands for; null: too many to count")
    fired_at: str = Field(description="When this was decided; the same as created_at")
    triggered_by: Literal["cron", "user", "new_data", "drift", "backfill"]
    outcome: Outcome
    reason: str | None = Field(description="Why there is no job, or why it failed")
    job_id: str | None
    job_status: str | None
    backfill: bool
    verdict: Verdict | None
    verdict_reason: str | None
    scores: dict[str, Any] | None


class BackfillEntry(BaseModel):
    """A due time that a backfill would make up for."""

    due_at: str
    outcome: Outcome | None = Field(description="What the ledger says of it; null where it says nothing")
    reason: str | None


class BackfillDocument(BaseModel):
    """What a backfill made, oldest first; with dry_run, what it would make up for."""

    object: Literal["list"]
    data: list[FiringDocument] | list[BackfillEntry]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False]


class ScheduleList(ListOf):
    """Schedules."""

    data: list[ScheduleDocument]


class FiringList(ListOf):
    """Rows of a ledger."""

    data: list[FiringDocument]


SCHEDULE_EXAMPLES: dict[str, Any] = {
    "nightly": {
        "summary": "Every night at three, Oslo time",
        "value": {
            "name": "digits-nightly",
            "cron": "0 3 * * *",
            "timezone": "Europe/Oslo",
            "job": {"dataset": "digits", "target": "digit", "tracking": {"registered_model": "digits"}},
        },
    },
    "new data": {
        "summary": "Whenever the dataset has a new version, at most once an hour",
        "value": {
            "name": "digits-fresh",
            "on": "new_data",
            "cool_down_seconds": 3600,
            "job": {"dataset": "digits", "target": "digit", "warm_start": "last_success"},
        },
    },
}
CHANGES_EXAMPLES: dict[str, Any] = {
    "cron": {"summary": "Another time", "value": {"cron": "0 4 * * *"}},
    "job": {"summary": "Another network", "value": {"job": {"network": {"hidden_layers": [64]}}}},
}
