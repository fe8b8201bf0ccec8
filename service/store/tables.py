"""The tables, as SQLAlchemy describes them; `migrations/` makes them. Times are ISO-8601 UTC text, so they sort."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
)

LONG = BigInteger().with_variant(Integer, "sqlite")  # SQLite's integers are that long anyway

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

datasets = Table(
    "datasets",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("project", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("group_id", String(40)),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("status", String(20), nullable=False),
    Column("options", JSON, nullable=False),
    Column("source", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_key", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rows", LONG),
    Column("rejected_rows", LONG),
    Column("columns", JSON),
    Column("error", JSON),
    Column("uri", String(2000)),  # where it is to be fetched from; null once it is there
    Column("progress", JSON),  # how far it is fetched or read; null before that, and once it is ready or has failed
    UniqueConstraint("project", "name", "version"),
    Index("ix_datasets_status", "status"),
)

merged_datasets = Table(
    "merged_datasets",
    metadata,
    Column("id", String(40), primary_key=True),  # was answered to whoever wanted it fetched
    Column("dataset_id", String(40), ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("project", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("group_id", String(40)),
    Column("name", String(200)),
    Column("created_at", String(32), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("dataset_id", String(40), ForeignKey("datasets.id"), nullable=False),
    Column("requested", JSON, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("resolved", Boolean, nullable=False),  # every `auto` of the spec has its value
    Column("matrix_key", String(64)),
    Column("plan", JSON),
    Column("numerics", JSON),  # those of its first attempt
    Column("accept_other_numerics", Boolean, nullable=False, server_default=false()),
    Column("block_rows", Integer),
    Column("status", String(20), nullable=False),
    Column("status_reason", JSON),
    Column("attempt", Integer, nullable=False),
    Column("started_at", String(32)),
    Column("finished_at", String(32)),
    Column("progress", JSON),
    Column("workers", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("verdict", JSON),  # of a job of a schedule: whether its model became the champion
    Index("ix_jobs_status", "status"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("at", String(32), nullable=False),
    Column("reason", String(2000)),
    Index("ix_transitions_job_id", "job_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("driver", JSON, nullable=False),  # which driver was asked to start it
    Column("started_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Column("reason", String(2000)),
)

metric_chunks = Table(
    "metric_chunks",
    metadata,
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("first_epoch", Integer, primary_key=True),
    Column("last_epoch", Integer, nullable=False),
    Column("recorded_at", String(32), nullable=False),
    Column("columns", LargeBinary, nullable=False),  # see metrics.py
)

models = Table(
    "models",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("project", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("group_id", String(40)),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("job_id", String(40), ForeignKey("jobs.id"), nullable=False, unique=True),
    Column("directory", String(500), nullable=False),  # below the storage
    Column("verdict", JSON),  # whether it became the champion, where that was judged
    UniqueConstraint("project", "name", "version"),
)

champions = Table(
    "champions",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("promoted_at", String(32), nullable=False),
    Column("reason", String(2000)),
    Column("actor", String(200)),  # who promoted it by hand
)

schedules = Table(
    "schedules",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("project", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("group_id", String(40)),
    Column("name", String(200), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("on", String(20), nullable=False),  # cron | new_data | drift
    Column("cron", String(200)),  # as it was written
    Column("timezone", String(64), nullable=False),
    Column("job", JSON, nullable=False),  # a job's body, with what a due time fills in still open
    Column("overlap_policy", String(20), nullable=False),
    Column("catch_up", String(20), nullable=False),
    Column("catch_up_window_seconds", Integer, nullable=False),
    Column("on_unchanged_data", String(20), nullable=False),
    Column("cool_down_seconds", Integer, nullable=False),
    Column("drift", JSON(none_as_null=True)),
    Column("check", JSON(none_as_null=True)),
    Column("promotion", JSON(none_as_null=True)),
    Column("notify", JSON(none_as_null=True)),
    Column("paused", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),  # one more with every edit
    Column("next_due_at", String(32)),  # the first due time that is not in the ledger; null where there is none
    Column("seen_dataset", Integer, nullable=False),  # the newest version (sequence) that was taken or compared
    Column("seen_champion", Integer, nullable=False),  # on: drift: the champion that it was compared with
    UniqueConstraint("project", "name"),
    Index("ix_schedules_next_due_at", "next_due_at"),
)

firings = Table(
    "firings",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("schedule_id", String(40), ForeignKey("schedules.id", ondelete="CASCADE"), nullable=False),
    Column("due_at", String(32), nullable=False),
    Column("due_times", Integer),  # how many the row stands for; null where they were too many to count
    Column("fired_at", String(32), nullable=False),
    Column("triggered_by", String(20), nullable=False),  # cron | user | new_data | drift | backfill
    Column("outcome", String(20), nullable=False),
    Column("reason", String(2000)),
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="SET NULL")),
    Column("backfill", Boolean, nullable=False),
    Column("actor", String(200)),  # who asked for it by hand; null where its schedule did
    Index("uq_firings_schedule_id_due_at", "schedule_id", "due_at", unique=True),  # a due time fires once
    Index("ix_firings_job_id", "job_id"),
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("schedule_id", String(40), ForeignKey("schedules.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("due_times", JSON, nullable=False),  # that it makes up for
    Index("ix_backfills_schedule_id", "schedule_id"),
)

tracking = Table(
    "tracking",
    metadata,
    Column("job_id", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("experiment_id", String(64)),
    Column("run_id", String(64)),
    Column("run_url", String(1000)),
    Column("model_version", String(20)),
    Column("last_epoch", Integer, nullable=False),  # MLflow has every point up to here
    Column("described", Boolean, nullable=False),  # parameters, tags and the dataset are there
    Column("finished", Boolean, nullable=False),  # artifacts, model and final status are there
    Column("error", String(2000)),
    Index("ix_tracking_finished", "finished"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("actor", String(200), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("object_id", String(40), nullable=False),
    Column("created_at", String(32), nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),  # receivers know a repeated one by it
    Column("project", String(200), nullable=False),
    Column("object_id", String(40), nullable=False),  # of the job or the schedule that it is about
    Column("event", String(40), nullable=False),
    Column("url", String(2000), nullable=False),
    Column("secret_env", String(200), nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", String(32)),  # null once it is delivered or given up
    Column("delivered_at", String(32)),
    Column("error", String(2000)),  # of the last attempt
    Index("ix_notifications_next_attempt_at", "next_attempt_at"),
    Index("ix_notifications_object_id", "object_id"),
)

components = Table(
    "components",
    metadata,
    Column("name", String(40), primary_key=True),  # dispatcher, cluster, tracker, mlflow
    Column("status", String(20), nullable=False),  # ok | degraded
    Column("details", JSON, nullable=False),
    Column("reported_at", String(32), nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("owner", String(100), nullable=False),
    Column("counter", Integer, nullable=False),
)
