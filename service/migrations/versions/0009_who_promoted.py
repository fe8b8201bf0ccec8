"""Who made a version the champion by hand."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("champions", sa.Column("actor", sa.String(length=200)))


def downgrade() -> None:
    op.drop_column("champions", "actor")
