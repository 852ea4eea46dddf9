"""The tables of what the language model has cost, in units of 1e-8 US dollars.

Reservations and settlements are only ever added. The totals are their sums, kept so that one row can be locked.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, Integer, Table, Text

from core.adapters.ledger.columns import Instant, LargeInteger, metadata

llm_reservations = Table(
    "llm_reservations",
    metadata,
    Column("id", LargeInteger, Identity(always=True), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("day", Text, nullable=False),  # UTC: the day and the month to which it belongs for ever
    Column("symbol", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("signal_id", Text),
    Column("units", LargeInteger, nullable=False),
    CheckConstraint("units >= 0", name="units"),
    CheckConstraint("length(day) = 10", name="day"),
    Index("ix_llm_reservations_day", "day"),
    Index("ix_llm_reservations_signal_id", "signal_id"),
    sqlite_autoincrement=True,
)

llm_settlements = Table(
    "llm_settlements",
    metadata,
    Column("reservation_id", LargeInteger, ForeignKey("llm_reservations.id"), primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("units", LargeInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    CheckConstraint("units >= 0", name="units"),
    CheckConstraint("outcome IN ('settled', 'abandoned', 'expired')", name="outcome"),
)

llm_totals = Table(
    "llm_totals",
    metadata,
    Column("period", Text, primary_key=True),  # a month (2026-11) or a day (2026-11-21), UTC
    Column("units", LargeInteger, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("alarmed_at", Instant),
    CheckConstraint("units >= 0", name="units"),
    CheckConstraint("length(period) IN (7, 10)", name="period"),
)

SPEND_TABLES = (llm_reservations, llm_settlements, llm_totals)
