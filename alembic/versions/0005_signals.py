"""Signals with what became of them, the texts and candles behind them, and the performance of theories."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = (
    "snapshots",
    "candles",
    "candle_series",
    "text_bases",
    "signal_texts",
    "theory_performance",
    "signal_results",
    "signals",
)
EMITTED = sa.text("book = 'primary' AND direction <> 'HOLD'")

REQUIRED_TEXTS = ("id", "symbol", "direction", "reasoning", "strategy", "account", "book", "interval", "mode")
MORE_REQUIRED_TEXTS = ("runtime_mode", "synthesis", "synthesis_reason", "source", "vetoes", "degradations", "snapshots")
OPTIONAL_TEXTS = ("tier", "signal_variant", "idempotency_key", "entry", "stop", "target", "quantity", "lots")
MORE_OPTIONAL_TEXTS = ("risk_usd", "size_limit", "price")

TAKEN = sa.text("executed_at IS NOT NULL")

# all but `executed`, which may become true, and when it did
FIXED = (
    *("audit_seq", *REQUIRED_TEXTS, *MORE_REQUIRED_TEXTS, *OPTIONAL_TEXTS, *MORE_OPTIONAL_TEXTS),
    *("timestamp", "confidence", "calibrated_confidence", "threshold", "slot", "as_of", "window_length", "stop_first"),
    *("change_24h_percent", "ftmo_compliant", "degraded", "synthetic", "coverage", "cost_units", "detail"),
    "created_at",
)
UNDONE = (
    "(OLD.executed AND NOT NEW.executed) OR (OLD.executed_at IS NOT NULL "
    "AND (NEW.executed_at IS NULL OR NEW.executed_at <> OLD.executed_at))"
)
# which stored row a new one would silently replace on SQLite: REPLACE asks no DELETE trigger
REPLACED = {
    "signals": "SELECT 1 FROM signals WHERE id = NEW.id OR audit_seq = NEW.audit_seq "
    "OR (account = NEW.account AND symbol = NEW.symbol AND slot = NEW.slot "
    "AND (strategy = NEW.strategy AND variant_key = coalesce(NEW.signal_variant, '') "
    "OR book = 'primary' AND direction <> 'HOLD' AND NEW.book = 'primary' AND NEW.direction <> 'HOLD'))",
    "signal_results": "SELECT 1 FROM signal_results WHERE signal_id = NEW.signal_id",
}


def upgrade() -> None:
    """Eight tables, and the triggers that refuse every change of a decision and of its result."""
    _create_signals()
    _create_outcomes()
    _create_texts()
    _create_candles()
    sqlite = op.get_context().dialect.name == "sqlite"
    for statement in _sqlite_triggers() if sqlite else _postgresql_triggers():
        op.execute(statement)


def downgrade() -> None:
    """Remove all of it; the triggers go with their tables."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_signal_change()")


def _instant() -> sa.types.TypeEngine[datetime]:
    return sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")


def _large() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _texts(*names: str, nullable: bool) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _create_signals() -> None:
    op.create_table(
        "signals",
        sa.Column("audit_seq", _large(), autoincrement=False, nullable=False),
        *_texts("id", nullable=False),
        sa.Column("timestamp", _instant(), nullable=False),
        *_texts("symbol", "direction", nullable=False),
        sa.Column("signal_type", sa.Text(), sa.Computed("direction", persisted=True)),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("calibrated_confidence", sa.Double()),
        sa.Column("threshold", sa.Double(), nullable=False),
        *_texts("reasoning", nullable=False),
        *_texts("tier", "signal_variant", nullable=True),
        sa.Column("variant_key", sa.Text(), sa.Computed("coalesce(signal_variant, '')", persisted=True)),
        *_texts("strategy", "account", "book", nullable=False),
        sa.Column("slot", _instant()),
        *_texts("idempotency_key", nullable=True),
        sa.Column("as_of", _instant()),
        *_texts("interval", nullable=False),
        sa.Column("window_length", sa.Integer(), nullable=False),
        *_texts("mode", "runtime_mode", "synthesis", "synthesis_reason", nullable=False),
        *_texts("entry", "stop", "target", nullable=True),
        sa.Column("stop_first", sa.Double()),
        *_texts("quantity", "lots", "risk_usd", "size_limit", "price", nullable=True),
        sa.Column("change_24h_percent", sa.Double()),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("ftmo_compliant", "executed")),
        sa.Column("executed_at", _instant()),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("degraded", "synthetic")),
        *_texts("source", nullable=False),
        sa.Column("coverage", sa.Double(), nullable=False),
        sa.Column("cost_units", _large(), nullable=False),
        *_texts("vetoes", "degradations", "snapshots", nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("audit_seq", name=op.f("pk_signals")),
        sa.UniqueConstraint("id", name=op.f("uq_signals_id")),
        sa.UniqueConstraint(
            *("account", "symbol", "slot", "strategy", "variant_key"),
            name=op.f("uq_signals_account_symbol_slot_strategy_variant_key"),
        ),
        *_signal_rules(),
    )
    emitted = ["account", "symbol", "slot"]
    op.create_index(
        "uq_signals_emitted", "signals", emitted, unique=True, sqlite_where=EMITTED, postgresql_where=EMITTED
    )
    op.create_index("ix_signals_timestamp", "signals", ["timestamp"])
    taken = ["account", "executed_at"]
    op.create_index("ix_signals_account_executed_at", "signals", taken, sqlite_where=TAKEN, postgresql_where=TAKEN)
    op.create_index("ix_signals_symbol_audit_seq", "signals", ["symbol", "audit_seq"])


def _signal_rules() -> list[sa.CheckConstraint]:
    rules = {
        "direction": "direction IN ('BUY', 'SELL', 'HOLD')",
        "confidence": "confidence BETWEEN 0 AND 1",
        "tier": "tier IN ('high', 'medium', 'low')",
        "book": "book IN ('primary', 'shadow')",
        "origin": "slot IS NOT NULL OR idempotency_key IS NOT NULL",
        "levels": "(direction = 'HOLD') = (entry IS NULL) AND (entry IS NULL) = (stop IS NULL) "
        "AND (entry IS NULL) = (target IS NULL)",
        "cost_units": "cost_units >= 0",
    }
    return [sa.CheckConstraint(rule, name=op.f(f"ck_signals_{name}")) for name, rule in rules.items()]


def _create_outcomes() -> None:
    outcomes = "outcome IN ('win', 'loss', 'breakeven', 'expired', 'cancelled')"
    op.create_table(
        "signal_results",
        *_texts("signal_id", "outcome", nullable=False),
        sa.Column("pnl_percent", sa.Double(), nullable=False),
        sa.Column("pnl_units", _large()),
        sa.Column("exit_price", sa.Text()),
        sa.Column("closed_at", _instant(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_signal_results")),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_signal_results_signal_id")),
        sa.CheckConstraint(outcomes, name=op.f("ck_signal_results_outcome")),
    )
    op.create_table(
        "theory_performance",
        *_texts("theory", "symbol", nullable=False),
        sa.Column("computed_at", _instant(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("hit_fraction", "hit_low", "hit_high", "contribution_percent")),
        sa.PrimaryKeyConstraint("theory", "symbol", "computed_at", name=op.f("pk_theory_performance")),
        sa.CheckConstraint("hits BETWEEN 0 AND votes", name=op.f("ck_theory_performance_hits")),
    )


def _create_texts() -> None:
    op.create_table(
        "signal_texts",
        sa.Column("signal_seq", _large(), nullable=False),
        *_texts("kind", nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary()),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("signal_seq", "kind", "part", name=op.f("pk_signal_texts")),
        sa.ForeignKeyConstraint(["signal_seq"], ["signals.audit_seq"], name=op.f("fk_signal_texts_signal_seq")),
        sa.CheckConstraint("(part = 0) = (sha256 IS NOT NULL)", name=op.f("ck_signal_texts_sha256")),
    )
    op.create_table(
        "text_bases",
        *_texts("kind", "day", nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "day", name=op.f("pk_text_bases")),
    )


def _create_candles() -> None:
    op.create_table(
        "candle_series",
        sa.Column("id", _large(), sa.Identity(always=True), nullable=False),
        *_texts("identity", "symbol", "interval", nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candle_series")),
        sa.UniqueConstraint("identity", "symbol", "interval", name=op.f("uq_candle_series_identity_symbol_interval")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "candles",
        sa.Column("series_id", _large(), nullable=False),
        sa.Column("open_ms", _large(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("open", "high", "low", "close", "volume")),
        sa.PrimaryKeyConstraint("series_id", "open_ms", "revision", name=op.f("pk_candles")),
        sa.ForeignKeyConstraint(["series_id"], ["candle_series.id"], name=op.f("fk_candles_series_id")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshots",
        sa.Column("id", _large(), sa.Identity(always=True), nullable=False),
        sa.Column("series_id", _large(), nullable=False),
        sa.Column("first_ms", _large(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.ForeignKeyConstraint(["series_id"], ["candle_series.id"], name=op.f("fk_snapshots_series_id")),
        sa.UniqueConstraint(
            *("series_id", "first_ms", "length", "revision"),
            name=op.f("uq_snapshots_series_id_first_ms_length_revision"),
        ),
        sqlite_autoincrement=True,
    )


def _sqlite_triggers() -> list[str]:
    fixed = ", ".join(FIXED)
    events = [
        ("signals", "update", f"UPDATE OF {fixed} ON signals"),
        ("signals", "executed", f"UPDATE OF executed, executed_at ON signals WHEN {UNDONE}"),
        ("signal_results", "update", "UPDATE ON signal_results"),
    ]
    for table, same in REPLACED.items():
        events.append((table, "delete", f"DELETE ON {table}"))
        events.append((table, "replace", f"INSERT ON {table} WHEN EXISTS ({same})"))
    return [
        f"CREATE TRIGGER {table}_{name} BEFORE {event} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table, name, event in events
    ]


def _postgresql_triggers() -> list[str]:
    refuse = "EXECUTE FUNCTION refuse_signal_change()"
    executed = f"BEFORE UPDATE OF executed, executed_at ON signals FOR EACH ROW WHEN ({UNDONE})"
    return [
        "CREATE FUNCTION refuse_signal_change() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
        f"CREATE TRIGGER signals_update BEFORE UPDATE OF {', '.join(FIXED)} ON signals FOR EACH STATEMENT {refuse}",
        f"CREATE TRIGGER signals_executed {executed} {refuse}",
        f"CREATE TRIGGER signals_kept BEFORE DELETE OR TRUNCATE ON signals FOR EACH STATEMENT {refuse}",
        "CREATE TRIGGER signal_results_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signal_results "
        f"FOR EACH STATEMENT {refuse}",
    ]
