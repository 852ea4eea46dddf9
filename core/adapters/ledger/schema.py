"""The tables of the ledger as the code uses them. The migrations make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Identity, Integer, Table, Text

from core.adapters.ledger.columns import Instant, LargeInteger, metadata
from core.adapters.ledger.forecasts_schema import FORECAST_TABLES
from core.adapters.ledger.idempotency_schema import idempotency_keys
from core.adapters.ledger.risk_schema import RISK_TABLES
from core.adapters.ledger.signals.schema import SIGNAL_TABLES
from core.adapters.ledger.spend_schema import SPEND_TABLES

runs = Table(
    "runs",
    metadata,
    Column("id", LargeInteger, Identity(always=True), primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("version", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("settings_sha256", Text, nullable=False),
    Column("data_provider", Text, nullable=False),
    Column("runtime_mode", Text, nullable=False),
    CheckConstraint("length(settings_sha256) = 64", name="settings_sha256"),
    sqlite_autoincrement=True,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", LargeInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("seq >= 1", name="seq"),
    CheckConstraint("length(previous_hash) = 64", name="previous_hash"),
    CheckConstraint("length(hash) = 64", name="hash"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", LargeInteger, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

TABLES = (runs, audit_log, audit_head, *RISK_TABLES, *SPEND_TABLES, idempotency_keys, *SIGNAL_TABLES, *FORECAST_TABLES)
