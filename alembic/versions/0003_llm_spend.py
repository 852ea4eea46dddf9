"""What the language model has cost: reservations, settlements, and the totals of days and months."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# table -> its key; on SQLite REPLACE would take a stored row away without asking the DELETE trigger
APPEND_ONLY = {"llm_reservations": "id", "llm_settlements": "reservation_id"}


def upgrade() -> None:
    """Three tables, and the triggers that refuse every rewriting of the first two."""
    op.create_table(
        "llm_reservations",
        sa.Column("id", _large(), sa.Identity(always=True), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text()),
        sa.Column("units", _large(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_reservations")),
        sa.CheckConstraint("units >= 0", name=op.f("ck_llm_reservations_units")),
        sa.CheckConstraint("length(day) = 10", name=op.f("ck_llm_reservations_day")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_llm_reservations_day", "llm_reservations", ["day"])
    op.create_index("ix_llm_reservations_signal_id", "llm_reservations", ["signal_id"])
    reservation = op.f("fk_llm_settlements_reservation_id")
    op.create_table(
        "llm_settlements",
        sa.Column("reservation_id", _large(), autoincrement=False, nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("units", _large(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("reservation_id", name=op.f("pk_llm_settlements")),
        sa.ForeignKeyConstraint(["reservation_id"], ["llm_reservations.id"], name=reservation),
        sa.CheckConstraint("units >= 0", name=op.f("ck_llm_settlements_units")),
        sa.CheckConstraint("outcome IN ('settled', 'abandoned', 'expired')", name=op.f("ck_llm_settlements_outcome")),
    )
    op.create_table(
        "llm_totals",
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("units", _large(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("alarmed_at", _instant()),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_llm_totals")),
        sa.CheckConstraint("units >= 0", name=op.f("ck_llm_totals_units")),
        sa.CheckConstraint("length(period) IN (7, 10)", name=op.f("ck_llm_totals_period")),
    )
    sqlite = op.get_context().dialect.name == "sqlite"
    for statement in _sqlite_triggers() if sqlite else _postgresql_triggers():
        op.execute(statement)


def downgrade() -> None:
    """Remove all of it; the triggers go with their tables."""
    for table in ("llm_totals", "llm_settlements", "llm_reservations"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_spend_change()")


def _instant() -> sa.types.TypeEngine[datetime]:
    return sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")


def _large() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _sqlite_triggers() -> tuple[str, ...]:
    statements = []
    for table, key in APPEND_ONLY.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        exists = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608 - the texts above
        statements += [
            f"CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} {refuse}",
            f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} {refuse}",
            f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table} {exists} {refuse}",
        ]
    return tuple(statements)


def _postgresql_triggers() -> tuple[str, ...]:
    function = (
        "CREATE FUNCTION refuse_spend_change() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    triggers = (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_spend_change()"
        for table in APPEND_ONLY
    )
    return (function, *triggers)
