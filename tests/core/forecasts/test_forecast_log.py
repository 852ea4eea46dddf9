"""What models said is noted beside every decision and scored by what really came; nothing is ever guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from core.analysis import RefusedSymbol
from core.errors import Code
from core.forecasts.keeping import MOST_WAITING, ForecastKeeper, NotedStudies
from core.forecasts.lineup import Lineup, silent_outlook
from core.forecasts.log import HOLE_STAYS, PATIENCE, Awaited, Came, Noted, notes_of, settle_one
from core.forecasts.pauses import PAUSE
from core.models.outcome import what_came
from core.ports import Market
from core.risk.account import Moment
from core.signals.ports import Study
from tests.core.books import NOON
from tests.core.forecast_cases import RIVAL, VERSIONS, KeptForecasts, spoke
from tests.core.keeper_world import PlantedMarket, refusal
from tests.core.minutes import from_closes, to_candles
from training.label import label

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def desk_of(store: KeptForecasts, market: Market | None = None) -> ForecastKeeper:
    return ForecastKeeper(store=store, market=market or PlantedMarket(), retention=30 * DAY)


def after(minutes: float) -> Moment:
    return Moment(NOON + minutes * MINUTE, 0)


def market_of(closes: list[float], symbol: str = "BTC-USD", *, first: int = -1) -> PlantedMarket:
    """Minutes with these closes; the first one closes at noon."""
    market = PlantedMarket()
    market.plant(first, [(close, close, close, close) for close in closes], symbol)
    return market


async def noted(desk: ForecastKeeper, *studies: Study) -> None:
    desk.note(studies, NOON)
    await desk.close()


def test_every_model_that_has_a_version_is_noted_with_its_part() -> None:
    notes = {note.source.version: note for note in notes_of([spoke()], NOON)}
    assert set(notes) == {VERSIONS["lstm"], VERSIONS["transformer"], RIVAL}
    assert [version for version, note in notes.items() if note.candidate] == [RIVAL]
    assert (notes[VERSIONS["lstm"]].probability, notes[VERSIONS["lstm"]].calibrated) == (0.625, 0.5)
    assert notes[RIVAL].source == ("planted", "BTC-USD", "lstm", RIVAL, 15)


def unread(study: Study) -> Study:
    """The same where no minutes were read, so that no model could speak."""
    assert study.outlook is not None
    mute = {
        part: tuple(replace(each, probability=None, calibrated=None, problem="late") for each in said)
        for part, said in (("forecasts", study.outlook.forecasts), ("candidates", study.outlook.candidates))
    }
    return replace(study, outlook=replace(study.outlook, as_of=None, **mute))  # type: ignore[arg-type]


def test_a_silence_is_noted_at_the_minute_in_which_the_models_were_asked() -> None:
    at = NOON + 3.4 * MINUTE
    assert [note.probability for note in notes_of([spoke(probability=None)], at)] == [None, None, 0.25]
    assert {note.as_of for note in notes_of([unread(spoke())], at)} == {NOON + 3 * MINUTE}


async def test_silences_count_by_the_minute_as_answers_do_and_give_way_to_them() -> None:
    store = KeptForecasts()
    for place in range(5):
        await store.store(notes_of([unread(spoke())], NOON + (place + 0.3) * MINUTE))
    assert len(store.notes) == 5 * 3
    for place in range(5):
        study = spoke(at=NOON + place * MINUTE)
        await store.store(notes_of([study], NOON + (place + 0.7) * MINUTE))
    assert len(store.notes) == 5 * 3
    assert all(note.probability is not None for note in store.notes.values())


async def test_studies_are_noted_at_the_instant_at_which_they_were_asked_for() -> None:
    clock = [after(0.5), after(1.5)]

    class Silent:
        async def study(
            self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
        ) -> list[Study | RefusedSymbol]:
            return [unread(spoke(symbol)) for symbol in symbols]

    store = KeptForecasts()
    desk = desk_of(store)
    await NotedStudies(Silent(), desk, lambda: clock.pop(0)).study(["BTC-USD"], None, timeout_seconds=2.0)
    await desk.close()
    assert {key[2] for key in store.notes} == {NOON}


def test_nothing_is_noted_where_no_model_is_asked_or_promoted() -> None:
    nobody = silent_outlook("BTC-USD", Lineup(), "")
    assert notes_of([replace(spoke(), outlook=None), replace(spoke(), outlook=nobody)], NOON) == []


@pytest.mark.parametrize("seed", range(5))
def test_what_came_is_what_the_training_calls_up(seed: int) -> None:
    closes = 100.0 + np.round(np.random.default_rng(seed).normal(size=80).cumsum(), 1)  # coarse ticks: many ties
    labels = label(closes, np.ones(80), 15)
    for place in range(80 - 15):
        frame = from_closes(closes[place : place + 16], start=int(NOON.timestamp() * 1_000) - 60_000)
        settled = settle_one(Awaited(NOON, 15, ("BTC-USD",)), to_candles(frame))
        assert settled is not None
        assert settled.came == labels.up[place]
        assert settled.move == labels.move[place]


def test_an_unchanged_close_is_not_up() -> None:
    assert what_came(np.array([5.0, 5.0]), 1).up[0] == 0.0


def test_minutes_that_tell_another_stretch_tell_nothing() -> None:
    frame = from_closes(np.arange(1.0, 17.0), start=int(NOON.timestamp() * 1_000))  # a minute too late
    assert settle_one(Awaited(NOON, 15, ("BTC-USD",)), to_candles(frame)) is None
    assert settle_one(Awaited(NOON + MINUTE, 14, ("BTC-USD",)), to_candles(frame)) is None
    assert settle_one(Awaited(NOON + MINUTE, 15, ("BTC-USD",)), to_candles(frame)) is not None


async def test_what_is_noted_at_once_is_stored_in_one_statement() -> None:
    store = KeptForecasts()
    desk = desk_of(store)
    desk.note([spoke(), spoke("ETH-USD")], NOON)
    desk.note([spoke("SOL-USD")], NOON)
    assert store.calls == 0  # the decision does not wait for it
    await desk.close()
    assert (store.calls, len(store.notes)) == (1, 9)


async def test_studies_are_noted_as_they_are_read_and_given_on_unchanged() -> None:
    answers = [spoke(), RefusedSymbol("ETH-USD", "STALE_MARKET_DATA", "old"), replace(spoke("SOL-USD"), outlook=None)]

    class Fixed:
        async def study(
            self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
        ) -> list[Study | RefusedSymbol]:
            assert (tuple(symbols), interval, timeout_seconds) == (("BTC-USD",), "5m", 2.0)
            return list(answers)

    store = KeptForecasts()
    desk = desk_of(store)
    assert await NotedStudies(Fixed(), desk, lambda: after(0)).study(["BTC-USD"], "5m", timeout_seconds=2.0) == answers
    await desk.close()
    assert {key[1] for key in store.notes} == {"BTC-USD"}


@pytest.mark.parametrize("error", [refusal("LEDGER_BUSY", Code.UNAVAILABLE), RuntimeError("a bug")])
async def test_a_store_that_fails_costs_its_notes_and_nothing_else(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store = KeptForecasts(broken=error)
    desk = desk_of(store)
    await noted(desk, spoke())
    assert "3 forecasts are not kept" in caplog.text
    store.broken = None
    await noted(desk, spoke("ETH-USD"))
    assert len(store.notes) == 3


async def test_a_store_that_hangs_holds_a_bounded_number_of_notes(caplog: pytest.LogCaptureFixture) -> None:
    released = asyncio.Event()
    received: list[Noted] = []

    class Hanging(KeptForecasts):
        async def store(self, notes: Sequence[Noted]) -> None:
            await released.wait()
            received.extend(notes)

    desk, study = desk_of(Hanging()), spoke()
    for _ in range(MOST_WAITING):
        desk.note([study], NOON)
        await asyncio.sleep(0)
    assert "forecasts are not kept" in caplog.text
    released.set()
    await desk.close()
    assert MOST_WAITING - 3 < len(received) <= MOST_WAITING + 3


@pytest.mark.parametrize(
    ("last", "came", "move"),
    [(110.0, Came.UP, np.log(1.1)), (90.0, Came.NOT_UP, np.log(0.9)), (100.0, Came.NOT_UP, 0.0)],
)
async def test_a_forecast_is_settled_by_the_close_after_its_horizon(last: float, came: Came, move: float) -> None:
    market = market_of([100.0, *([105.0] * 14), last, 500.0])
    store = KeptForecasts()
    desk = desk_of(store, market)
    await noted(desk, spoke())
    await desk.settle(after(14.9))
    assert store.came == {}
    await desk.settle(after(16))
    settled = store.came["BTC-USD", NOON]
    assert (settled.came, settled.move) == (came, pytest.approx(move))


async def test_a_late_candle_is_waited_for_and_a_hole_that_stays_is_no_outcome() -> None:
    market = market_of([100.0] * 7 + [101.0] * 9)
    hole = market.minutes["BTC-USD"].pop(5)
    store = KeptForecasts()
    desk = desk_of(store, market)
    await noted(desk, spoke())
    await desk.settle(after(16))
    assert store.came == {}
    await desk.settle(Moment(NOON + 15 * MINUTE + HOLE_STAYS + MINUTE, 0))
    assert store.came["BTC-USD", NOON] == ("BTC-USD", Came.UNKNOWN, None)
    store.came.clear()
    market.minutes["BTC-USD"][5] = hole
    await desk_of(store, market).settle(after(40))
    assert store.came["BTC-USD", NOON].came is Came.UP


async def test_a_market_that_fails_is_asked_again_for_a_day_and_keeps_no_other_symbol_waiting() -> None:
    market = market_of([100.0] + [101.0] * 16, "ETH-USD")
    market.broken["BTC-USD"] = refusal("EXCHANGE_UNREACHABLE", Code.UNAVAILABLE)
    store = KeptForecasts()
    desk = desk_of(store, market)
    await noted(desk, spoke(), spoke("ETH-USD"))
    await desk.settle(Moment(NOON + 15 * MINUTE + PATIENCE, 0))
    assert [key[0] for key in store.came] == ["ETH-USD"]
    await desk.settle(Moment(NOON + 15 * MINUTE + PATIENCE + PAUSE, 0))
    assert store.came["BTC-USD", NOON].came is Came.UNKNOWN


async def test_an_instant_that_the_market_refuses_as_a_whole_does_not_hold_up_the_next() -> None:
    market = market_of([100.0] + [101.0] * 40, "ETH-USD")
    market.raising.add("BTC-USD")
    store = KeptForecasts()
    desk = desk_of(store, market)
    await noted(desk, spoke(), spoke("ETH-USD", NOON + 15 * MINUTE))
    await desk.settle(after(31))
    assert [key[0] for key in store.came] == ["ETH-USD"]


async def test_forecasts_on_another_market_are_left_alone() -> None:
    store = KeptForecasts()
    desk = desk_of(store, market_of([100.0] * 17))
    await noted(desk, spoke(identity="another"))
    await desk.settle(after(16))
    assert store.came == {}


async def test_old_forecasts_are_forgotten_with_the_rest() -> None:
    store = KeptForecasts()
    desk = desk_of(store)
    await noted(desk, spoke(at=NOON - 31 * DAY), spoke())
    await desk.forget(after(0))
    assert {key[2] for key in store.notes} == {NOON}
