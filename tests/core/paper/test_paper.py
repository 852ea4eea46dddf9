"""A paper trade follows the rules that docs/paper.md states, candle by candle."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from core.errors import CrpbotError
from core.market import Candles
from core.paper.bars import Bars, read_bars, to_units
from core.paper.costs import FREE, STANDARD, Costs, costs_of
from core.paper.fill import Terms
from core.paper.hand import cancel, close_by_hand, open_by_hand
from core.paper.machine import advance, lapse, step
from core.paper.trade import Fill, birth, entry_key, follow, trade_id_of
from core.risk.account import Quote, TradeState
from core.risk.booking import Closing, EntryKind, NewTrade, Opening, Outcome
from core.risk.pack import discover_packs
from core.trade import Direction, Tier
from tests.core.decisions import decision
from tests.core.paper_cases import BEGIN, BEGIN_MS, MINUTE, bar, make_trade

PLAIN = Terms(FREE)
QUOTE = Quote("BTC-USD", Decimal("99.9"), Decimal("100.1"), 0)


def opened(direction: Direction = Direction.BUY, terms: Terms = PLAIN):
    """A trade that was filled at 100 at the open of the candle of minute 1."""
    return step(make_trade(direction), bar(1, 100, 100.1, 99.9, 100), terms).trade


# entry


def test_a_trade_enters_at_the_open_when_that_is_within_half_a_percent() -> None:
    found = step(make_trade(), bar(1, 100.4, 101, 100, 100.5), PLAIN)
    assert found.trade.state is TradeState.OPEN
    assert found.trade.opened_price == Decimal("100.4")
    assert found.trade.opened_at == BEGIN + timedelta(minutes=1)
    assert isinstance(found.moves[0], Opening)


@pytest.mark.parametrize(("prices", "price"), [((101, 101.5, 100.2, 101), "100.5"), ((99, 99.8, 98.5, 99.2), "99.5")])
def test_a_price_that_comes_into_the_band_fills_at_the_edge_where_it_came_in(prices, price: str) -> None:
    found = step(make_trade(), bar(1, *prices), PLAIN).trade
    assert (found.fill, found.opened_price) == (Fill.WITHIN, Decimal(price))


def test_a_price_that_stays_away_fills_nothing_and_the_signal_expires() -> None:
    away = [bar(minute, 101, 101.5, 100.6, 101) for minute in range(1, 20)]
    found = advance(make_trade(), away, PLAIN)
    assert found.trade.outcome is Outcome.EXPIRED
    assert found.moves == (Closing("t-1", Outcome.EXPIRED),)
    assert found.trade.pnl is None
    assert found.trade.pnl_percent is None


def test_of_the_candle_in_which_a_signal_expires_only_the_open_counts() -> None:
    trade = replace(make_trade(), expires_at=BEGIN + timedelta(minutes=1, seconds=30))
    assert step(trade, bar(1, 101, 101.5, 100, 101), PLAIN).trade.outcome is Outcome.EXPIRED
    assert step(trade, bar(1, 100.5, 101.5, 100, 101), PLAIN).trade.state is TradeState.OPEN


def test_no_price_from_before_the_order_reached_the_market_is_used() -> None:
    terms = Terms(replace(FREE, latency_ms=2_000))
    born = replace(make_trade(), created_at=BEGIN + timedelta(seconds=59), seen_ms=BEGIN_MS + 59_000)
    waiting = step(born, bar(1, 100, 100.1, 99.9, 100), terms)
    assert waiting.moves == ()
    assert step(waiting.trade, bar(2, 100, 100.1, 99.9, 100), terms).trade.state is TradeState.OPEN


def test_nothing_is_bought_beyond_its_stop_nor_its_target() -> None:
    near = make_trade(stop_loss=Decimal("99.8"), take_profit=Decimal("100.3"))
    for prices in ((99.7, 99.75, 99.6, 99.7), (99.7, 100.1, 99.6, 100), (100.4, 100.45, 100.35, 100.4)):
        assert step(near, bar(1, *prices), PLAIN).moves == ()


def test_what_is_paid_stays_within_the_band_with_all_costs() -> None:
    for direction, edge in ((Direction.BUY, "100.5"), (Direction.SELL, "99.5")):
        prices = (101, 101.5, 100, 101) if direction is Direction.BUY else (99, 100, 98.5, 99)
        trade = step(make_trade(direction), bar(1, *prices)).trade
        assert abs(trade.opened_price - Decimal(edge)) < Decimal("0.000001")
        assert (trade.opened_price - Decimal(edge)) * trade.side <= 0


# exit


@pytest.mark.parametrize(
    ("direction", "prices", "price", "outcome"),
    [
        (Direction.BUY, (100, 100.5, 97.9, 98), "98", Outcome.LOSS),
        (Direction.BUY, (97, 97.5, 96, 97), "97", Outcome.LOSS),
        (Direction.BUY, (100, 103.2, 99.5, 103), "103", Outcome.WIN),
        (Direction.BUY, (104, 105, 103.5, 104), "104", Outcome.WIN),
        (Direction.BUY, (100, 103.2, 97.9, 100), "98", Outcome.LOSS),
        (Direction.SELL, (100, 102.5, 99.9, 102), "102", Outcome.LOSS),
        (Direction.SELL, (103, 104, 102.5, 103), "103", Outcome.LOSS),
        (Direction.SELL, (100, 100.1, 96.9, 97), "97", Outcome.WIN),
        (Direction.SELL, (96, 96.5, 95, 96), "96", Outcome.WIN),
        (Direction.SELL, (100, 102.5, 96.9, 100), "102", Outcome.LOSS),
    ],
)
def test_a_trade_leaves_at_its_stop_or_target_and_after_a_gap_at_the_open(direction, prices, price, outcome) -> None:
    found = step(opened(direction), bar(2, *prices), PLAIN)
    assert (found.trade.closed_price, found.trade.outcome) == (Decimal(price), outcome)
    assert found.trade.pnl == abs(Decimal(price) - 100) * Decimal("2.5") * (1 if outcome is Outcome.WIN else -1)


def test_the_optimistic_order_takes_the_target_first() -> None:
    both = bar(2, 100, 103.2, 97.9, 100)
    assert step(opened(), both, Terms(FREE, optimistic=True)).trade.outcome is Outcome.WIN


def test_a_trade_can_end_in_the_candle_in_which_it_began() -> None:
    found = step(make_trade(), bar(1, 100, 100.1, 97, 98), PLAIN)
    assert [type(move) for move in found.moves] == [Opening, Closing]
    assert found.trade.outcome is Outcome.LOSS


def test_a_target_before_the_entry_within_the_same_candle_does_not_count() -> None:
    found = step(make_trade(), bar(1, 102, 103.5, 100.2, 101), PLAIN)
    assert found.trade.state is TradeState.OPEN
    assert step(make_trade(), bar(1, 102, 103.5, 97.5, 101), PLAIN).trade.outcome is Outcome.LOSS


def test_a_trade_times_out_after_four_hours_at_the_open() -> None:
    quiet = [bar(minute, 100, 100.1, 99.9, 100) for minute in range(2, 241)]
    last = advance(opened(), quiet, PLAIN)
    assert last.trade.state is TradeState.OPEN
    found = step(last.trade, bar(241, 100.7, 104, 90, 100), PLAIN).trade
    assert (found.closed_price, found.closed_at) == (Decimal("100.7"), BEGIN + timedelta(minutes=241))


def test_a_hole_of_a_day_fills_nothing_within_it() -> None:
    found = step(opened(), bar(1_500, 101, 104, 90, 100), PLAIN).trade
    assert (found.closed_price, found.outcome) == (Decimal(101), Outcome.WIN)
    waiting = step(make_trade(), bar(1_500, 100, 100.1, 99.9, 100), PLAIN)
    assert waiting.trade.outcome is Outcome.EXPIRED
    assert waiting.trade.opened_price is None


def test_a_waiting_trade_lapses_once_the_market_is_known_until_its_expiry() -> None:
    trade = make_trade()
    assert lapse(trade, BEGIN_MS + 15 * MINUTE - 1).moves == ()
    assert lapse(trade, BEGIN_MS + 15 * MINUTE).trade.outcome is Outcome.EXPIRED
    assert lapse(opened(), BEGIN_MS + 99 * MINUTE).moves == ()


# costs


def test_every_cost_is_an_entry_and_the_entries_are_the_result() -> None:
    first = step(make_trade(), bar(1, 100, 100.1, 99.9, 100))
    last = step(first.trade, bar(61, 103.5, 104, 103, 103.5))
    entries = [entry for move in (*first.moves, *last.moves) for entry in move.entries]
    assert [entry.kind.value for entry in entries] == ["commission", "result", "commission", "swap"]
    paid, had = Decimal("100.02"), Decimal("103.48965")
    assert first.trade.opened_price == paid
    assert last.trade.closed_price == had
    assert entries[0].amount == -(paid * Decimal("2.5") * Decimal("0.000325"))
    assert entries[1].amount == (had - paid) * Decimal("2.5")
    assert entries[2].amount == Decimal("-0.08408535")  # 103.48965 x 2.5 x 0.000325 = 0.084085340625, rounded up
    assert entries[3].amount == Decimal("-0.00312563")  # an hour of 24 at 3 bp on 250.05
    assert last.trade.pnl == sum(entry.amount for entry in entries)
    assert last.trade.pnl_percent == Decimal("3.401579")


def test_a_stop_slips_and_a_target_does_not() -> None:
    trade = step(make_trade(), bar(1, 100, 100.1, 99.9, 100)).trade
    assert step(trade, bar(2, 100, 100.1, 97.9, 98)).trade.closed_price == Decimal("97.951")
    assert step(trade, bar(2, 100, 103.5, 99.9, 103)).trade.closed_price == 103
    assert step(trade, bar(2, 100, 103.01, 99.9, 103)).trade.state is TradeState.OPEN  # the bid stayed below


def test_a_result_of_less_than_a_cent_is_breakeven() -> None:
    found = close_by_hand(opened(), Quote("BTC-USD", Decimal("100.001"), Decimal("100.1"), 0), BEGIN + LATER, PLAIN)
    assert (found.trade.outcome, found.trade.pnl) == (Outcome.BREAKEVEN, Decimal("0.0025"))


def test_the_commission_is_the_firms() -> None:
    pack = next(iter(discover_packs().values()))
    assert costs_of(pack).commission_fraction == pack.commission_per_side
    assert costs_of(pack).slippage_fraction == STANDARD.slippage_fraction


@pytest.mark.parametrize(("field", "value"), [("slippage_fraction", "0.2"), ("half_spread_fraction", "-0.1")])
def test_a_cost_that_cannot_be_is_refused(field: str, value: str) -> None:
    with pytest.raises(CrpbotError, match=f"costs.{field}: is {value}"):
        Costs(**{field: Decimal(value)})
    with pytest.raises(CrpbotError, match="latency_ms"):
        Costs(latency_ms=-1)
    with pytest.raises(CrpbotError, match="tolerance_fraction"):
        Terms(tolerance_fraction=Decimal(2))
    with pytest.raises(CrpbotError, match="life: is 0"):
        Terms(life=timedelta(0))


# by hand

LATER = timedelta(minutes=5)


def test_a_trader_opens_and_closes_at_the_quote() -> None:
    first = open_by_hand(make_trade(), QUOTE, BEGIN + LATER, PLAIN)
    assert (first.trade.opened_price, first.trade.fill) == (Decimal("100.1"), Fill.BY_HAND)
    last = close_by_hand(first.trade, QUOTE, BEGIN + 2 * LATER, PLAIN)
    assert (last.trade.closed_price, last.trade.pnl) == (Decimal("99.9"), Decimal("-0.5"))
    short = open_by_hand(make_trade(Direction.SELL), QUOTE, BEGIN + LATER, PLAIN)
    assert short.trade.opened_price == Decimal("99.9")
    assert close_by_hand(short.trade, QUOTE, BEGIN + LATER, PLAIN).trade.closed_price == Decimal("100.1")


def test_what_was_before_an_opening_by_hand_is_not_looked_at() -> None:
    first = open_by_hand(make_trade(), QUOTE, BEGIN + timedelta(seconds=90), PLAIN)
    with pytest.raises(CrpbotError, match="has seen the market until"):
        step(first.trade, bar(1, 100, 100, 90, 95), PLAIN)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: close_by_hand(make_trade(), QUOTE, BEGIN, PLAIN), "TRADE_IS_PENDING"),
        (lambda: cancel(opened(), BEGIN), "TRADE_IS_OPEN"),
        (lambda: open_by_hand(opened(), QUOTE, BEGIN, PLAIN), "TRADE_IS_OPEN"),
        (lambda: cancel(cancel(make_trade(), BEGIN).trade, BEGIN), "TRADE_IS_CLOSED"),
        (lambda: step(cancel(make_trade(), BEGIN).trade, bar(1, 1, 1, 1, 1), PLAIN), "TRADE_IS_CLOSED"),
        (lambda: open_by_hand(make_trade(), QUOTE, BEGIN + 3 * LATER, PLAIN), "TRADE_EXPIRED"),
        (lambda: open_by_hand(make_trade(entry=Decimal(102)), QUOTE, BEGIN, PLAIN), "ENTRY_OUT_OF_REACH"),
        (lambda: open_by_hand(make_trade(stop_loss=Decimal("100.1")), QUOTE, BEGIN, PLAIN), "ENTRY_OUT_OF_REACH"),
        (lambda: open_by_hand(make_trade(symbol="ETH-USD"), QUOTE, BEGIN, PLAIN), "INVALID_FIELD"),
        (lambda: close_by_hand(opened(), QUOTE, BEGIN, PLAIN), "INVALID_FIELD"),
        (lambda: open_by_hand(make_trade(), QUOTE._replace(bid=Decimal(0)), BEGIN, PLAIN), "INVALID_FIELD"),
        (lambda: step(make_trade(), bar(1, 1, 1, 1, 1, symbol="ETH-USD"), PLAIN), "INVALID_FIELD"),
        (lambda: step(opened(), bar(1, 100, 100, 100, 100), PLAIN), "UNSORTED_CANDLES"),
        (lambda: step(make_trade(), bar(-5, 100, 100, 100, 100), PLAIN), "UNSORTED_CANDLES"),
        (lambda: step(make_trade(), bar(1, 100, 99, 101, 100), PLAIN), "INVALID_CANDLE"),
        (lambda: step(make_trade(), bar(1, 1, 1, 1, 1, step_ms=3_600_000), PLAIN), "INVALID_FIELD"),
        (lambda: make_trade(direction=Direction.HOLD), "INVALID_FIELD"),
        (lambda: make_trade(created_at=datetime(2026, 1, 1)), "INVALID_FIELD"),  # noqa: DTZ001  # on purpose
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(call, reason: str) -> None:
    with pytest.raises(CrpbotError) as caught:
        call()
    assert caught.value.reason == reason


# candles


def minutes(first: int, *closes: float) -> Candles:
    """Candles of a minute that stand at their closes."""
    prices = np.array(closes)
    times = BEGIN_MS + MINUTE * (first + np.arange(len(closes)))
    return Candles("BTC-USD", "1m", times, prices, prices, prices, prices, np.ones(len(closes)))


def test_candles_keep_their_holes_and_give_whole_units() -> None:
    parts = [minutes(0, 1.5, 2.5), minutes(5, 3.5)]
    bars = read_bars(parts)
    assert len(bars) == 3
    assert [each.close for each in bars] == [150_000_000, 250_000_000, 350_000_000]
    assert len(bars.from_ms(bars.row(2).open_ms)) == 1
    with pytest.raises(CrpbotError, match="the oldest comes first, none twice"):
        read_bars(parts[::-1])
    with pytest.raises(CrpbotError, match="one symbol and interval is needed"):
        read_bars([])
    with pytest.raises(CrpbotError, match="is no open, high, low and close"):
        Bars("BTC-USD", MINUTE, np.array([0]), np.array([[5], [4], [3], [5]]))
    with pytest.raises(CrpbotError, match="has the shape"):
        Bars("BTC-USD", MINUTE, np.array([0]), np.ones((3, 1), dtype=np.int64))
    with pytest.raises(CrpbotError, match="no number or above"):
        to_units(np.array([np.inf]))


# birth


def test_a_signal_gives_one_trade_and_the_same_one_twice() -> None:
    signal = decision(1)
    trade = birth(signal)
    assert trade == birth(signal)
    assert trade.id == trade_id_of(signal.account, signal.id)
    assert trade.id != trade_id_of("another", signal.id)
    assert (trade.signal_id, trade.quantity, trade.entry) == (signal.id, signal.quantity, signal.entry)
    assert trade.expires_at == signal.timestamp + timedelta(minutes=15)
    assert trade.high_confidence is (signal.tier is Tier.HIGH)


def test_a_hold_and_a_signal_without_size_open_nothing() -> None:
    with pytest.raises(CrpbotError, match="says HOLD") as caught:
        birth(replace(decision(1), direction=Direction.HOLD))
    assert caught.value.reason == "SIGNAL_IS_HOLD"
    with pytest.raises(CrpbotError, match="quantity None") as caught:
        birth(replace(decision(1), quantity=None))
    assert caught.value.reason == "SIGNAL_WITHOUT_SIZE"


def test_levels_on_the_wrong_side_are_refused() -> None:
    new = NewTrade("t", "BTC-USD", Direction.SELL, Decimal(1), Decimal(100), stop_loss=Decimal(99))
    with pytest.raises(CrpbotError, match="stop_loss: is 99; a SELL at 100 needs it above"):
        follow(new, BEGIN)


def test_a_trade_without_levels_and_expiry_lives_by_its_clock_alone() -> None:
    new = NewTrade("t" * 256, "BTC-USD", Direction.BUY, Decimal(1), Decimal(100))
    trade = follow(new, BEGIN)
    assert trade.expires_at == BEGIN + timedelta(minutes=15)
    found = advance(trade, [bar(1, 100, 100, 100, 100), bar(2, 40, 400, 1, 40), bar(300, 50, 50, 50, 50)], PLAIN)
    assert found.trade.closed_price == 50
    assert [entry.kind for move in found.moves for entry in move.entries].count(EntryKind.COMMISSION) == 2
    assert len(entry_key(trade.id, "open-commission")) < 256
