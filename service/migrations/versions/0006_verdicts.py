"""What was decided about a retrained model and the champion, on its job and on its version."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("verdict", sa.JSON()))
    op.add_column("models", sa.Column("verdict", sa.JSON()))


def downgrade() -> None:
    op.drop_column("models", "verdict")
    op.drop_column("jobs", "verdict")
