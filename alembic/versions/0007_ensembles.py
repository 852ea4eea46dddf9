"""What the models said beside the decisions that rest on it, and which of them had a part."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = "signals"
COLUMNS = ("ensemble", "models")


def upgrade() -> None:
    """Two columns that are empty in every row that is there; their seals stay as they are."""
    for name in COLUMNS:
        op.add_column(TABLE, sa.Column(name, sa.Text()))


def downgrade() -> None:
    """What the models said is lost; the rows stay, and the seal of one that had it fits no more."""
    for name in reversed(COLUMNS):
        op.drop_column(TABLE, name)
