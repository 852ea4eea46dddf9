"""The replay market: what was recorded, up to its own clock, and a clear word about whatever is missing."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.adapters.history.download import download
from core.adapters.history.plan import Series
from core.adapters.replay.market import ReplayMarket
from core.adapters.synthetic.history import SyntheticHistory
from core.adapters.synthetic.market import SyntheticMarket
from core.errors import Code, CrpbotError
from core.market import COLUMNS, INTERVAL_SECONDS
from core.ports import Told
from core.risk.account import Quote
from tests.core.recordings import FAR_MS, MINUTE_MS, START_MS, ask, make_rows, refusal, save, without


class TestClock:
    def test_it_begins_at_the_end_of_what_was_recorded(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, table)
        market = ReplayMarket(tmp_path)
        assert market.now_ms() == START_MS + 100 * MINUTE_MS
        found = ask(market, "1m", 100)
        assert found.as_of == market.now_ms()
        np.testing.assert_array_equal(found.open_times, table["timestamp"])
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(found, column), table[column])

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(clock=st.integers(20 * MINUTE_MS, 100 * MINUTE_MS), now=st.integers(20 * MINUTE_MS, 100 * MINUTE_MS))
    def test_nothing_is_shown_that_closed_after_its_clock_or_after_the_callers(
        self, tmp_path: Path, clock: int, now: int
    ) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, table)
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + clock)
        found = ask(market, "1m", 20, now_ms=START_MS + now)
        limit = START_MS + min(clock, now)
        assert found.as_of <= limit < found.as_of + MINUTE_MS
        last = (found.as_of - START_MS) // MINUTE_MS
        np.testing.assert_array_equal(found.close, table["close"][last - 20 : last])

    def test_a_candle_closing_exactly_at_the_clock_is_closed(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 50 * MINUTE_MS)
        assert ask(market, "1m", 5).as_of == START_MS + 50 * MINUTE_MS
        market.move_to(START_MS + 50 * MINUTE_MS - 1)
        assert ask(market, "1m", 5).as_of == START_MS + 49 * MINUTE_MS

    def test_it_can_be_moved_back_and_forth(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        ends = []
        for minute in (40, 60, 30):
            market.move_to(START_MS + minute * MINUTE_MS)
            assert market.now_ms() == START_MS + minute * MINUTE_MS
            ends.append((ask(market, "1m", 5).as_of - START_MS) // MINUTE_MS)
        assert ends == [40, 60, 30]

    def test_a_clock_past_the_recording_is_told_and_old_candles_are_not_given_for_new(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 102 * MINUTE_MS)
        assert "8 of 10 found, 2 missing, the first at 2025-01-01T01:40:00Z" in refusal(market, "1m", 10).detail


class TestAggregation:
    @pytest.mark.parametrize("interval", ["5m", "15m", "30m", "1h"])
    def test_a_longer_candle_is_made_of_its_recorded_minutes(self, tmp_path: Path, interval: str) -> None:
        table = make_rows("1m", 300)
        save(tmp_path, table)
        size = INTERVAL_SECONDS[interval] // 60
        found = ask(ReplayMarket(tmp_path), interval, 300 // size)
        for place, begin in enumerate(range(0, 300, size)):
            minutes = {name: values[begin : begin + size] for name, values in table.items()}
            assert found.open_times[place] == minutes["timestamp"][0]
            assert found.open[place] == minutes["open"][0]
            assert found.high[place] == minutes["high"].max()
            assert found.low[place] == minutes["low"].min()
            assert found.close[place] == minutes["close"][-1]
            assert found.volume[place] == pytest.approx(minutes["volume"].sum(), rel=1e-12)

    def test_a_bucket_that_is_not_complete_at_the_clock_is_not_shown(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 99))
        assert ask(ReplayMarket(tmp_path), "5m", 3).as_of == START_MS + 95 * MINUTE_MS

    def test_a_bucket_may_lack_minutes_in_which_nobody_traded(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, without(table, [90, 92]))
        found = ask(ReplayMarket(tmp_path), "5m", 3)
        assert found.open[1] == table["close"][89]
        assert found.close[1] == table["close"][94]
        assert found.volume[1] == pytest.approx(table["volume"][[91, 93, 94]].sum(), rel=1e-12)

    def test_a_bucket_that_lacks_more_minutes_is_a_hole(self, tmp_path: Path) -> None:
        save(tmp_path, without(make_rows("1m", 100), slice(91, 95)))
        problem = refusal(ReplayMarket(tmp_path), "5m", 3)
        assert "1m: 11 of 15 found, 4 missing, the first at 2025-01-01T01:31:00Z" in problem.detail
        assert ask(ReplayMarket(tmp_path), "5m", 1).as_of == START_MS + 100 * MINUTE_MS

    def test_the_interval_itself_is_taken_where_it_is_recorded(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        five = make_rows("5m", 20)
        save(tmp_path, five, interval="5m")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "5m", 20).close, five["close"])

    def test_a_shorter_interval_stands_in_where_the_interval_itself_has_a_hole(self, tmp_path: Path) -> None:
        minutes = make_rows("1m", 100)
        save(tmp_path, minutes)
        save(tmp_path, without(make_rows("5m", 20), [18]), interval="5m")
        np.testing.assert_array_equal(ask(ReplayMarket(tmp_path), "5m", 20).close, minutes["close"][4::5])

    def test_a_shorter_interval_is_never_made_of_a_longer_one(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1h", 100), interval="1h")
        save(tmp_path, make_rows("6h", 100), interval="6h")
        problem = refusal(ReplayMarket(tmp_path), "30m", 2)
        assert (problem.code, problem.reason) == (Code.NOT_FOUND, "SERIES_NOT_RECORDED")
        assert "recorded are 1h, 6h, none of which divides it" in problem.detail

    def test_a_count_that_needs_more_minutes_than_memory_holds_is_answered_in_words(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 86_400_000)
        assert "100 of 2880000000 found" in refusal(market, "1d", 2_000_000).detail


class TestMissing:
    def test_a_long_hole_is_told_with_symbol_span_counts_and_remedy_and_never_filled(self, tmp_path: Path) -> None:
        save(tmp_path, without(make_rows("1m", 100), slice(40, 47)))
        problem = refusal(ReplayMarket(tmp_path), "1m", 80)
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, "CANDLES_NOT_RECORDED")
        assert problem.detail == (
            "replay: BTC-USD: 80 candles of 1m from 2025-01-01T00:20:00Z to 2025-01-01T01:40:00Z asked for; "
            "1m: 73 of 80 found, 7 missing, the first at 2025-01-01T00:40:00Z "
            "(recorded: 2025-01-01T00:00:00Z to 2025-01-01T01:39:00Z); "
            "record the missing candles, move the replay's clock, or ask for fewer"
        )

    @given(first=st.integers(0, 99), length=st.integers(1, 9), begin=st.integers(0, 99), count=st.integers(1, 100))
    @settings(max_examples=90, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_window_is_given_exactly_when_the_hole_is_outside_it_or_short_and_between_its_candles(
        self, tmp_path: Path, first: int, length: int, begin: int, count: int
    ) -> None:
        end = min(begin + count, 100)
        hole = set(range(first, min(first + length, 99)))  # the last row stays, so that the file is never empty
        table = make_rows("1m", 100)
        folder = tmp_path / f"{min(hole, default='no')} to {max(hole, default='hole')}"  # one for each content
        folder.mkdir(exist_ok=True)
        save(folder, without(table, sorted(hole)))
        market = ReplayMarket(folder)
        market.move_to(START_MS + end * MINUTE_MS)
        missing = len(hole & set(range(begin, end)))
        known = np.flatnonzero([row not in hole for row in range(end)])
        if missing and (0 in hole or end - 1 in hole or len(hole) > 3):
            assert f"{end - begin - missing} of {end - begin} found" in refusal(market, "1m", end - begin).detail
        else:
            last_known = known[np.searchsorted(known, range(begin, end), side="right") - 1]
            np.testing.assert_array_equal(ask(market, "1m", end - begin).close, table["close"][last_known])

    def test_more_candles_than_were_recorded_are_refused_with_both_counts(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        problem = refusal(ReplayMarket(tmp_path), "1m", 101)
        assert "100 of 101 found, 1 missing, the first at 2024-12-31T23:59:00Z" in problem.detail

    def test_a_symbol_that_was_not_recorded_is_named(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        problem = refusal(ReplayMarket(tmp_path), "1m", 5, symbol="ETH-USD")
        assert (problem.code, problem.reason) == (Code.NOT_FOUND, "SERIES_NOT_RECORDED")
        assert "ETH-USD" in problem.detail
        assert "add a file ETH-USD_1m_start_end.parquet" in problem.detail

    def test_one_missing_symbol_fails_the_whole_question(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        with pytest.raises(CrpbotError, match="ETH-USD"):
            asyncio.run(ReplayMarket(tmp_path).latest(["BTC-USD", "ETH-USD"], "1m", 5, now_ms=FAR_MS))

    def test_the_same_coin_of_another_exchange_is_another_series(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        save(tmp_path, make_rows("1m", 100, start_ms=START_MS + 100 * MINUTE_MS), symbol="BTCUSDT")
        market = ReplayMarket(tmp_path)
        assert market.now_ms() == START_MS + 100 * MINUTE_MS
        assert "100 of 120 found" in refusal(market, "1m", 120).detail

    def test_a_folder_that_is_none_or_holds_no_recording_is_told(self, tmp_path: Path) -> None:
        assert refusal(ReplayMarket(tmp_path / "nowhere"), "1m", 5).reason == "NO_RECORDINGS"
        (tmp_path / "notes_of_my_broker.parquet").write_text("not ours")
        problem = refusal(ReplayMarket(tmp_path), "1m", 5)
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, "NO_RECORDINGS")

    def test_an_empty_recording_is_no_candle(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 0))
        assert refusal(ReplayMarket(tmp_path), "1m", 5).reason == "NO_RECORDINGS"
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS)
        assert "0 of 5 found, 5 missing, the first at 2024-12-31T23:55:00Z (recorded: none at all)" in (
            refusal(market, "1m", 5).detail
        )

    def test_an_unknown_symbol_interval_or_count_is_refused(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        market = ReplayMarket(tmp_path)
        assert refusal(market, "1m", 5, symbol="XMR-USD").reason == "UNKNOWN_SYMBOL"
        assert refusal(market, "7m", 5).reason == "UNKNOWN_INTERVAL"
        assert "count: 0 candles" in refusal(market, "1m", 0).detail


class TestPort:
    async def test_what_is_not_recorded_of_one_symbol_costs_the_others_nothing(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        good, bad = await ReplayMarket(tmp_path).latest_each(["BTC-USD", "ETH-USD"], "1m", 5, now_ms=FAR_MS)
        assert isinstance(good, Told)
        assert (good.candles.symbol, good.synthetic, good.degradations) == ("BTC-USD", False, ())
        assert isinstance(bad, CrpbotError)
        assert bad.reason == "SERIES_NOT_RECORDED"

    async def test_a_folder_that_cannot_be_played_is_a_problem(self, tmp_path: Path) -> None:
        assert "no recorded candles" in (await ReplayMarket(tmp_path).problem() or "")
        save(tmp_path, make_rows("1m", 100))
        assert await ReplayMarket(tmp_path).problem() is None

    async def test_what_was_fetched_from_a_generator_is_told_as_invented(self, tmp_path: Path) -> None:
        wanted = [Series("BTC-USD", "1m", START_MS, START_MS + 300 * MINUTE_MS)]
        source = SyntheticHistory(SyntheticMarket(7))
        await download(source, tmp_path, wanted, tell=lambda *_: None, now_ms=lambda: FAR_MS)
        market = ReplayMarket(tmp_path)
        assert market.synthetic is True
        save(tmp_path, make_rows("1m", 300), symbol="ETH-USD")
        market.move_to(START_MS + 300 * MINUTE_MS)
        told = await market.latest_each(["BTC-USD", "ETH-USD"], "5m", 40, now_ms=FAR_MS)
        assert [each.synthetic for each in told if isinstance(each, Told)] == [True, False]


class TestQuotes:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(clock=st.integers(10 * MINUTE_MS, 100 * MINUTE_MS), now=st.integers(10 * MINUTE_MS, 100 * MINUTE_MS))
    def test_a_quote_is_of_the_newest_candle_that_had_closed_and_told_at_its_end(
        self, tmp_path: Path, clock: int, now: int
    ) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, table)
        save(tmp_path, make_rows("5m", 20), interval="5m")
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + clock)
        (quote,) = asyncio.run(market.quotes(["btc/usd"], now_ms=START_MS + now))
        assert isinstance(quote, Quote)
        minute = min(clock, now) // MINUTE_MS
        close = Decimal(repr(float(table["close"][minute - 1])))
        assert quote.at_ms == START_MS + minute * MINUTE_MS
        assert quote.bid < close < quote.ask
        assert (quote.ask - quote.bid) / close == pytest.approx(Decimal("0.0002"), abs=Decimal("1e-7"))

    async def test_one_symbol_that_fails_does_not_take_the_others_with_it(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 100))
        save(tmp_path, make_rows("1m", 97), symbol="SOL-USD")
        broken = make_rows("1m", 100)
        broken["close"][-1] = np.nan
        save(tmp_path, broken, symbol="XRP-USD")
        market = ReplayMarket(tmp_path)
        good, *errors = await market.quotes(["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"], now_ms=FAR_MS)
        assert isinstance(good, Quote)
        reasons = [each.reason for each in errors if isinstance(each, CrpbotError)]
        assert reasons == ["SERIES_NOT_RECORDED", "CANDLES_NOT_RECORDED", "BROKEN_RECORDING"]

    async def test_a_candle_two_old_serves_and_an_old_hole_is_none_of_its_business(self, tmp_path: Path) -> None:
        table = make_rows("1m", 100)
        save(tmp_path, without(table, [*range(60, 70), 98, 99]))
        market = ReplayMarket(tmp_path)
        market.move_to(START_MS + 100 * MINUTE_MS)
        (quote,) = await market.quotes(["BTC-USD"], now_ms=FAR_MS)
        assert isinstance(quote, Quote)
        assert quote.at_ms == START_MS + 98 * MINUTE_MS
        market.move_to(START_MS + 101 * MINUTE_MS)
        (error,) = await market.quotes(["BTC-USD"], now_ms=FAR_MS)
        assert isinstance(error, CrpbotError)
        assert "BTC-USD: no candle makes a quote at 2025-01-01T01:41:00Z: none of 1m in the last 2" in error.detail

    async def test_a_longer_interval_stands_in_where_the_shorter_one_ends(self, tmp_path: Path) -> None:
        save(tmp_path, make_rows("1m", 50))
        five = make_rows("5m", 20)
        save(tmp_path, five, interval="5m")
        (quote,) = await ReplayMarket(tmp_path).quotes(["BTC-USD"], now_ms=FAR_MS)
        assert isinstance(quote, Quote)
        assert quote.at_ms == START_MS + 100 * MINUTE_MS
        assert quote.bid < Decimal(repr(float(five["close"][-1]))) < quote.ask
