"""Starts of the server, and the append-only audit log with its head."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GENESIS = "0" * 64

APPEND_ONLY_SQLITE = (
    "CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log "
    "BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END",
    "CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log "
    "BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END",
    # REPLACE removes the old row without asking the DELETE trigger
    "CREATE TRIGGER audit_log_replace BEFORE INSERT ON audit_log "
    "WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq) "
    "BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END",
)

APPEND_ONLY_POSTGRESQL = (
    "CREATE FUNCTION refuse_audit_log_change() RETURNS trigger LANGUAGE plpgsql "
    "AS $$ BEGIN RAISE EXCEPTION 'audit_log is append-only'; END $$",
    "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_log_change()",
)


def upgrade() -> None:
    """Three tables, the first head, and the triggers that refuse every change of the log."""
    instant = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")
    large_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "runs",
        sa.Column("id", large_integer, sa.Identity(always=True), nullable=False),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("settings_sha256", sa.Text(), nullable=False),
        sa.Column("data_provider", sa.Text(), nullable=False),
        sa.Column("runtime_mode", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.CheckConstraint("length(settings_sha256) = 64", name=op.f("ck_runs_settings_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_log",
        sa.Column("seq", large_integer, autoincrement=False, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_audit_log_seq")),
        sa.CheckConstraint("length(previous_hash) = 64", name=op.f("ck_audit_log_previous_hash")),
        sa.CheckConstraint("length(hash) = 64", name=op.f("ck_audit_log_hash")),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", large_integer, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": GENESIS}])
    sqlite = op.get_context().dialect.name == "sqlite"
    for statement in APPEND_ONLY_SQLITE if sqlite else APPEND_ONLY_POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Remove all of it; the triggers go with their table."""
    for table in ("audit_head", "audit_log", "runs"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_audit_log_change()")
