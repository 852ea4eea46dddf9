"""Forecasts in the ledger, on SQLite and PostgreSQL: kept once, settled once, small, and scored from what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.adapters.ledger.forecast_scores import ForecastScores
from core.adapters.ledger.forecasts import StoredForecasts
from core.adapters.ledger.ledger import Ledger
from core.forecasts.keeping import ForecastKeeper
from core.forecasts.log import Awaited, Came, Noted, Settled, Source, notes_of
from core.forecasts.score import LiveCount, Scope
from core.performance.better import Answer
from core.risk.account import Moment
from core.signals.ports import Study
from tests.core.books import NOON
from tests.core.forecast_cases import RIVAL, VERSIONS, spoke
from tests.core.keeper_world import PlantedMarket

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

MINUTE = timedelta(minutes=1)
LATE = NOON + timedelta(days=10)
LSTM = VERSIONS["lstm"]


def said(version: str, place: int, probability: float | None, *, symbol: str = "BTC-USD") -> Noted:
    """What a model said of the quarter of an hour number `place`."""
    source = Source("planted", symbol, "lstm", version, 15)
    return Noted(source, NOON + 15 * place * MINUTE, False, probability, probability)


def scope_of(version: str) -> Scope:
    return Scope(version, "planted", 15)


async def settle(store: StoredForecasts, place: int, came: Came, symbol: str = "BTC-USD") -> None:
    awaited = Awaited(NOON + 15 * place * MINUTE, 15, (symbol,))
    await store.settle("planted", awaited, [Settled(symbol, came, 0.0015)])


async def keep(ledger: Ledger, studies: Sequence[Study]) -> StoredForecasts:
    store = StoredForecasts(ledger)
    await store.store(notes_of(studies, NOON))
    return store


async def test_what_was_said_first_stays_whoever_says_it_again(ledger: Ledger, sql: Sql) -> None:
    store = await keep(ledger, [spoke()])
    await store.store(notes_of([spoke(probability=0.9), spoke("ETH-USD")], NOON))
    await keep(ledger, [spoke(probability=0.2)])  # another gateway, which knows no numbers yet
    rows = sql("SELECT probability_millionths, calibrated_millionths FROM forecasts WHERE source_id = 1")
    assert rows == [(625_000, 500_000)]
    assert sql("SELECT count(*) FROM forecasts") == [(6,)]
    assert sql("SELECT count(*) FROM forecast_sources") == [(6,)]


async def test_what_is_said_takes_the_place_of_a_silence_of_which_nothing_came(ledger: Ledger, sql: Sql) -> None:
    store = StoredForecasts(ledger)
    await store.store([said(LSTM, place, None) for place in range(3)])
    sql("UPDATE forecasts SET came = 1 WHERE minute = (SELECT max(minute) FROM forecasts)")
    await store.store([said(LSTM, place, 0.625) for place in range(3)] + [said(LSTM, 0, None), said(LSTM, 0, 0.9)])
    await store.store([said(LSTM, place, None) for place in range(3)])
    await store.store([said(LSTM, place, 0.9) for place in range(3)])
    rows = sql("SELECT probability_millionths, calibrated_millionths FROM forecasts ORDER BY minute")
    assert rows == [(625_000, 625_000), (625_000, 625_000), (None, None)]


async def test_gateways_that_note_at_once_agree(ledger: Ledger, ledger_url: str, sql: Sql) -> None:
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    studies = [spoke(symbol) for symbol in ("BTC-USD", "ETH-USD", "SOL-USD")]
    await asyncio.gather(*(keep(each, studies) for each in (ledger, other) * 3))
    assert sql("SELECT count(*) FROM forecasts") == [(9,)]
    await other.close()


async def test_gateways_that_note_the_same_in_another_order_do_not_stop_each_other(
    ledger: Ledger, ledger_url: str, sql: Sql
) -> None:
    other = await Ledger.open(ledger_url, lock_timeout_seconds=60)
    stores = StoredForecasts(ledger), StoredForecasts(other)
    symbols = [f"C{number:02d}-USD" for number in range(40)]
    for place in range(12):
        notes = [said(LSTM, place, 0.5, symbol=symbol) for symbol in symbols]
        await asyncio.gather(stores[0].store(notes), stores[1].store(notes[::-1]))
    assert sql("SELECT count(*) FROM forecasts") == [(40 * 12,)]
    await other.close()


async def test_only_what_is_over_and_was_said_is_awaited_oldest_first(ledger: Ledger) -> None:
    store = await keep(ledger, [spoke(), spoke("ETH-USD"), spoke(at=NOON + 15 * MINUTE), spoke(identity="another")])
    await store.store([said("lstm-00000000", 9, None)])
    assert await store.awaited("planted", NOON + 15 * MINUTE, limit=10) == []
    first = Awaited(NOON, 15, ("BTC-USD", "ETH-USD"))
    assert await store.awaited("planted", NOON + 16 * MINUTE, limit=10) == [first]
    assert await store.awaited("planted", LATE, limit=10) == [first, Awaited(NOON + 15 * MINUTE, 15, ("BTC-USD",))]
    assert await store.awaited("planted", LATE, limit=1) == [Awaited(NOON, 15, ("BTC-USD",))]


async def test_an_outcome_is_written_once_and_only_where_something_was_said(ledger: Ledger, sql: Sql) -> None:
    store = await keep(ledger, [spoke(), spoke(identity="another")])
    await store.store([said("lstm-00000000", 0, None)])
    for came in (Came.UP, Came.NOT_UP):
        await settle(store, 0, came)
    rows = sql("SELECT identity, version, came, move_millionths FROM forecasts JOIN forecast_sources ON id = source_id")
    assert {row[2:] for row in rows if row[0] == "planted" and row[1] != "lstm-00000000"} == {(1, 1_500)}
    assert {row[2:] for row in rows if row[0] == "another" or row[1] == "lstm-00000000"} == {(None, None)}
    assert await store.awaited("planted", LATE, limit=10) == []


async def test_the_whole_way_from_a_decision_to_a_score(ledger: Ledger) -> None:
    market = PlantedMarket()
    market.plant(-1, [(price, price, price, price) for price in (100.0, *[101.0] * 14, 99.0, 99.0)])
    desk = ForecastKeeper(store=StoredForecasts(ledger), market=market, retention=timedelta(days=30))
    desk.note([spoke(probability=0.75)], NOON)
    await desk.close()
    await desk.settle(Moment(NOON + 16 * MINUTE, 0))
    scores = ForecastScores(ledger)
    counts = await scores.count()
    assert counts[scope_of(LSTM)] == LiveCount(1, 0, 0, 0, windows=1, right=0, last=NOON)
    assert counts[scope_of(RIVAL)].right == 1
    found = await scores.score(scope_of(RIVAL), LSTM)
    assert (found.windows, found.accuracy.value, found.brier.value) == (
        1,
        1.0,
        0.125**2,
    )  # what its own line made of it
    assert found.comparison is not None
    assert (found.comparison.windows, found.comparison.better) == (1, Answer.UNDECIDED)
    assert found.comparison.brier_advantage.value == 0.625**2 - 0.125**2


async def test_counts_tell_silence_waiting_and_what_nobody_knows(ledger: Ledger) -> None:
    store = StoredForecasts(ledger)
    await store.store([said(LSTM, 0, None), *(said(LSTM, place, 0.5) for place in range(1, 6))])
    await settle(store, 1, Came.UP)
    await settle(store, 2, Came.NOT_UP)
    await settle(store, 3, Came.UNKNOWN)
    scores = ForecastScores(ledger)
    last = NOON + 75 * MINUTE
    assert await scores.count() == {scope_of(LSTM): LiveCount(6, 1, 2, 1, windows=2, right=1, last=last)}
    found = await scores.score(scope_of(LSTM))
    assert (found.asked, found.waiting, found.unknown, found.windows) == (6, 2, 1, 2)
    assert (found.first, found.last, found.silent_share.value) == (NOON, last, 1 / 6)
    assert (found.accuracy.value, found.comparison) == (0.5, None)
    assert (await scores.score(scope_of("nobody"))).asked == 0


async def test_models_are_compared_on_windows_of_both(ledger: Ledger) -> None:
    store = StoredForecasts(ledger)
    drawn = np.random.default_rng(1)
    for place in range(140):
        up = bool(drawn.random() < 0.5)
        good, bad = (0.8 if up else 0.2), float(drawn.uniform(0.3, 0.7))
        await store.store([said(RIVAL, place, good), *([said(LSTM, place, bad)] if place >= 10 else [])])
        await settle(store, place, Came.UP if up else Came.NOT_UP)
    scores = ForecastScores(ledger)
    found = (await scores.score(scope_of(RIVAL), LSTM)).comparison
    assert found is not None
    assert (found.champion, found.windows, found.instants, found.better) == (LSTM, 130, 130, Answer.YES)
    back = (await scores.score(scope_of(LSTM), RIVAL)).comparison
    assert back is not None
    assert (back.better, back.brier_advantage.value) == (Answer.NO, pytest.approx(-(found.brier_advantage.value or 0)))


async def test_what_was_said_on_another_market_or_over_another_horizon_counts_apart(ledger: Ledger) -> None:
    store = StoredForecasts(ledger)
    own = [said(version, 1, 0.75) for version in (LSTM, RIVAL)]
    others = (
        replace(each, source=each.source._replace(**changed))
        for each in own
        for changed in ({"identity": "coinbase"}, {"horizon_minutes": 60})
    )
    await store.store([*own, *others, said(LSTM, 2, None)])
    await settle(store, 1, Came.UP)
    await store.settle("coinbase", Awaited(own[0].as_of, 15, ("BTC-USD",)), [Settled("BTC-USD", Came.NOT_UP, -0.1)])
    scores = ForecastScores(ledger)
    counts = await scores.count()
    assert {(scope, count.asked, count.right) for scope, count in counts.items() if scope.version == LSTM} == {
        (scope_of(LSTM), 2, 1),
        (Scope(LSTM, "coinbase", 15), 1, 0),
        (Scope(LSTM, "planted", 60), 1, 0),
    }
    found = await scores.score(scope_of(LSTM), RIVAL)
    assert (found.asked, found.windows, found.accuracy.value) == (2, 1, 1.0)
    assert found.comparison is not None
    assert found.comparison.windows == 1
    elsewhere = await scores.score(Scope(LSTM, "coinbase", 15), RIVAL)
    assert (elsewhere.asked, elsewhere.accuracy.value) == (1, 0.0)


SIZES = {
    "sqlite": ("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", 40),
    "postgresql": ("SELECT pg_total_relation_size('forecasts')", 200),
}


async def test_a_settled_forecast_takes_few_bytes(ledger: Ledger, database_kind: str, sql: Sql) -> None:
    size, most = SIZES[database_kind]
    before = sql(size)[0][0]
    notes = [said(version, place, 0.123456) for version in VERSIONS.values() for place in range(3_000)]
    await StoredForecasts(ledger).store(notes)
    sql("UPDATE forecasts SET came = 1, move_millionths = -1234")
    assert 10 * len(notes) < sql(size)[0][0] - before < most * len(notes)


async def test_old_forecasts_are_forgotten(ledger: Ledger, sql: Sql) -> None:
    store = await keep(ledger, [spoke(), spoke("ETH-USD", NOON + MINUTE)])
    assert await store.forget(NOON + MINUTE) == 3
    assert sql("SELECT DISTINCT symbol FROM forecasts JOIN forecast_sources ON id = source_id") == [("ETH-USD",)]


async def test_a_transaction_that_failed_leaves_no_number_behind(ledger: Ledger, sql: Sql) -> None:
    store = StoredForecasts(ledger)
    (note, *_) = notes_of([spoke()], NOON)
    with pytest.raises(Exception, match="probability"):
        await store.store([replace(note, probability=7.0)])
    await store.store([note])
    assert sql("SELECT count(*) FROM forecasts") == [(1,)]
