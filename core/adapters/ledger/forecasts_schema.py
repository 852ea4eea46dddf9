"""The tables of what models said on live windows, and what came.

Ten coins and three models are thousands of rows a day, so a row is a few small whole numbers: a number for model and
symbol, the minute since 1970, probabilities and the move in millionths.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.adapters.ledger.columns import metadata

AWAITED = text("came IS NULL AND probability_millionths IS NOT NULL")

forecast_sources = Table(
    "forecast_sources",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("identity", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("horizon_minutes", Integer, nullable=False),
    UniqueConstraint("version", "symbol", "identity", "horizon_minutes"),
    CheckConstraint("horizon_minutes >= 1", name="horizon_minutes"),
    sqlite_autoincrement=True,
)

forecasts = Table(
    "forecasts",
    metadata,
    Column("source_id", Integer, ForeignKey("forecast_sources.id"), nullable=False),
    Column("minute", Integer, nullable=False),  # since 1970, of the close of the last minute that was read
    Column("candidate", Boolean, nullable=False),
    Column("probability_millionths", Integer),  # absent: it was silent
    Column("calibrated_millionths", Integer),
    Column("came", SmallInteger),  # 1 up, 0 not up, -1 nobody will know; absent: it is awaited, or it was silent
    Column("move_millionths", Integer),
    PrimaryKeyConstraint("source_id", "minute"),
    CheckConstraint("probability_millionths BETWEEN 0 AND 1000000", name="probability"),
    CheckConstraint("calibrated_millionths BETWEEN 0 AND 1000000", name="calibrated"),
    CheckConstraint("came BETWEEN -1 AND 1", name="came"),
    Index("ix_forecasts_awaited", "minute", sqlite_where=AWAITED, postgresql_where=AWAITED),
    sqlite_with_rowid=False,
)

FORECAST_TABLES = (forecast_sources, forecasts)
