"""What each model said beside every decision, and what then came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

AWAITED = sa.text("came IS NULL AND probability_millionths IS NOT NULL")
KEY = ("version", "symbol", "identity", "horizon_minutes")
SHARES = {"probability": "probability_millionths", "calibrated": "calibrated_millionths"}


def upgrade() -> None:
    """Two tables; decisions of before have no forecasts."""
    op.create_table(
        "forecast_sources",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("identity", "symbol", "kind", "version")),
        sa.Column("horizon_minutes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_sources")),
        sa.UniqueConstraint(*KEY, name=op.f(f"uq_forecast_sources_{'_'.join(KEY)}")),
        sa.CheckConstraint("horizon_minutes >= 1", name=op.f("ck_forecast_sources_horizon_minutes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "forecasts",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer()) for name in SHARES.values()),
        sa.Column("came", sa.SmallInteger()),
        sa.Column("move_millionths", sa.Integer()),
        sa.PrimaryKeyConstraint("source_id", "minute", name=op.f("pk_forecasts")),
        sa.ForeignKeyConstraint(["source_id"], ["forecast_sources.id"], name=op.f("fk_forecasts_source_id")),
        *(
            sa.CheckConstraint(f"{column} BETWEEN 0 AND 1000000", name=op.f(f"ck_forecasts_{name}"))
            for name, column in SHARES.items()
        ),
        sa.CheckConstraint("came BETWEEN -1 AND 1", name=op.f("ck_forecasts_came")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_forecasts_awaited", "forecasts", ["minute"], sqlite_where=AWAITED, postgresql_where=AWAITED)


def downgrade() -> None:
    """What the models said is lost; the decisions stay."""
    op.drop_table("forecasts")
    op.drop_table("forecast_sources")
