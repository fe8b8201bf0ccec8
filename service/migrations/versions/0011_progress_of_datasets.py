"""How far a dataset is fetched or read."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("progress", sa.JSON()))


def downgrade() -> None:
    op.drop_column("datasets", "progress")
