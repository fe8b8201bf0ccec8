"""Whether a job may go on with another BLAS kernel or instruction set than it began with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    accepts: sa.Column[bool] = sa.Column(
        "accept_other_numerics", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("jobs", accepts)


def downgrade() -> None:
    op.drop_column("jobs", "accept_other_numerics")
