"""Learning what came never holds the keeper up: a round is short, and a market that is away is not asked in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from core.errors import Code, CrpbotError
from core.forecasts.keeping import MOST_ASKED, ForecastKeeper
from core.forecasts.log import HOLE_STAYS, PATIENCE, Came, notes_of
from core.forecasts.pauses import PAUSE
from core.market import Candles
from core.ports import Market, Told
from core.risk.account import Moment, Quote
from tests.core.books import NOON
from tests.core.forecast_cases import KeptForecasts, spoke
from tests.core.keeper_world import PlantedMarket, refusal
from tests.core.quick_time import in_quick_time

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BOTH = ("BTC-USD", "ETH-USD")


@dataclass
class Failing:
    """A market that tells nothing, counting its calls; each takes so many seconds."""

    reason: str = "EXCHANGE_TIMEOUT"
    seconds: float = 0.0
    calls: list[tuple[str, ...]] = field(default_factory=list)
    identity = name = "planted"
    synthetic = True

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        self.calls.append(tuple(symbols))
        await asyncio.sleep(self.seconds)
        return [refusal(self.reason, Code.UNAVAILABLE) for _ in symbols]

    async def latest(self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int) -> list[Candles]:
        raise AssertionError("asked for each")

    async def quotes(self, symbols: Sequence[str], *, now_ms: int) -> list[Quote | CrpbotError]:
        raise AssertionError("asked for candles")

    async def problem(self) -> str | None:
        return None


def after(minutes: float) -> Moment:
    return Moment(NOON + minutes * MINUTE, 0)


async def waiting(
    market: Market, minutes: int, symbols: Sequence[str] = BOTH, *, seconds: float = 60.0
) -> tuple[ForecastKeeper, KeptForecasts]:
    """A desk with forecasts on each of so many minutes."""
    store = KeptForecasts()
    await store.store(
        notes_of([spoke(each, NOON + place * MINUTE) for place in range(minutes) for each in symbols], NOON)
    )
    return ForecastKeeper(store=store, market=market, retention=30 * DAY, seconds=seconds), store


async def test_a_market_that_is_away_is_asked_once_and_not_at_once_again() -> None:
    market = Failing()
    desk, _ = await waiting(market, 200)
    for minute in range(1_300, 1_305):
        await desk.settle(after(minute))
    assert market.calls == [BOTH]
    await desk.settle(after(1_305))
    assert len(market.calls) == 2


@in_quick_time
async def test_a_market_that_hangs_holds_a_round_up_for_its_time_only() -> None:
    desk, _ = await waiting(Failing(seconds=3_600.0), 50, seconds=20.0)
    time = asyncio.get_running_loop().time
    begun = time()
    await desk.settle(after(1_300))
    assert time() - begun == 20.0
    await desk.settle(after(1_301))
    assert time() - begun <= 40.0


@in_quick_time
async def test_a_slow_market_is_asked_as_often_as_the_round_allows_and_the_rest_follows() -> None:
    market = Failing("TOO_FEW_CANDLES", seconds=0.02)
    desk, _ = await waiting(market, 100, seconds=0.3)
    await desk.settle(after(120))
    first = len(market.calls)
    assert 1 <= first <= 8
    await desk.settle(after(121))
    assert len(market.calls) > first


async def test_a_round_asks_a_bounded_number_of_times() -> None:
    market = Failing("TOO_FEW_CANDLES")
    desk, _ = await waiting(market, MOST_ASKED + 20)
    await desk.settle(after(MOST_ASKED + 60))
    assert len(market.calls) == MOST_ASKED
    await desk.settle(after(MOST_ASKED + 61))
    assert len(market.calls) == MOST_ASKED + 20


async def test_a_symbol_out_of_reach_leaves_the_others_their_outcomes() -> None:
    market = PlantedMarket()
    market.calm(range(-1, 40), symbol="ETH-USD")
    market.broken["BTC-USD"] = refusal("EXCHANGE_UNREACHABLE", Code.UNAVAILABLE)
    desk, store = await waiting(market, 8)
    await desk.settle(after(30))
    assert [key[0] for key in store.came] == ["ETH-USD"] * 8
    assert [symbol for symbol, _ in market.asked].count("BTC-USD") == 1


async def test_a_symbol_that_is_back_is_asked_for_all_that_it_owes() -> None:
    market = PlantedMarket()
    market.calm(range(-1, 60))
    market.broken["BTC-USD"] = refusal("EXCHANGE_UNREACHABLE", Code.UNAVAILABLE)
    desk, store = await waiting(market, 8, ["BTC-USD"])
    await desk.settle(after(30))
    market.broken.clear()
    await desk.settle(Moment(after(30).at + PAUSE, 0))
    assert len(store.came) == 8


async def test_of_a_symbol_long_out_of_reach_old_instants_are_given_up_without_asking_for_each() -> None:
    market = PlantedMarket()
    market.broken["BTC-USD"] = refusal("EXCHANGE_UNREACHABLE", Code.UNAVAILABLE)
    desk, store = await waiting(market, 20, ["BTC-USD"])
    start = NOON + PATIENCE + 40 * MINUTE
    await desk.settle(Moment(start, 0))
    assert len(store.came) == 1  # one failure proves nothing of the others
    await desk.settle(Moment(start + HOLE_STAYS + PAUSE, 0))
    await desk.settle(Moment(start + HOLE_STAYS + PAUSE + MINUTE, 0))
    assert [each.came for each in store.came.values()] == [Came.UNKNOWN] * 20
    assert len(market.asked) == 2
