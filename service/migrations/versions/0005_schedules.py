"""Schedules, and the ledger of their due times: at most one row for a schedule and a due time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    _make_schedules()
    _make_firings()


def downgrade() -> None:
    op.drop_table("firings")
    op.drop_table("schedules")


def _make_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("group_id", sa.String(length=40)),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("on", sa.String(length=20), nullable=False),
        sa.Column("cron", sa.String(length=200)),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("job", sa.JSON(), nullable=False),
        sa.Column("overlap_policy", sa.String(length=20), nullable=False),
        sa.Column("catch_up", sa.String(length=20), nullable=False),
        sa.Column("catch_up_window_seconds", sa.Integer(), nullable=False),
        sa.Column("on_unchanged_data", sa.String(length=20), nullable=False),
        sa.Column("cool_down_seconds", sa.Integer(), nullable=False),
        sa.Column("drift", sa.JSON()),
        sa.Column("check", sa.JSON()),
        sa.Column("promotion", sa.JSON()),
        sa.Column("notify", sa.JSON()),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("next_due_at", sa.String(length=32)),
        sa.Column("seen_dataset", sa.Integer(), nullable=False),
        sa.Column("seen_champion", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_schedules"),
        sa.UniqueConstraint("id", name="uq_schedules_id"),
        sa.UniqueConstraint("project", "name", name="uq_schedules_project_name"),
    )
    op.create_index("ix_schedules_next_due_at", "schedules", ["next_due_at"])


def _make_firings() -> None:
    op.create_table(
        "firings",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("schedule_id", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.String(length=32), nullable=False),
        sa.Column("due_times", sa.Integer()),
        sa.Column("fired_at", sa.String(length=32), nullable=False),
        sa.Column("triggered_by", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=2000)),
        sa.Column("job_id", sa.String(length=40)),
        sa.Column("backfill", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_firings_job_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_firings_schedule_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sequence", name="pk_firings"),
        sa.UniqueConstraint("id", name="uq_firings_id"),
    )
    op.create_index("uq_firings_schedule_id_due_at", "firings", ["schedule_id", "due_at"], unique=True)
    op.create_index("ix_firings_job_id", "firings", ["job_id"])
