"""Names by their letters whatever the case, so that a publish does not read all of them to find its twins."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_package_spelling", "package", ["repository_id", sa.text('name COLLATE "NOCASE"')])
