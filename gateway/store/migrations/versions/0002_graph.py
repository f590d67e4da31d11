"""Documents that are named by their digest and name others: nodes, edges, links to blobs, pointers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("pushed_at", sa.Float(), nullable=False),
        sa.Column("pushed_by", sa.Text(), nullable=False),
        sa.Column("pulled_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["package_id"], ["package.id"], name=op.f("fk_node_package_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
        sa.UniqueConstraint("package_id", "digest", name=op.f("uq_node_package_id_digest")),
    )
    op.create_index(op.f("ix_node_sha256"), "node", ["sha256"])
    op.create_index("ix_node_package_id_subject", "node", ["package_id", "subject"])
    op.create_table(
        "edge",
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_edge_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", "digest", name=op.f("pk_edge")),
    )
    op.create_index("ix_edge_digest", "edge", ["digest"])
    op.create_table(
        "link",
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["package_id"], ["package.id"], name=op.f("fk_link_package_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("package_id", "digest", name=op.f("pk_link")),
    )
    op.create_index(op.f("ix_link_sha256"), "link", ["sha256"])
    op.create_table(
        "pointer",
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.Float(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["package_id"], ["package.id"], name=op.f("fk_pointer_package_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("package_id", "name", name=op.f("pk_pointer")),
    )
    op.create_index("ix_pointer_package_id_digest", "pointer", ["package_id", "digest"])
