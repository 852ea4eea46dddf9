"""What all tables of the ledger share: how they are named, and how an instant and a large number are kept."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import TIMESTAMP, BigInteger, Dialect, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from core.adapters.ledger.chain import instant_text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime: TIMESTAMPTZ on PostgreSQL, UTC text comparable with `datetime('now')` on SQLite.

    A naive datetime is refused: nobody can know which zone it meant.
    """

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """Text on SQLite, which has no type for instants."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Into the database."""
        if value is None:
            return None
        text = instant_text(value, field="timestamp")
        return text if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        """Out of the database, always in UTC."""
        if isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return None if value is None else value.astimezone(UTC)


# SQLite numbers rows by itself only when the key is called INTEGER
LargeInteger = BigInteger().with_variant(Integer(), "sqlite")
