"""When a package changed last, as a generation, so that what follows a repository reads only what is new."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("package") as batch:
        batch.add_column(sa.Column("changed", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_package_repository_id_changed", "package", ["repository_id", "changed"])
