"""The desk: which windows it reads, how it asks the analysts, and what it says of the answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.analysis import Analysis, AnalyzeRequest, Findings, Missing, Reading, RefusedSymbol
from core.analyzers import discover
from core.asked_windows import MAX_WINDOWS
from core.context import Facts
from core.deciding.confidence import Records, TierRecord, pool
from core.desk import Defaults, Desk
from core.errors import Code, CrpbotError, join_errors
from core.market import Windows
from core.panel import LocalAnalysts
from core.ports import Analysts
from core.signal import Degradation, Variant
from core.signals.ports import Study
from core.trade import Tier
from tests.fakes import (
    NOW_MS,
    SLOW_SYMBOL,
    FakeAnalysts,
    FakeMarket,
    as_ccxt,
    as_columns,
    fixed_clock,
    walk_candles,
)

THEORIES = tuple(discover())


def desk(analysts: Analysts | None = None, market: FakeMarket | None = None) -> Desk:
    return Desk(
        market=market or FakeMarket(),
        analysts=analysts or FakeAnalysts(),
        now=fixed_clock,
        defaults=Defaults(interval="5m", window=300),
    )


async def analyze(request: AnalyzeRequest, analysts: Analysts | None = None) -> tuple[Analysis, ...]:
    return (await desk(analysts).analyze(request, timeout_seconds=60.0)).analyses


async def test_the_answer_says_what_was_read() -> None:
    (found,) = await analyze(AnalyzeRequest(symbol="btc/usd"))
    close = walk_candles("BTC-USD", count=300).close[-1]
    assert (found.symbol, found.interval, found.window) == ("BTC-USD", "5m", 300)
    assert (found.source, found.synthetic) == ("fake", True)
    assert found.as_of == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert found.price == Decimal(repr(float(close)))
    assert [reading.theory for reading in found.readings] == list(THEORIES)
    assert found.coverage == 1.0


async def test_analyses_come_in_the_order_of_the_request_whatever_their_shape() -> None:
    own = [walk_candles("SOL-USD", "1h", 260), walk_candles("XRP-USD", "5m", 400)]
    request = AnalyzeRequest(
        symbol="BTC-USD",
        symbols=("ETH-USD", "ADA-USD"),
        candles=tuple(as_columns(candles) for candles in own),
        ccxt=(as_ccxt(walk_candles("POL-USD", "1h", 260)), as_ccxt(walk_candles("BTC-USD", "5m", 250))),
    )
    analysts = FakeAnalysts()
    found = await analyze(request, analysts)
    shapes = [(one.symbol, one.interval, one.window, one.source) for one in found]
    assert shapes == [
        ("BTC-USD", "5m", 300, "fake"),
        ("ETH-USD", "5m", 300, "fake"),
        ("ADA-USD", "5m", 300, "fake"),
        ("SOL-USD", "1h", 260, "request"),
        ("XRP-USD", "5m", 300, "request"),
        ("POL-USD", "1h", 260, "request"),
        ("BTC-USD", "5m", 250, "request"),
    ]
    for one in found:
        assert one.readings[0].words.endswith(f" of {one.symbol}")
        assert Decimal(repr(one.readings[0].values["price"])) == one.price
    ((batches, theories),) = analysts.calls
    assert theories == THEORIES
    assert [(batch.symbols, batch.interval, batch.length) for batch in batches] == [
        (("BTC-USD", "ETH-USD", "ADA-USD", "XRP-USD"), "5m", 300),
        (("SOL-USD", "POL-USD"), "1h", 260),
        (("BTC-USD",), "5m", 250),
    ]


async def test_the_market_is_asked_once_for_all_symbols() -> None:
    market = FakeMarket()
    request = AnalyzeRequest(symbols=("ETH-USD", "BTC-USD"), interval="1h", window=200)
    await desk(market=market).analyze(request, timeout_seconds=60.0)
    assert market.asked == [(("ETH-USD", "BTC-USD"), "1h", 200)]


async def test_the_market_is_not_asked_for_the_callers_own_candles() -> None:
    market = FakeMarket()
    own = AnalyzeRequest(candles=(as_columns(walk_candles(count=250)),))
    await desk(market=market).analyze(own, timeout_seconds=60.0)
    assert market.asked == []


@pytest.mark.parametrize(("sent", "window", "read"), [(200, None, 200), (900, None, 300), (900, 700, 700)])
async def test_own_candles_are_read_as_far_as_the_window_goes(sent: int, window: int | None, read: int) -> None:
    candles = walk_candles(count=sent)
    analysts = FakeAnalysts()
    (found,) = await analyze(AnalyzeRequest(candles=(as_columns(candles),), window=window), analysts)
    assert (found.window, found.synthetic) == (read, False)
    (windows,) = analysts.calls[0][0]
    assert windows.close[0].tolist() == candles.close[-read:].tolist()


async def test_own_candles_may_close_at_this_very_instant() -> None:
    own = as_columns(walk_candles(interval="1m", count=200, now_ms=NOW_MS + 30_000))
    with pytest.raises(CrpbotError, match=r"candles\.0\.open_times_ms: row 199: the candle closes at .*12:03:00"):
        await analyze(AnalyzeRequest(candles=(own,)))
    on_time = Desk(
        market=FakeMarket(),
        analysts=FakeAnalysts(),
        now=lambda: datetime(2026, 3, 2, 12, 3, tzinfo=UTC),
        defaults=Defaults("5m", 300),
    )
    assert (await on_time.analyze(AnalyzeRequest(candles=(own,)), timeout_seconds=60.0)).analyses


async def test_as_many_windows_as_allowed_are_answered() -> None:
    own = as_columns(walk_candles(count=200))
    assert len(await analyze(AnalyzeRequest(candles=(own,) * MAX_WINDOWS))) == MAX_WINDOWS


async def test_theories_are_asked_once_each_in_the_order_of_the_catalogue() -> None:
    analysts = FakeAnalysts()
    wanted = (THEORIES[1], THEORIES[0], THEORIES[1])
    await analyze(AnalyzeRequest(symbol="BTC-USD", theories=wanted), analysts)
    assert analysts.calls[0][1] == THEORIES[:2]


class FakeContexts:
    """Facts that were fetched at three instants, and what it was asked."""

    FETCHED_MS = (NOW_MS - 86_400_000, NOW_MS - 600_000, NOW_MS - 60_000)  # the last one after the newest 5m candle

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def latest(self, *, as_of_ms: int) -> Facts | None:
        self.asked.append(as_of_ms)
        fetched = [at for at in self.FETCHED_MS if at <= as_of_ms]
        return Facts(1.0, 56.4, 0.6, math.nan, fetched[-1]) if fetched else None


async def test_every_window_gets_the_facts_that_were_known_at_its_own_end() -> None:
    analysts, contexts = FakeAnalysts(), FakeContexts()
    server = Desk(
        market=FakeMarket(),
        analysts=analysts,
        now=fixed_clock,
        defaults=Defaults("5m", 300),
        contexts=contexts,
    )
    old, older = (walk_candles("SOL-USD", count=300, now_ms=NOW_MS - hours * 3_600_000) for hours in (12, 72))
    request = AnalyzeRequest(symbols=("BTC-USD", "ETH-USD"), candles=(as_columns(old), as_columns(older)))
    await server.analyze(request, timeout_seconds=60.0)
    (windows,) = analysts.calls[0][0]
    assert windows.market is not None
    ends = windows.as_of.tolist()
    assert contexts.asked == sorted(set(ends))  # once for windows that end together
    expected = [(ends[0] - NOW_MS + 600_000) / 1_000] * 2 + [(ends[2] - NOW_MS + 86_400_000) / 1_000, math.nan]
    assert windows.market.age_seconds.tolist() == pytest.approx(expected, nan_ok=True)
    assert windows.market.cap_change_percent.tolist() == pytest.approx([1.0, 1.0, 1.0, math.nan], nan_ok=True)
    assert [math.isnan(value) for value in windows.market.fear_greed.tolist()] == [True] * 4


async def test_without_a_source_of_facts_there_is_no_context() -> None:
    analysts = FakeAnalysts()
    await analyze(AnalyzeRequest(symbol="BTC-USD"), analysts)
    (windows,) = analysts.calls[0][0]
    assert windows.market is None


async def test_doubtful_candles_are_analysed_and_the_doubt_is_told() -> None:
    market = FakeMarket()
    doubt = Degradation("REVISED", "close 1 became 2")
    market.doubts["ETH-USD"] = (doubt,)
    own = as_columns(walk_candles("ETH-USD", count=250))
    request = AnalyzeRequest(symbols=("BTC-USD", "ETH-USD"), candles=(own,))
    found = await desk(market=market).analyze(request, timeout_seconds=60.0)
    assert [one.degradations for one in found.analyses] == [(), (doubt,), ()]
    assert found.analyses[1].coverage == 1.0
    assert found.refused == ()


STALE = CrpbotError(Code.UNAVAILABLE, "DOGE-USD: an hour old", reason="STALE_MARKET_DATA", retry_after_seconds=3.0)
HALTED = CrpbotError(Code.FAILED_PRECONDITION, "LTC-USD: halted", reason="TRADING_HALTED")


async def test_a_symbol_that_fails_is_refused_by_name_and_the_others_are_answered_in_order() -> None:
    market = FakeMarket()
    market.refusals = {"DOGE-USD": STALE}
    request = AnalyzeRequest(symbols=("BTC-USD", "DOGE-USD", "ETH-USD"))
    found = await desk(market=market).analyze(request, timeout_seconds=60.0)
    assert [one.symbol for one in found.analyses] == ["BTC-USD", "ETH-USD"]
    assert found.refused == (RefusedSymbol("DOGE-USD", "STALE_MARKET_DATA", "DOGE-USD: an hour old"),)


async def test_when_every_symbol_fails_the_request_fails() -> None:
    market = FakeMarket()
    market.refusals = {"DOGE-USD": STALE, "XRP-USD": HALTED}
    with pytest.raises(CrpbotError) as alone:
        await desk(market=market).analyze(AnalyzeRequest(symbol="DOGE-USD"), timeout_seconds=60.0)
    assert alone.value is STALE
    with pytest.raises(CrpbotError, match="2 of 2 symbols failed: DOGE-USD: an hour old; LTC-USD: halted") as both:
        await desk(market=market).analyze(AnalyzeRequest(symbols=("DOGE-USD", "XRP-USD")), timeout_seconds=60.0)
    assert (both.value.code, both.value.reason) == (Code.UNAVAILABLE, "STALE_MARKET_DATA")
    assert both.value.retry_after_seconds == 3.0


async def test_the_callers_own_candles_are_answered_when_no_symbol_can_be_read_and_refused_when_wrong() -> None:
    market = FakeMarket()
    market.refusals = {"DOGE-USD": STALE}
    own = as_columns(walk_candles("SOL-USD", count=250))
    found = await desk(market=market).analyze(AnalyzeRequest(symbol="DOGE-USD", candles=(own,)), timeout_seconds=60.0)
    assert [one.symbol for one in found.analyses] == ["SOL-USD"]
    assert [each.symbol for each in found.refused] == ["DOGE-USD"]
    wrong = as_columns(walk_candles("SOL-USD", count=199))
    with pytest.raises(CrpbotError, match="200 are needed"):
        await desk(market=market).analyze(AnalyzeRequest(symbol="BTC-USD", candles=(own, wrong)), timeout_seconds=60.0)


def test_of_many_errors_three_are_told_in_full() -> None:
    errors = [CrpbotError(Code.NOT_FOUND, f"number {place}", reason="GONE") for place in range(5)]
    assert join_errors(errors, 9).detail == "5 of 9 symbols failed: number 0; number 1; number 2; and 2 more"


class PartialAnalysts(FakeAnalysts):
    """The first theory has a problem, the second does not answer, the third does."""

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        problem = Reading(theories[0], {}, 0.0, "", "undefined on a flat market")
        number = Reading(theories[2], {"value": 1.0}, 0.5, "up")
        gap = Missing(theories[1], "deadline", "too late")
        return [[Findings((problem, number), (gap,))] * len(batch) for batch in batches]


async def test_coverage_counts_only_theories_that_gave_a_number() -> None:
    (found,) = await analyze(AnalyzeRequest(symbol="BTC-USD", theories=THEORIES[:3]), PartialAnalysts())
    assert found.coverage == pytest.approx(1 / 3)
    assert found.missing == (Missing(THEORIES[1], "deadline", "too late"),)
    assert [reading.theory for reading in found.readings] == [THEORIES[0], THEORIES[2]]


class StuckAnalysts(FakeAnalysts):
    """Never answers."""

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.02])
@pytest.mark.parametrize("symbol", ["BTC-USD", SLOW_SYMBOL])
async def test_a_deadline_that_passes_is_an_error_of_its_own(seconds: float, symbol: str) -> None:
    with pytest.raises(CrpbotError, match=rf"the deadline of {max(seconds, 0):.3f} s passed") as caught:
        await desk(StuckAnalysts()).analyze(AnalyzeRequest(symbol=symbol), timeout_seconds=seconds)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_the_analysts_get_only_the_time_that_the_market_left() -> None:
    class Listening(FakeAnalysts):
        async def analyze(
            self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
        ) -> list[list[Findings]]:
            self.seconds = timeout_seconds
            return await super().analyze(batches, theories, timeout_seconds=timeout_seconds)

    analysts = Listening()
    await analyze(AnalyzeRequest(symbol=SLOW_SYMBOL), analysts)
    assert 0 < analysts.seconds <= 59.65


def test_the_catalogue_lists_every_theory_with_its_numbers() -> None:
    listed = desk().list_theories().theories
    assert tuple(theory.name for theory in listed) == THEORIES
    for theory in listed:
        assert theory.summary
        assert theory.fields
        assert theory.min_length <= 200


class FakeRecords:
    """Knows how Bitcoin's signals ended; `broken` knows nothing at all."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[tuple[tuple[str, ...], bool]] = []
        self.broken = broken

    async def records(self, symbols: Sequence[str], *, synthetic: bool) -> Mapping[str, Records]:
        self.asked.append((tuple(symbols), synthetic))
        if self.broken:
            raise CrpbotError(Code.UNAVAILABLE, "ledger: locked", reason="LEDGER_BUSY")
        bitcoin = {
            Variant.V7_FULL_MATH: {
                Tier.HIGH: TierRecord(20, 4, 0.4, 30.0, 4.0),
                Tier.LOW: TierRecord(5, 6, 0.5, 5.0, 6.0),
            },
            None: {Tier.LOW: TierRecord(1, 0, None, 1.0, 0.0)},
        }
        return {symbol: bitcoin if symbol == "BTC-USD" else {} for symbol in symbols}


def recording_desk(records: FakeRecords) -> Desk:
    analysts = LocalAnalysts(time.monotonic)
    return Desk(market=FakeMarket(), analysts=analysts, now=fixed_clock, defaults=Defaults("5m", 300), records=records)


def win_rates(analyses: Sequence[Analysis]) -> list[Reading]:
    return [reading for each in analyses for reading in each.readings if reading.theory == "bayesian_win_rate"]


async def test_a_symbol_is_read_with_the_closed_trades_of_its_signals() -> None:
    records = FakeRecords()
    request = AnalyzeRequest(symbols=("BTC-USD", "ETH-USD"), theories=("bayesian_win_rate",))
    found = await recording_desk(records).analyze(request, timeout_seconds=60.0)
    assert records.asked == [(("BTC-USD", "ETH-USD"), True)]
    bitcoin, ether = win_rates(found.analyses)
    assert (bitcoin.values["alpha"], bitcoin.values["beta"]) == (1 + 26, 1 + 10)
    assert bitcoin.values["break_even"] == pytest.approx((10 / 10) / (36 / 26 + 10 / 10))
    assert (ether.problem, ether.values["sample_size"], ether.values["win_rate"]) == (None, 0.0, 0.5)


async def test_a_callers_own_candles_have_no_closed_trades() -> None:
    records = FakeRecords()
    own = as_columns(walk_candles("BTC-USD", "5m", 300))
    request = AnalyzeRequest(symbol="BTC-USD", candles=(own,), theories=("bayesian_win_rate",))
    found = await recording_desk(records).analyze(request, timeout_seconds=60.0)
    known, unknown = win_rates(found.analyses)
    assert known.problem is None
    assert unknown.problem is not None
    assert "no closed trades" in unknown.problem


async def test_a_market_is_read_also_where_the_ledger_does_not_answer() -> None:
    request = AnalyzeRequest(symbol="BTC-USD", theories=("bayesian_win_rate", "hurst_exponent"))
    found = await recording_desk(FakeRecords(broken=True)).analyze(request, timeout_seconds=60.0)
    assert [reading.problem is None for reading in found.analyses[0].readings] == [False, True]


async def test_a_ledger_that_hangs_costs_an_analysis_a_second_and_not_its_deadline() -> None:
    class Hanging(FakeRecords):
        async def records(self, symbols: Sequence[str], *, synthetic: bool) -> Mapping[str, Records]:
            await asyncio.sleep(3_600)
            raise AssertionError("nobody waits that long")

    request = AnalyzeRequest(symbol="BTC-USD", theories=("bayesian_win_rate", "hurst_exponent"))
    found = await recording_desk(Hanging()).analyze(request, timeout_seconds=60.0)
    assert [reading.problem is None for reading in found.analyses[0].readings] == [False, True]


async def test_a_study_tells_the_closed_trades_that_its_theories_were_told() -> None:
    records = FakeRecords()
    (study,) = await recording_desk(records).study(["BTC-USD"], "5m", timeout_seconds=60.0)
    assert isinstance(study, Study)
    assert study.records is not None
    assert pool(study.records).wins == 26
    assert len(records.asked) == 1
    (plain,) = await desk().study(["BTC-USD"], "5m", timeout_seconds=60.0)
    assert isinstance(plain, Study)
    assert plain.records is None
