"""The desk and the models: who is asked with which minutes, what silence costs, and one lineup for one question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.analysis import Findings, Reading, RefusedSymbol
from core.desk import Defaults, Desk
from core.ensemble import Outlook
from core.errors import Code, CrpbotError
from core.forecasts import foresight
from core.forecasts.lineup import CANDLES, Lineup, Seat, read_outlook
from core.market import Candles, Windows, instant
from core.models.manifest import Kind
from core.ports import Told
from core.signal import Degradation
from core.signals.ports import Study
from tests.core.model_cases import make_model
from tests.core.quick_time import in_quick_time
from tests.fakes import FakeAnalysts, FakeMarket, fixed_clock, walk_candles

LSTM, _ = make_model()
COINS, _ = make_model(Kind.TRANSFORMER)
LINEUP = Lineup((Seat(LSTM), Seat(COINS)))


class FakeForecasters:
    """Every model says 0.7, and the lineup can change while it is asked."""

    def __init__(self, lineup: Lineup = LINEUP) -> None:
        self.now = lineup
        self.asked: list[tuple[Windows, Lineup, float]] = []

    def lineup(self) -> Lineup:
        return self.now

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        self.asked.append((windows, lineup, timeout_seconds))
        ends = windows.as_of.tolist()
        return [
            read_outlook(symbol, instant(ends[row]), Findings(tuple(map(say, lineup.versions)), ()), lineup)
            for row, symbol in enumerate(windows.symbols)
        ]


class HangingForecasters(FakeForecasters):
    """Never answers, whatever time it was given."""

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")


class BrokenForecasters(FakeForecasters):
    """Raises what nobody has foreseen."""

    async def forecast(self, windows: Windows, lineup: Lineup, *, timeout_seconds: float) -> list[Outlook]:
        raise KeyError("probability")


class MinuteMarket(FakeMarket):
    """Doubts, refuses or keeps back the minutes, and only these."""

    def __init__(self) -> None:
        super().__init__()
        self.doubted: set[str] = set()
        self.lacking: set[str] = set()
        self.failure: Exception | None = None
        self.hangs: set[str] = set()
        self.seconds = 0.0

    async def latest_each(
        self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
    ) -> list[Told | CrpbotError]:
        told = await super().latest_each(symbols, interval, count, now_ms=now_ms)
        if interval != "1m":
            return told
        if self.hangs.intersection(symbols):
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return [self._spoil(each) for each in told if isinstance(each, Told)]

    def _spoil(self, told: Told) -> Told | CrpbotError:
        if told.candles.symbol in self.lacking:
            return CrpbotError(Code.UNAVAILABLE, "the minutes are 9 min old", reason="STALE_MARKET_DATA")
        doubts = (Degradation("REVISED", "close 1 became 2"),) if told.candles.symbol in self.doubted else ()
        return told._replace(degradations=doubts)


def say(version: str) -> Reading:
    return Reading(version, {"probability": 0.7, "calibrated": 0.65}, 0.3, "up")


def desk(forecasters: FakeForecasters | None, market: FakeMarket | None = None) -> Desk:
    return Desk(
        market=market or FakeMarket(),
        analysts=FakeAnalysts(),
        now=fixed_clock,
        defaults=Defaults(interval="5m", window=300),
        forecasters=forecasters,
    )


async def study(
    forecasters: FakeForecasters | None, *symbols: str, market: FakeMarket | None = None, seconds: float = 60.0
) -> list[Study]:
    found = await desk(forecasters, market).study(symbols, None, timeout_seconds=seconds)
    return [each for each in found if isinstance(each, Study)]


def problems(outlook: Outlook | None) -> list[str | None]:
    assert outlook is not None
    return [each.problem for each in outlook.forecasts]


async def test_a_study_tells_what_the_models_say_and_the_minutes_that_they_read() -> None:
    market = FakeMarket()
    forecasters = FakeForecasters()
    bitcoin, solana = await study(forecasters, "BTC-USD", "SOL-USD", market=market)
    assert bitcoin.outlook is not None
    assert [(each.kind, each.version, each.probability) for each in bitcoin.outlook.forecasts[:2]] == [
        ("lstm", LSTM.version, 0.7),
        ("transformer", COINS.version, 0.7),
    ]
    minutes = walk_candles("BTC-USD", "1m", CANDLES)
    assert isinstance(bitcoin.minutes, Candles)
    assert bitcoin.minutes.close.tolist() == minutes.close.tolist()
    assert bitcoin.outlook.as_of == instant(minutes.as_of)
    ((windows, lineup, _),) = forecasters.asked
    assert (windows.symbols, windows.interval, windows.length) == (("BTC-USD",), "1m", CANDLES)
    assert windows.origins == ("fake",)
    assert lineup is LINEUP
    assert sorted(market.asked) == [(("BTC-USD",), "1m", CANDLES), (("BTC-USD", "SOL-USD"), "5m", 300)]
    assert solana.minutes is None
    assert [problem is not None and problem.startswith("no ") for problem in problems(solana.outlook)] == [True] * 3


async def test_without_models_no_minute_is_read_and_the_outlook_says_that_nobody_is_promoted() -> None:
    market = FakeMarket()
    forecasters = FakeForecasters(Lineup())
    (found,) = await study(forecasters, "BTC-USD", market=market)
    assert market.asked == [(("BTC-USD",), "5m", 300)]
    assert forecasters.asked == []
    assert found.outlook is not None
    assert not found.outlook.is_staffed
    (unasked,) = await study(None, "BTC-USD")
    assert (unasked.outlook, unasked.minutes) == (None, None)


async def test_a_question_keeps_to_the_lineup_that_it_began_with() -> None:
    forecasters = FakeForecasters()

    class Switching(FakeMarket):
        async def latest_each(
            self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
        ) -> list[Told | CrpbotError]:
            forecasters.now = Lineup()
            return await super().latest_each(symbols, interval, count, now_ms=now_ms)

    (found,) = await study(forecasters, "BTC-USD", market=Switching())
    assert forecasters.asked[0][1] is LINEUP
    assert found.outlook is not None
    assert found.outlook.is_staffed


@pytest.mark.parametrize("spoil", ["doubted", "lacking"])
async def test_minutes_that_cannot_be_used_silence_the_models_of_that_symbol_alone(spoil: str) -> None:
    market = MinuteMarket()
    getattr(market, spoil).add("BTC-USD")
    bitcoin, ether = await study(FakeForecasters(), "BTC-USD", "ETH-USD", market=market)
    words = {
        "doubted": "its minutes are in doubt (REVISED: close 1 became 2)",
        "lacking": "its minutes cannot be read: the minutes are 9 min old",
    }
    assert problems(bitcoin.outlook)[:2] == [words[spoil]] * 2
    assert bitcoin.minutes is None
    assert problems(ether.outlook)[1] is None
    assert ether.minutes is not None
    assert bitcoin.analysis.coverage == 1.0


async def test_a_market_without_minutes_costs_no_theory() -> None:
    market = MinuteMarket()
    market.failure = CrpbotError(Code.NOT_FOUND, "no 1m candles are recorded", reason="NO_CANDLES")
    (found,) = await study(FakeForecasters(), "BTC-USD", market=market)
    assert problems(found.outlook)[0] == "its minutes cannot be read: no 1m candles are recorded"
    assert found.analysis.coverage == 1.0


@pytest.mark.parametrize("what", ["models", "minutes"])
@in_quick_time
async def test_models_that_hang_cost_their_share_of_the_time_and_no_theory(what: str) -> None:
    market = MinuteMarket()
    market.hangs = {"BTC-USD"} if what == "minutes" else set()
    forecasters = HangingForecasters() if what == "models" else FakeForecasters()
    started = asyncio.get_running_loop().time()
    (found,) = await study(forecasters, "BTC-USD", market=market, seconds=1.6)
    assert asyncio.get_running_loop().time() - started < 1.4  # before the time of the whole study is over
    late = {
        "models": "no answer within 0.8 s",
        "minutes": "its minutes did not come within 0.4 s; ask again in some seconds",
    }
    assert problems(found.outlook)[:2] == [late[what]] * 2
    assert found.analysis.coverage == 1.0


@in_quick_time
async def test_a_symbol_whose_minutes_are_late_keeps_no_other_from_its_models() -> None:
    market = MinuteMarket()
    market.hangs = {"BTC-USD"}
    bitcoin, ether = await study(FakeForecasters(), "BTC-USD", "ETH-USD", market=market, seconds=0.8)
    assert problems(bitcoin.outlook)[1] == "its minutes did not come within 0.2 s; ask again in some seconds"
    assert bitcoin.minutes is None
    assert problems(ether.outlook)[1] is None
    assert ether.minutes is not None


@in_quick_time
async def test_the_time_of_the_models_begins_when_they_are_asked() -> None:
    market, forecasters = MinuteMarket(), FakeForecasters()
    market.seconds = foresight.MOST_SECONDS + 1.0
    (found,) = await study(forecasters, "BTC-USD", market=market)
    assert problems(found.outlook)[:2] == [None] * 2
    ((_, _, seconds),) = forecasters.asked
    assert seconds == foresight.MOST_SECONDS


@pytest.mark.parametrize("what", ["models", "minutes"])
async def test_a_fault_nobody_has_foreseen_silences_the_models_and_costs_no_theory(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    market = MinuteMarket()
    market.failure = OSError("stale handle") if what == "minutes" else None
    (found,) = await study(BrokenForecasters() if what == "models" else FakeForecasters(), "BTC-USD", market=market)
    words = {"models": "the models cannot be asked (KeyError)", "minutes": "its minutes cannot be read (OSError)"}
    assert problems(found.outlook)[:2] == [words[what]] * 2
    assert found.analysis.coverage == 1.0
    assert [record.exc_info is not None for record in caplog.records if record.name == "core.forecasts.foresight"] == [
        True
    ]


@in_quick_time
async def test_models_get_half_of_the_time_and_never_more_than_two_seconds() -> None:
    forecasters = FakeForecasters()
    await study(forecasters, "BTC-USD", seconds=3.0)
    await study(forecasters, "BTC-USD", seconds=29.0)
    first, second = (seconds for _, _, seconds in forecasters.asked)
    assert 1.3 < first <= 1.5
    assert 1.8 < second <= 2.0


async def test_a_symbol_that_cannot_be_read_is_refused_whatever_the_models_say() -> None:
    market = FakeMarket()
    market.refusals["BTC-USD"] = CrpbotError(Code.UNAVAILABLE, "an hour old", reason="STALE_MARKET_DATA")
    (found,) = await desk(FakeForecasters(), market).study(["BTC-USD"], None, timeout_seconds=60.0)
    assert isinstance(found, RefusedSymbol)


@in_quick_time
async def test_when_the_theories_fail_no_model_is_left_running() -> None:
    class Failing(FakeMarket):
        async def latest_each(
            self, symbols: Sequence[str], interval: str, count: int, *, now_ms: int
        ) -> list[Told | CrpbotError]:
            if interval == "5m":
                await asyncio.sleep(0.01)
                raise CrpbotError(Code.UNAVAILABLE, "down", reason="DOWN")
            return await super().latest_each(symbols, interval, count, now_ms=now_ms)

    with pytest.raises(CrpbotError, match="down"):
        await desk(HangingForecasters(), Failing()).study(["BTC-USD"], None, timeout_seconds=60.0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_models_alone_are_told_in_the_order_asked() -> None:
    found = await desk(FakeForecasters()).forecast(["eth/usd", "SOL-USD", "BTC-USD"], timeout_seconds=60.0)
    assert [symbol for symbol, _ in found] == ["ETH-USD", "SOL-USD", "BTC-USD"]
    assert [outlook.is_staffed for _, outlook in found] == [True, False, True]
    with pytest.raises(CrpbotError, match=r"symbols\.1: "):
        await desk(FakeForecasters()).forecast(["BTC-USD", "XMR-USD"], timeout_seconds=60.0)
    with pytest.raises(CrpbotError, match="this server asks no models"):
        await desk(None).forecast(["BTC-USD"], timeout_seconds=60.0)


@in_quick_time
async def test_models_that_hang_make_a_question_for_them_answered_with_silence() -> None:
    ((_, outlook),) = await desk(HangingForecasters()).forecast(["BTC-USD"], timeout_seconds=0.1)
    assert problems(outlook)[:2] == ["no answer within 0.1 s"] * 2
    with pytest.raises(CrpbotError, match=r"the deadline of 0\.000 s passed"):
        await desk(FakeForecasters()).forecast(["BTC-USD"], timeout_seconds=0.0)


async def test_a_candidate_is_told_beside_the_models_that_count() -> None:
    trial = replace(LINEUP, seats=(Seat(COINS), Seat(LSTM, candidate=True)))
    (found,) = await study(FakeForecasters(trial), "BTC-USD")
    assert found.outlook is not None
    assert [each.version for each in found.outlook.candidates] == [LSTM.version]
    assert found.outlook.forecasts[0].probability is None
