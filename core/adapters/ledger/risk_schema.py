"""The tables of accounts, money, trades and limits as the code uses them.

Money stands in units of 1e-8 US dollars, prices and quantities as canonical decimal text.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from core.adapters.ledger.columns import Instant, LargeInteger, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("pack", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("initial_units", LargeInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("kind IN ('paper', 'reported')", name="kind"),
    CheckConstraint("book IN ('primary', 'shadow')", name="book"),
    CheckConstraint("initial_units > 0", name="initial_units"),
)

trades = Table(
    "trades",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("signal_id", Text),
    Column("symbol", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("stop_loss", Text),
    Column("take_profit", Text),
    Column("high_confidence", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_seq", LargeInteger, nullable=False),  # of the audit log, as the next two
    Column("expires_at", Instant),
    Column("opened_at", Instant),
    Column("opened_seq", LargeInteger),
    Column("opened_day", Text),
    Column("opened_price", Text),
    Column("closed_at", Instant),
    Column("closed_seq", LargeInteger),
    Column("closed_price", Text),
    Column("outcome", Text),
    Column("pnl_units", LargeInteger),
    UniqueConstraint("signal_id"),
    UniqueConstraint("created_seq"),
    CheckConstraint("direction IN ('BUY', 'SELL')", name="direction"),
    CheckConstraint("state IN ('pending', 'open', 'closed')", name="state"),
    CheckConstraint("outcome IN ('win', 'loss', 'breakeven', 'expired', 'cancelled')", name="outcome"),
    CheckConstraint(
        "(opened_at IS NULL) = (opened_price IS NULL) AND (opened_at IS NULL) = (opened_day IS NULL) "
        "AND (opened_at IS NULL) = (opened_seq IS NULL)",
        name="opened",
    ),
    CheckConstraint(
        "(state = 'closed') = (closed_at IS NOT NULL) AND (closed_at IS NULL) = (closed_seq IS NULL) "
        "AND (closed_at IS NULL) = (outcome IS NULL) AND (closed_at IS NULL) = (pnl_units IS NULL)",
        name="closed",
    ),
    # pending never was in the market, open is; what ended without having been there has no price and no result
    CheckConstraint(
        "(state <> 'pending' OR opened_at IS NULL) AND (state <> 'open' OR opened_at IS NOT NULL) "
        "AND (closed_price IS NULL OR opened_at IS NOT NULL)",
        name="life",
    ),
    Index("ix_trades_account_id_state_created_seq", "account_id", "state", "created_seq"),
    Index("ix_trades_account_id_opened_day_opened_at", "account_id", "opened_day", "opened_at"),
    Index("ix_trades_account_id_closed_at", "account_id", "closed_at"),
    Index("ix_trades_account_id_created_seq", "account_id", "created_seq"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("seq", LargeInteger, nullable=False),
    Column("entry_key", Text, nullable=False),  # names the event outside: booked again it is the same entry
    Column("at", Instant, nullable=False),
    Column("day", Text, nullable=False),  # of the firm's calendar
    Column("amount_units", LargeInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("trade_id", Text, ForeignKey("trades.id")),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "seq"),
    UniqueConstraint("account_id", "entry_key"),
    CheckConstraint("seq >= 1", name="seq"),
    CheckConstraint("kind IN ('result', 'commission', 'swap', 'adjustment')", name="kind"),
    # every result, fee and swap belongs to a trade; an adjustment to none
    CheckConstraint("(kind = 'adjustment') = (trade_id IS NULL)", name="trade"),
    Index("ix_ledger_entries_account_id_day_amount_units", "account_id", "day", "amount_units"),
    Index("ix_ledger_entries_trade_id", "trade_id"),
)

emissions = Table(
    "emissions",
    metadata,
    Column("signal_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("steady_ms", LargeInteger, nullable=False),
    Column("high_confidence", Boolean, nullable=False),
    Index("ix_emissions_account_id_steady_ms", "account_id", "steady_ms"),
)

latches = Table(
    "latches",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("seq", LargeInteger, nullable=False),
    Column("lifts", LargeInteger),  # None: it trips; else the number of the row that is lifted
    Column("kind", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("day", Text, nullable=False),
    Column("value_units", LargeInteger, nullable=False),
    Column("limit_units", LargeInteger, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "seq"),
    UniqueConstraint("account_id", "lifts"),
    ForeignKeyConstraint(["account_id", "lifts"], ["latches.account_id", "latches.seq"]),
    CheckConstraint("kind IN ('daily_stop', 'total_stop', 'breach')", name="kind"),
    CheckConstraint("lifts < seq", name="lifts"),
)

account_reports = Table(
    "account_reports",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("seq", LargeInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("balance_units", LargeInteger, nullable=False),
    Column("equity_units", LargeInteger, nullable=False),
    Column("midnight_balance_units", LargeInteger, nullable=False),
    Column("midnight_day", Text, nullable=False),
    Column("trading_days", Integer, nullable=False),
    Column("positions", Text, nullable=False),  # JSON: what was open then
    PrimaryKeyConstraint("account_id", "seq"),
    CheckConstraint("trading_days >= 0", name="trading_days"),
    Index("ix_account_reports_account_id_midnight_day_seq", "account_id", "midnight_day", "seq"),
)

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("level", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("level IN ('off', 'pause', 'halt')", name="level"),
)

RISK_TABLES = (accounts, trades, ledger_entries, emissions, latches, account_reports, kill_switch)
