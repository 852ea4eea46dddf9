"""The performance of theories with its account, what it rests on, and an interval; nothing was stored before."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "theory_performance"
HITS = ("hit_fraction", "hit_low", "hit_high")


def upgrade() -> None:
    """The table anew: its key begins with the account, which SQLite cannot add to a table that is there."""
    op.drop_table(TABLE)
    op.create_table(
        TABLE,
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("account", "theory", "symbol")),
        sa.Column("computed_at", _instant(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("trades", "decisions", "votes", "hits")),
        *(sa.Column(name, sa.Double()) for name in HITS),
        *(sa.Column(f"contribution_{name}", sa.Double()) for name in ("percent", "low", "high")),
        sa.Column("role", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "theory", "symbol", "computed_at", name=op.f("pk_theory_performance")),
        sa.CheckConstraint("hits BETWEEN 0 AND votes", name=op.f("ck_theory_performance_hits")),
        sa.CheckConstraint("trades BETWEEN 0 AND decisions", name=op.f("ck_theory_performance_trades")),
    )


def downgrade() -> None:
    """The table as it was; what it holds can be computed again."""
    op.drop_table(TABLE)
    op.create_table(
        TABLE,
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("theory", "symbol")),
        sa.Column("computed_at", _instant(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("votes", "hits")),
        *(sa.Column(name, sa.Double()) for name in (*HITS, "contribution_percent")),
        sa.PrimaryKeyConstraint("theory", "symbol", "computed_at", name=op.f("pk_theory_performance")),
        sa.CheckConstraint("hits BETWEEN 0 AND votes", name=op.f("ck_theory_performance_hits")),
    )


def _instant() -> sa.types.TypeEngine[datetime]:
    return sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")
