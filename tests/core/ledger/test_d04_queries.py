"""The queries that people run by hand on the ledger give the right answers, on SQLite and in PostgreSQL's spelling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.results import (
    SignalResult,
    store_result,
)
from core.trade import Direction
from tests.core.decisions import NOON, decision, store

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

# as SQLite reads them; PostgreSQL differs in how an instant before now is spelled, and in nothing else
LAST_DAY = """
SELECT timestamp, symbol, direction, confidence FROM signals
WHERE timestamp > datetime('now', '-24 hours') ORDER BY timestamp DESC
"""
COUNTS = "SELECT (SELECT COUNT(*) FROM signals), (SELECT COUNT(*) FROM signal_results)"
WINS = """
SELECT COUNT(*) AS total, SUM(CASE WHEN outcome='win' THEN 1 ELSE 0 END) AS wins, AVG(pnl_percent) AS avg_pnl
FROM signal_results
"""
DIRECTIONS = """
SELECT direction, COUNT(*), AVG(confidence) FROM signals
WHERE timestamp > datetime('now', '-7 days') GROUP BY direction ORDER BY direction
"""
SYMBOLS = """
SELECT symbol, COUNT(*) AS total, SUM(CASE WHEN signal_type='BUY' THEN 1 ELSE 0 END) AS buys,
SUM(CASE WHEN signal_type='SELL' THEN 1 ELSE 0 END) AS sells
FROM signals GROUP BY symbol ORDER BY symbol
"""
THEORIES = "SELECT COUNT(*) FROM signals WHERE reasoning LIKE '%Hurst%'"

POSTGRESQL = {
    "datetime('now', '-24 hours')": "now() - interval '24 hours'",
    "datetime('now', '-7 days')": "now() - interval '7 days'",
}

HOURS_AGO = (0, 23, 25, 24 * 7 - 1, 24 * 7 + 1)
DIRECTIONS_IN_TURN = (Direction.BUY, Direction.SELL, Direction.HOLD, Direction.BUY, Direction.SELL)


@pytest.fixture
def ask(sql: Sql, ledger_url: str) -> Sql:
    """Run a query in the spelling of the database at hand."""

    def run(query: str) -> list[tuple[Any, ...]]:
        if not ledger_url.startswith("sqlite"):
            for written, spelled in POSTGRESQL.items():
                query = query.replace(written, spelled)
        return sql(query)

    return run


async def fill(ledger: Ledger) -> datetime:
    """Five decisions of the last days, and three results; the answer is the instant of the newest."""
    now = datetime.now(UTC)
    for number, (hours, direction) in enumerate(zip(HOURS_AGO, DIRECTIONS_IN_TURN, strict=True)):
        signal = decision(
            number,
            timestamp=now - timedelta(hours=hours, seconds=1),
            direction=direction,
            symbol=("BTC-USD", "ETH-USD")[number % 2],
            confidence=number / 8,
            reasoning="Hurst 0.62 says trend" if number < 2 else "The votes cancel out",
        )
        await store(ledger, signal)
    for number, outcome, percent in ((0, "win", 1.5), (1, "loss", -1.0), (3, "win", 0.25)):
        result = SignalResult(f"signal-{number}", outcome, percent, Decimal("1.23456789"), Decimal("67900.10"), NOON)
        async with ledger.writing() as connection:
            assert await store_result(connection, result, created_at=NOON)
    return now - timedelta(seconds=1)


async def test_the_signals_of_the_last_day(ledger: Ledger, ask: Sql) -> None:
    newest = await fill(ledger)
    rows = ask(LAST_DAY)
    assert [row[1:] for row in rows] == [("BTC-USD", "BUY", 0.0), ("ETH-USD", "SELL", 0.125)]
    assert str(rows[0][0])[:19] == newest.strftime("%Y-%m-%d %H:%M:%S")


async def test_how_many_signals_and_results_there_are(ledger: Ledger, ask: Sql) -> None:
    assert ask(COUNTS) == [(0, 0)]
    await fill(ledger)
    assert ask(COUNTS) == [(5, 3)]


async def test_wins_and_the_mean_result(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    assert ask(WINS) == [(3, 2, 0.25)]


async def test_directions_of_seven_days(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    assert ask(DIRECTIONS) == [("BUY", 2, 0.1875), ("HOLD", 1, 0.25), ("SELL", 1, 0.125)]


async def test_buys_and_sells_of_each_symbol_by_signal_type(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    assert ask(SYMBOLS) == [("BTC-USD", 3, 1, 1), ("ETH-USD", 2, 1, 1)]


async def test_the_reasoning_can_be_searched_for_a_theory(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    assert ask(THEORIES) == [(2,)]


async def test_every_column_of_the_queries_is_in_the_table_under_its_name(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    columns = (
        "id, timestamp, symbol, direction, signal_type, confidence, reasoning, tier, signal_variant, ftmo_compliant, "
        "executed, created_at, entry, stop, target"
    )
    (row,) = ask(f"SELECT {columns} FROM signals WHERE id = 'signal-0'")
    assert (row[0], row[3:5], row[7:11]) == ("signal-0", ("BUY", "BUY"), ("medium", "v7_full_math", True, False))
    assert row[-3:] == ("67123.45", "66800.1", "67900")


async def test_a_signal_has_one_result(ledger: Ledger, ask: Sql) -> None:
    await fill(ledger)
    second = SignalResult("signal-0", "loss", -2.0, None, None, NOON)
    async with ledger.writing() as connection:
        assert not await store_result(connection, second, created_at=NOON)
    stored = ask("SELECT outcome, pnl_percent, pnl_units, exit_price FROM signal_results WHERE signal_id = 'signal-0'")
    assert stored == [("win", 1.5, 123456789, "67900.1")]
