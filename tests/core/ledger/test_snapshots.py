"""The candles of a decision: stored once, corrected without losing what was seen, and every changed byte is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.snapshots import read_snapshot
from core.errors import Code, CrpbotError
from core.market import Candles
from core.signals.store import SnapshotReference
from tests.core.decisions import NOON, decision, store

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

STEP_MS = 300_000
FIRST_MS = 1_760_000_100_000


@pytest.fixture
def signals(ledger: Ledger) -> Signals:
    return Signals(ledger)


def candles(first: int, count: int, *, symbol: str = "BTC-USD", corrected: tuple[int, ...] = ()) -> Candles:
    """Candles number `first` and on of a walk; those named have been corrected by their market."""
    numbers = np.arange(first, first + count)
    close = 67_000.1 + np.sin(numbers) * 100 / 3 + np.isin(numbers, corrected) * 0.01
    open_times = FIRST_MS + numbers * STEP_MS
    return Candles(symbol, "5m", open_times, close - 1 / 3, close + 1, close - 1, close, numbers % 7 / 7)


def assert_equal(found: Candles, expected: Candles) -> None:
    """To the last bit."""
    for field in fields(Candles):
        left, right = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(left, np.ndarray):
            assert left.tobytes() == right.tobytes(), field.name
            assert left.flags.c_contiguous
        else:
            assert left == right


async def keep(signals: Signals, *seen: Candles, days: int = 0, identity: str = "test") -> list[SnapshotReference]:
    return [*await signals.store_snapshots(seen, identity=identity, at=NOON + timedelta(days=days))]


async def read(ledger: Ledger, reference: SnapshotReference) -> Candles:
    async with ledger.reading() as connection:
        return await read_snapshot(connection, reference)


async def test_a_window_that_moves_on_stores_its_new_candle_alone(signals: Signals, ledger: Ledger, sql: Sql) -> None:
    references = [(await keep(signals, candles(first, 200)))[0] for first in range(5)]
    assert sql("SELECT count(*) FROM candles") == [(204,)]
    assert len({reference.sha256 for reference in references}) == 5
    for first, reference in enumerate(references):
        assert_equal(await read(ledger, reference), candles(first, 200))


async def test_the_same_window_is_the_same_snapshot(signals: Signals, sql: Sql) -> None:
    assert await keep(signals, candles(0, 10)) == await keep(signals, candles(0, 10))
    assert sql("SELECT count(*) FROM snapshots") == [(1,)]


async def test_a_corrected_candle_leaves_what_was_seen_before_and_gives_the_new_to_those_after(
    signals: Signals, ledger: Ledger, sql: Sql
) -> None:
    history = [candles(0, 50), candles(1, 50, corrected=(30, 31)), candles(2, 50), candles(0, 50), candles(0, 50)]
    references = [(await keep(signals, seen))[0] for seen in history]
    for seen, reference in zip(history, references, strict=True):
        assert_equal(await read(ledger, reference), seen)
    assert sql("SELECT max(revision) FROM candles") == [(2,)]
    assert sql("SELECT count(*) FROM candles") == [(52 + 2 + 2,)]


async def test_symbols_and_markets_are_kept_apart_and_answers_keep_their_order(
    signals: Signals, ledger: Ledger
) -> None:
    eth, btc = candles(0, 10, symbol="ETH-USD", corrected=(3,)), candles(0, 10)
    references = await keep(signals, eth, btc)
    (elsewhere,) = await keep(signals, candles(0, 10, corrected=(5,)), identity="another")
    assert_equal(await read(ledger, references[0]), eth)
    assert_equal(await read(ledger, references[1]), btc)
    assert_equal(await read(ledger, elsewhere), candles(0, 10, corrected=(5,)))


async def test_a_negative_zero_is_a_zero(signals: Signals, ledger: Ledger) -> None:
    seen = candles(0, 3)
    seen.volume[:] = -0.0
    (reference,) = await keep(signals, seen)
    assert (await read(ledger, reference)).volume.tobytes() == np.zeros(3).tobytes()
    assert await keep(signals, seen) == [reference]


async def test_gateways_that_store_at_once_agree(signals: Signals, ledger: Ledger, ledger_url: str) -> None:
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    tasks = [
        keep(Signals(store), candles(first, 30, symbol=symbol))
        for first in range(10)
        for symbol in ("BTC-USD", "ETH-USD")
        for store in (ledger, other)
    ]
    answers = await asyncio.gather(*tasks)
    assert answers[::2] == answers[1::2]
    assert_equal(await read(ledger, answers[0][0]), candles(0, 30))
    await other.close()


async def test_what_another_gateway_stored_meanwhile_is_not_stored_again(
    signals: Signals, ledger: Ledger, sql: Sql
) -> None:
    other = Signals(ledger)
    await keep(signals, candles(0, 50))
    await keep(other, candles(4, 50))
    (later,) = await keep(signals, candles(2, 50))
    assert sql("SELECT count(*), max(revision) FROM candles") == [(54, 0)]
    await keep(other, candles(3, 50, corrected=(20, 51)))
    history = [candles(3, 50, corrected=(20, 51)), candles(5, 50), candles(0, 55)]
    references = [(await keep(signals, seen))[0] for seen in history]
    assert sql("SELECT max(revision) FROM candles") == [(2,)]
    for seen, reference in zip([candles(2, 50), *history], [later, *references], strict=True):
        assert_equal(await read(ledger, reference), seen)


async def test_candles_that_were_forgotten_are_stored_again(signals: Signals, ledger: Ledger, sql: Sql) -> None:
    await keep(signals, candles(0, 50))
    await signals.forget(NOON + timedelta(days=1))
    assert sql("SELECT count(*) FROM candles") == [(0,)]
    (reference,) = await keep(signals, candles(1, 50))
    assert_equal(await read(ledger, reference), candles(1, 50))


async def test_a_transaction_that_failed_is_not_remembered(signals: Signals, ledger: Ledger) -> None:
    with pytest.raises(CrpbotError, match="no time zone"):  # told when the candles have been written
        await signals.store_snapshots([candles(1, 50)], identity="test", at=NOON.replace(tzinfo=None))
    (reference,) = await keep(signals, candles(2, 50))
    assert_equal(await read(ledger, reference), candles(2, 50))


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
async def test_a_candle_changed_in_its_last_bit_is_found(
    signals: Signals, ledger: Ledger, sql: Sql, column: str
) -> None:
    (reference,) = await keep(signals, candles(0, 20))
    ((value,),) = sql(f"SELECT {column} FROM candles WHERE open_ms = {FIRST_MS + 5 * STEP_MS}")
    edited = repr(float(np.nextafter(value, 1e9)))
    sql(f"UPDATE candles SET {column} = {edited} WHERE open_ms = {FIRST_MS + 5 * STEP_MS}")
    with pytest.raises(CrpbotError, match="20 of 20 candles of BTC-USD 5m") as caught:
        await read(ledger, reference)
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "SNAPSHOT_ALTERED")
    assert reference.sha256 in caught.value.detail


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM candles WHERE open_ms = {FIRST_MS + STEP_MS}",
        f"UPDATE candles SET open_ms = open_ms + 1 WHERE open_ms = {FIRST_MS + STEP_MS}",
        "DELETE FROM candles",
        "UPDATE snapshots SET length = 19",
        "UPDATE snapshots SET first_ms = first_ms + 300000",
    ],
)
async def test_a_missing_or_moved_candle_is_found(signals: Signals, ledger: Ledger, sql: Sql, statement: str) -> None:
    (reference,) = await keep(signals, candles(0, 20))
    sql(statement)
    with pytest.raises(CrpbotError) as caught:
        await read(ledger, reference)
    assert caught.value.reason == "SNAPSHOT_ALTERED"


async def test_a_decision_carries_its_candles(signals: Signals, ledger: Ledger, sql: Sql) -> None:
    references = await keep(signals, candles(0, 20), candles(0, 20, symbol="ETH-USD"))
    await store(ledger, decision(), snapshots=tuple(references))
    whole = await signals.whole("signal-0")
    assert whole.stored.snapshots == tuple(references)
    assert_equal(whole.candles[0], candles(0, 20))
    assert_equal(whole.candles[1], candles(0, 20, symbol="ETH-USD"))
    sql("UPDATE candles SET close = close + 0.01 WHERE series_id = 1")
    with pytest.raises(CrpbotError, match="snapshot 1"):
        await signals.whole("signal-0")


async def test_old_candles_are_forgotten_except_those_that_a_younger_decision_saw(
    signals: Signals, ledger: Ledger, sql: Sql
) -> None:
    old, young = [(await keep(signals, candles(first, 100), days=days))[0] for first, days in ((0, 0), (90, 3))]
    (alone,) = await keep(signals, candles(0, 10, symbol="ETH-USD"))
    await store(ledger, decision(), snapshots=(old, alone))
    assert await signals.forget(NOON + timedelta(days=1)) == 2 + 90 + 10
    assert await signals.forget(NOON + timedelta(days=1)) == 0
    assert_equal(await read(ledger, young), candles(90, 100))
    with pytest.raises(CrpbotError, match="has been deleted") as caught:
        await read(ledger, old)
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "SNAPSHOT_EXPIRED")
    whole = await signals.whole("signal-0")
    assert (whole.stored.signal, whole.candles) == (decision(), ())
    assert sql("SELECT min(open_ms), count(*) FROM candles") == [(FIRST_MS + 90 * STEP_MS, 100)]


async def test_a_snapshot_used_again_is_young_again(signals: Signals, ledger: Ledger) -> None:
    (reference,) = await keep(signals, candles(0, 10))
    assert await keep(signals, candles(0, 10), days=3) == [reference]
    assert await signals.forget(NOON + timedelta(days=1)) == 0
    assert_equal(await read(ledger, reference), candles(0, 10))


async def test_forgetting_works_in_batches(signals: Signals, sql: Sql) -> None:
    for first in range(0, 6_000, 1_500):
        await keep(signals, candles(first, 1_500))
    assert await signals.forget(NOON + timedelta(days=1)) == 4 + 6_000
    assert sql("SELECT count(*) FROM candles") == [(0,)]
