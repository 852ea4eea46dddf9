"""Keys of idempotent calls, with the lease of the attempt that works on each and the answer once it is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table; its primary key is what makes a key one call."""
    instant = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")
    op.create_table(
        "idempotency_keys",
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("leased_ms", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("operation", "key", name=op.f("pk_idempotency_keys")),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name=op.f("ck_idempotency_keys_key")),
        sa.CheckConstraint("length(body_sha256) = 64", name=op.f("ck_idempotency_keys_body_sha256")),
        sa.CheckConstraint("state IN ('started', 'released', 'done')", name=op.f("ck_idempotency_keys_state")),
        sa.CheckConstraint("(state = 'done') = (answer IS NOT NULL)", name=op.f("ck_idempotency_keys_answer")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    """The index goes with its table."""
    op.drop_table("idempotency_keys")
