"""The tables of decisions as the code uses them: signals, what became of them, and the texts and candles behind them.

`audit_seq` numbers signals in the order of their commits and without overtaking: it is the key that streams resume
from, and the short name under which other tables know a signal.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.adapters.ledger.columns import Instant, LargeInteger, metadata

EMITTED = text("book = 'primary' AND direction <> 'HOLD'")
TAKEN = text("executed_at IS NOT NULL")

signals = Table(
    "signals",
    metadata,
    Column("audit_seq", LargeInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("timestamp", Instant, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("signal_type", Text, Computed("direction", persisted=True)),
    Column("confidence", Double, nullable=False),
    Column("calibrated_confidence", Double),
    Column("threshold", Double, nullable=False),
    Column("reasoning", Text, nullable=False),
    Column("tier", Text),
    Column("signal_variant", Text),
    # NULL differs from NULL in a unique key, and a row of the rule alone must be unique too
    Column("variant_key", Text, Computed("coalesce(signal_variant, '')", persisted=True)),
    Column("strategy", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("slot", Instant),
    Column("idempotency_key", Text),
    Column("as_of", Instant),
    Column("interval", Text, nullable=False),
    Column("window_length", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("runtime_mode", Text, nullable=False),
    Column("synthesis", Text, nullable=False),
    Column("synthesis_reason", Text, nullable=False),
    Column("entry", Text),
    Column("stop", Text),
    Column("target", Text),
    Column("stop_first", Double),
    Column("quantity", Text),
    Column("lots", Text),
    Column("risk_usd", Text),
    Column("size_limit", Text),
    Column("price", Text),
    Column("change_24h_percent", Double),
    Column("ftmo_compliant", Boolean, nullable=False),
    Column("executed", Boolean, nullable=False),
    Column("executed_at", Instant),
    Column("degraded", Boolean, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("coverage", Double, nullable=False),
    Column("cost_units", LargeInteger, nullable=False),  # of the language model, in 1e-8 US dollars, rounded up
    Column("vetoes", Text, nullable=False),
    Column("degradations", Text, nullable=False),
    Column("snapshots", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),  # votes, versions, timings, use of the model
    Column("created_at", Instant, nullable=False),
    Column("ensemble", Text),
    Column("models", Text),  # the versions that had a part, with a space between them
    UniqueConstraint("id"),
    UniqueConstraint("account", "symbol", "slot", "strategy", "variant_key"),
    CheckConstraint("direction IN ('BUY', 'SELL', 'HOLD')", name="direction"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
    CheckConstraint("tier IN ('high', 'medium', 'low')", name="tier"),
    CheckConstraint("book IN ('primary', 'shadow')", name="book"),
    CheckConstraint("slot IS NOT NULL OR idempotency_key IS NOT NULL", name="origin"),
    CheckConstraint(
        "(direction = 'HOLD') = (entry IS NULL) AND (entry IS NULL) = (stop IS NULL) "
        "AND (entry IS NULL) = (target IS NULL)",
        name="levels",
    ),
    CheckConstraint("cost_units >= 0", name="cost_units"),
    Index(
        "uq_signals_emitted",
        "account",
        "symbol",
        "slot",
        unique=True,
        sqlite_where=EMITTED,
        postgresql_where=EMITTED,
    ),
    Index("ix_signals_timestamp", "timestamp"),
    Index("ix_signals_account_executed_at", "account", "executed_at", sqlite_where=TAKEN, postgresql_where=TAKEN),
    Index("ix_signals_symbol_audit_seq", "symbol", "audit_seq"),
)

signal_results = Table(
    "signal_results",
    metadata,
    Column("signal_id", Text, ForeignKey("signals.id"), primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("pnl_percent", Double, nullable=False),
    Column("pnl_units", LargeInteger),
    Column("exit_price", Text),
    Column("closed_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("outcome IN ('win', 'loss', 'breakeven', 'expired', 'cancelled')", name="outcome"),
)

theory_performance = Table(
    "theory_performance",
    metadata,
    Column("account", Text, nullable=False),
    Column("theory", Text, nullable=False),
    Column("symbol", Text, nullable=False),  # ALL: every symbol together
    Column("computed_at", Instant, nullable=False),
    Column("trades", Integer, nullable=False),
    Column("decisions", Integer, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("hit_fraction", Double),
    Column("hit_low", Double),
    Column("hit_high", Double),
    Column("contribution_percent", Double),
    Column("contribution_low", Double),
    Column("contribution_high", Double),
    Column("role", Text, nullable=False),
    PrimaryKeyConstraint("account", "theory", "symbol", "computed_at"),
    CheckConstraint("hits BETWEEN 0 AND votes", name="hits"),
    CheckConstraint("trades BETWEEN 0 AND decisions", name="trades"),
)

signal_texts = Table(
    "signal_texts",
    metadata,
    Column("signal_seq", LargeInteger, ForeignKey("signals.audit_seq"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("part", Integer, nullable=False),
    Column("sha256", LargeBinary),
    Column("packed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("signal_seq", "kind", "part"),
    CheckConstraint("(part = 0) = (sha256 IS NOT NULL)", name="sha256"),
)

text_bases = Table(
    "text_bases",
    metadata,
    Column("kind", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("kind", "day"),
)

candle_series = Table(
    "candle_series",
    metadata,
    Column("id", LargeInteger, Identity(always=True), primary_key=True),
    Column("identity", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    UniqueConstraint("identity", "symbol", "interval"),
    sqlite_autoincrement=True,
)

candles = Table(
    "candles",
    metadata,
    Column("series_id", LargeInteger, ForeignKey("candle_series.id"), nullable=False),
    Column("open_ms", LargeInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("open", "high", "low", "close", "volume")),
    PrimaryKeyConstraint("series_id", "open_ms", "revision"),
    sqlite_with_rowid=False,
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", LargeInteger, Identity(always=True), primary_key=True),
    Column("series_id", LargeInteger, ForeignKey("candle_series.id"), nullable=False),
    Column("first_ms", LargeInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("used_at", Instant, nullable=False),
    UniqueConstraint("series_id", "first_ms", "length", "revision"),
    sqlite_autoincrement=True,
)

SIGNAL_TABLES = (
    signals,
    signal_results,
    theory_performance,
    signal_texts,
    text_bases,
    candle_series,
    candles,
    snapshots,
)
