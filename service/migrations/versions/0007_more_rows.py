"""Counts of rows beyond 2 147 483 647 on PostgreSQL. SQLite's integers are long enough as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0003"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for column in ("rows", "rejected_rows"):
            op.alter_column("datasets", column, existing_type=sa.Integer(), type_=sa.BigInteger())


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for column in ("rows", "rejected_rows"):
            op.alter_column("datasets", column, existing_type=sa.BigInteger(), type_=sa.Integer())
