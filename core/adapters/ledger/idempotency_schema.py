"""The table of idempotency keys as the code uses it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from core.adapters.ledger.columns import Instant, LargeInteger, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("operation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("leased_ms", LargeInteger, nullable=False),  # of the steady clock: when the owner began
    Column("answer", LargeBinary),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("operation", "key"),
    CheckConstraint("length(key) BETWEEN 1 AND 255", name="key"),
    CheckConstraint("length(body_sha256) = 64", name="body_sha256"),
    # a released key may be taken at once, a started one after its lease, a done one never
    CheckConstraint("state IN ('started', 'released', 'done')", name="state"),
    CheckConstraint("(state = 'done') = (answer IS NOT NULL)", name="answer"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
