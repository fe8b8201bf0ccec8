"""Where a dataset is to be fetched from, and which dataset one turned out to be whose content was known already."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("uri", sa.String(length=2000)))
    op.create_table(
        "merged_datasets",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_merged_datasets_dataset_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_merged_datasets"),
    )


def downgrade() -> None:
    op.drop_table("merged_datasets")
    op.drop_column("datasets", "uri")
