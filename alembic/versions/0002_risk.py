"""Accounts with their money, trades, emissions, latches and reports, and the kill switch."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# table -> which stored row a new one would silently replace on SQLite: REPLACE asks no DELETE trigger
APPEND_ONLY = {
    "ledger_entries": "account_id = NEW.account_id AND (seq = NEW.seq OR entry_key = NEW.entry_key)",
    "emissions": "signal_id = NEW.signal_id",
    "latches": "account_id = NEW.account_id AND (seq = NEW.seq OR lifts = NEW.lifts)",
    "account_reports": "account_id = NEW.account_id AND seq = NEW.seq",
}
ONE_TRADE = "id = NEW.id OR signal_id = NEW.signal_id OR created_seq = NEW.created_seq"
FINAL = "trades are never removed, and a closed one never changes"


def upgrade() -> None:
    """Seven tables, the switch seeded off, and the triggers that refuse every rewriting."""
    _create_accounts()
    _create_trades()
    _create_entries()
    _create_limits()
    _create_kill_switch()
    for statement in _sqlite_triggers() if op.get_context().dialect.name == "sqlite" else _postgresql_triggers():
        op.execute(statement)


def downgrade() -> None:
    """Remove all of it; the triggers go with their tables."""
    for table in ("kill_switch", "account_reports", "latches", "emissions", "ledger_entries", "trades", "accounts"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_ledger_change(), refuse_trade_change()")


def _instant() -> sa.types.TypeEngine[datetime]:
    return sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")


def _large() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _account(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f(f"fk_{table}_account_id"))
    return sa.Column("account_id", sa.Text(), nullable=False), key


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("initial_units", _large(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.CheckConstraint("kind IN ('paper', 'reported')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint("book IN ('primary', 'shadow')", name=op.f("ck_accounts_book")),
        sa.CheckConstraint("initial_units > 0", name=op.f("ck_accounts_initial_units")),
    )


def _create_trades() -> None:
    account, its_row = _account("trades")
    op.create_table(
        "trades",
        sa.Column("id", sa.Text(), nullable=False),
        account,
        sa.Column("signal_id", sa.Text()),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("symbol", "direction", "state", "quantity", "entry")),
        sa.Column("stop_loss", sa.Text()),
        sa.Column("take_profit", sa.Text()),
        sa.Column("high_confidence", sa.Boolean(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("created_seq", _large(), nullable=False),
        sa.Column("expires_at", _instant()),
        sa.Column("opened_at", _instant()),
        sa.Column("opened_seq", _large()),
        sa.Column("opened_day", sa.Text()),
        sa.Column("opened_price", sa.Text()),
        sa.Column("closed_at", _instant()),
        sa.Column("closed_seq", _large()),
        sa.Column("closed_price", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("pnl_units", _large()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trades")),
        its_row,
        sa.UniqueConstraint("signal_id", name=op.f("uq_trades_signal_id")),
        sa.UniqueConstraint("created_seq", name=op.f("uq_trades_created_seq")),
        *_trade_rules(),
    )
    op.create_index("ix_trades_account_id_opened_day_opened_at", "trades", ["account_id", "opened_day", "opened_at"])
    op.create_index("ix_trades_account_id_closed_at", "trades", ["account_id", "closed_at"])
    op.create_index("ix_trades_account_id_created_seq", "trades", ["account_id", "created_seq"])
    op.create_index("ix_trades_account_id_state_created_seq", "trades", ["account_id", "state", "created_seq"])


def _trade_rules() -> tuple[sa.CheckConstraint, ...]:
    rules = {
        "direction": "direction IN ('BUY', 'SELL')",
        "state": "state IN ('pending', 'open', 'closed')",
        "outcome": "outcome IN ('win', 'loss', 'breakeven', 'expired', 'cancelled')",
        "opened": "(opened_at IS NULL) = (opened_price IS NULL) AND (opened_at IS NULL) = (opened_day IS NULL) "
        "AND (opened_at IS NULL) = (opened_seq IS NULL)",
        "closed": "(state = 'closed') = (closed_at IS NOT NULL) AND (closed_at IS NULL) = (closed_seq IS NULL) "
        "AND (closed_at IS NULL) = (outcome IS NULL) AND (closed_at IS NULL) = (pnl_units IS NULL)",
        "life": "(state <> 'pending' OR opened_at IS NULL) AND (state <> 'open' OR opened_at IS NOT NULL) "
        "AND (closed_price IS NULL OR opened_at IS NOT NULL)",
    }
    return tuple(sa.CheckConstraint(rule, name=op.f(f"ck_trades_{name}")) for name, rule in rules.items())


def _create_entries() -> None:
    account, its_row = _account("ledger_entries")
    op.create_table(
        "ledger_entries",
        account,
        sa.Column("seq", _large(), nullable=False),
        sa.Column("entry_key", sa.Text(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("amount_units", _large(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_ledger_entries")),
        its_row,
        sa.ForeignKeyConstraint(["trade_id"], ["trades.id"], name=op.f("fk_ledger_entries_trade_id")),
        sa.UniqueConstraint("account_id", "entry_key", name=op.f("uq_ledger_entries_account_id_entry_key")),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_ledger_entries_seq")),
        sa.CheckConstraint(
            "kind IN ('result', 'commission', 'swap', 'adjustment')", name=op.f("ck_ledger_entries_kind")
        ),
        sa.CheckConstraint("(kind = 'adjustment') = (trade_id IS NULL)", name=op.f("ck_ledger_entries_trade")),
    )
    name = "ix_ledger_entries_account_id_day_amount_units"
    op.create_index(name, "ledger_entries", ["account_id", "day", "amount_units"])
    op.create_index("ix_ledger_entries_trade_id", "ledger_entries", ["trade_id"])


def _create_limits() -> None:
    op.create_table(
        "emissions",
        sa.Column("signal_id", sa.Text(), nullable=False),
        *_account("emissions"),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("steady_ms", _large(), nullable=False),
        sa.Column("high_confidence", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_emissions")),
    )
    op.create_index("ix_emissions_account_id_steady_ms", "emissions", ["account_id", "steady_ms"])
    op.create_table(
        "latches",
        *_account("latches"),
        sa.Column("seq", _large(), nullable=False),
        sa.Column("lifts", _large()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("value_units", _large(), nullable=False),
        sa.Column("limit_units", _large(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_latches")),
        sa.UniqueConstraint("account_id", "lifts", name=op.f("uq_latches_account_id_lifts")),
        sa.ForeignKeyConstraint(
            ["account_id", "lifts"], ["latches.account_id", "latches.seq"], name=op.f("fk_latches_account_id_lifts")
        ),
        sa.CheckConstraint("kind IN ('daily_stop', 'total_stop', 'breach')", name=op.f("ck_latches_kind")),
        sa.CheckConstraint("lifts < seq", name=op.f("ck_latches_lifts")),
    )


def _create_kill_switch() -> None:
    op.create_table(
        "account_reports",
        *_account("account_reports"),
        sa.Column("seq", _large(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("balance_units", _large(), nullable=False),
        sa.Column("equity_units", _large(), nullable=False),
        sa.Column("midnight_balance_units", _large(), nullable=False),
        sa.Column("midnight_day", sa.Text(), nullable=False),
        sa.Column("trading_days", sa.Integer(), nullable=False),
        sa.Column("positions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_account_reports")),
        sa.CheckConstraint("trading_days >= 0", name=op.f("ck_account_reports_trading_days")),
    )
    name = "ix_account_reports_account_id_midnight_day_seq"
    op.create_index(name, "account_reports", ["account_id", "midnight_day", "seq"])
    switch = op.create_table(
        "kill_switch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kill_switch")),
        sa.CheckConstraint("id = 1", name=op.f("ck_kill_switch_one_row")),
        sa.CheckConstraint("level IN ('off', 'pause', 'halt')", name=op.f("ck_kill_switch_level")),
    )
    now = datetime.now(UTC)
    if op.get_context().dialect.name == "sqlite":
        now = now.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    op.bulk_insert(switch, [{"id": 1, "level": "off", "set_by": "crpbot", "reason": "never set", "at": now}])


def _sqlite_triggers() -> tuple[str, ...]:
    def refusing(table: str, when: str, words: str) -> str:
        name = f"{table}_{when.split()[1].lower()}"
        return f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{words}'); END"

    statements = []
    for table, replaced in APPEND_ONLY.items():
        words = f"{table} is append-only"
        exists = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {replaced})"  # noqa: S608 - the texts above
        statements += [refusing(table, f"BEFORE {verb} ON {table}", words) for verb in ("UPDATE", "DELETE")]
        statements.append(refusing(table, f"BEFORE INSERT ON {table} {exists}", words))
    exists = f"WHEN EXISTS (SELECT 1 FROM trades WHERE {ONE_TRADE})"  # noqa: S608 - the text above
    statements.append(refusing("trades", "BEFORE UPDATE ON trades WHEN OLD.state = 'closed'", FINAL))
    statements.append(refusing("trades", "BEFORE DELETE ON trades", FINAL))
    statements.append(refusing("trades", f"BEFORE INSERT ON trades {exists}", "UNIQUE: this trade exists"))
    return tuple(statements)


def _postgresql_triggers() -> tuple[str, ...]:
    function = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION {}; END $$"
    refuse = "FOR EACH STATEMENT EXECUTE FUNCTION"
    rewriting = "BEFORE UPDATE OR DELETE OR TRUNCATE"
    return (
        function.format("refuse_ledger_change", "'% is append-only', TG_TABLE_NAME"),
        function.format("refuse_trade_change", f"'{FINAL}'"),
        *(f"CREATE TRIGGER {t}_append_only {rewriting} ON {t} {refuse} refuse_ledger_change()" for t in APPEND_ONLY),
        f"CREATE TRIGGER trades_kept BEFORE DELETE OR TRUNCATE ON trades {refuse} refuse_trade_change()",
        "CREATE TRIGGER trades_final BEFORE UPDATE ON trades FOR EACH ROW WHEN (OLD.state = 'closed') "
        "EXECUTE FUNCTION refuse_trade_change()",
    )
