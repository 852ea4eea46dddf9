"""The keeper follows every paper trade to its end: whatever is late, doubled, refused or restarted, nothing is lost."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.schema import signal_results
from core.deciding.confidence import raise_threshold
from core.errors import Code
from core.keeper import Keeper, Tally
from core.risk.account import Account, AccountKind, KillLevel, TradeState
from core.risk.assess import assess
from core.risk.booking import Outcome, Trade
from core.risk.check import Proposal, Purpose, check
from core.risk.limits import Limits
from core.risk.pack import find_pack
from core.signal import Variant
from core.trade import Book, Direction, Tier
from tests.core.books import NOON, Books, seeded
from tests.core.keeper_world import PlantedMarket, at_100, keep, publish, refusal, turn_to
from tests.core.paper_cases import walk

STOPPED = (100.0, 100.2, 97.5, 97.8)
REACHED = (100.0, 103.5, 99.9, 103.2)


@pytest.fixture
def market() -> PlantedMarket:
    return PlantedMarket()


async def round_at(keeper: Keeper, books: Books, minute: float) -> Tally:
    turn_to(books, minute)
    return await keeper.follow_trades()


async def trade_of(books: Books, born: Trade) -> Trade:
    return await books.trades.get(born.id)


async def check_books(books: Books, account: str = "paper") -> Decimal:
    """What must hold whatever happens: no hole in the numbers, every result the sum of its own entries."""
    entries = await books.trades.entries(account)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    trades = await books.trades.list(account)
    signals = [trade.signal_id for trade in trades]
    assert len(set(signals)) == len(signals)
    for trade in trades:
        own = sum((entry.amount for entry in entries if entry.trade_id == trade.id), Decimal(0))
        assert trade.pnl is None or trade.pnl == own
    booked = sum((entry.amount for entry in entries), Decimal(0))
    assert booked == sum((day.amount for day in (await books.facts(account)).days), Decimal(0))
    return booked


async def results(books: Books) -> dict[str, tuple[str, float]]:
    async with books.ledger.reading() as connection:
        rows = (await connection.execute(signal_results.select())).all()
    return {row.signal_id: (row.outcome, row.pnl_percent) for row in rows}


async def test_a_trade_waits_opens_and_ends_at_its_target(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100())
    keeper = keep(books, market)
    market.calm(range(-10, 2), 102.0)  # too far from the entry
    assert await round_at(keeper, books, 2) == Tally(0, 1, 0)
    assert (await trade_of(books, born)).state is TradeState.PENDING
    market.calm(range(2, 3))
    assert await round_at(keeper, books, 3) == Tally(1, 0, 0)
    opened = await trade_of(books, born)
    assert (opened.state, opened.opened_price) == (TradeState.OPEN, Decimal("100.02"))
    assert await round_at(keeper, books, 3) == Tally(0, 1, 0)
    market.plant(3, [REACHED])
    assert await round_at(keeper, books, 4) == Tally(1, 0, 0)
    closed = await trade_of(books, born)
    assert (closed.state, closed.outcome, closed.closed_price) == (TradeState.CLOSED, Outcome.WIN, Decimal(103))
    assert await check_books(books) == closed.pnl
    assert await round_at(keeper, books, 5) == Tally(0, 0, 0)


async def test_a_stop_a_time_out_and_an_expiry_are_found(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    stopped = await publish(books, at_100(symbol="BTC-USD"))
    timed = await publish(books, at_100(1, timestamp=NOON, symbol="ETH-USD", direction=Direction.SELL))
    missed = await publish(books, at_100(2, timestamp=NOON, symbol="SOL-USD"))
    market.calm(range(3))
    market.plant(3, [STOPPED])
    market.calm(range(4, 245), 97.8)
    market.calm(range(245), symbol="ETH-USD")
    market.calm(range(245), 110.0, "SOL-USD")
    assert await round_at(keep(books, market), books, 245) == Tally(3, 0, 0)
    first, second, third = [await trade_of(books, each) for each in (stopped, timed, missed)]
    assert (first.outcome, first.closed_price) == (Outcome.LOSS, Decimal("97.951"))
    assert (second.outcome, second.closed_price) == (Outcome.LOSS, Decimal("100.02"))
    assert (third.outcome, third.opened_price, third.pnl) == (Outcome.EXPIRED, None, 0)
    told = await results(books)
    assert {key: outcome for key, (outcome, _) in told.items()} == {
        stopped.signal_id: "loss",
        timed.signal_id: "loss",
        missed.signal_id: "expired",
    }
    notional = first.opened_price * first.quantity
    assert told[stopped.signal_id][1] == pytest.approx(float(100 * first.pnl / notional), abs=1e-6)
    assert told[missed.signal_id][1] == 0.0
    await check_books(books)


async def test_a_gap_through_the_stop_is_booked_as_it_is_and_the_guard_then_blocks(
    ledger: Ledger, market: PlantedMarket
) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100(quantity=Decimal(500)))  # 1,000 dollars of risk at a stop of 2
    market.calm(range(3))
    market.calm(range(3, 6), 90.0)  # opens ten below the entry
    await round_at(keep(books, market), books, 6)
    closed = await trade_of(books, born)
    assert closed.closed_price == Decimal("89.9460045")  # at the open, less half the spread and the slippage
    loss = await check_books(books)
    assert loss == closed.pnl
    assert loss < -5_000  # five times the plan: the whole overshoot stands in the ledger
    facts, pack, now = await books.facts(), find_pack("ftmo-2step-challenge"), books.clock()
    state = assess(facts, pack, {}, now, limits=Limits())
    assert state.balance == Decimal(100_000) + loss
    asked = Proposal(Purpose.SIGNAL, "BTC-USD", Direction.BUY)
    rules = {str(veto.rule) for veto in check(facts, pack, {}, now, proposal=asked, limits=Limits())}
    assert "breach" in rules


async def test_the_shadow_account_is_followed_too_and_no_halt_stops_it(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100(account="shadow", book=Book.SHADOW))
    await books.switch.set(KillLevel.HALT, by="test", reason="drill", clock=books.clock)
    market.calm(range(2))
    market.plant(2, [REACHED])
    await round_at(keep(books, market), books, 3)
    assert (await trade_of(books, born)).outcome is Outcome.WIN
    assert await check_books(books, "shadow") > 0
    assert await check_books(books) == 0


async def test_what_is_held_at_the_firm_only_expires(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    mine = Account(
        "mine", "mine", AccountKind.REPORTED, Book.PRIMARY, "ftmo-1step", "Europe/Prague", Decimal(50_000), NOON
    )
    await books.accounts.create(mine, by="test")
    born = await publish(books, at_100(account="mine"))
    market.calm(range(30))
    keeper = keep(books, market)
    assert await round_at(keeper, books, 16) == Tally(0, 1, 0)  # a grace of two minutes
    assert await round_at(keeper, books, 17) == Tally(1, 0, 0)
    assert (await trade_of(books, born)).outcome is Outcome.EXPIRED
    assert market.asked == []


async def test_a_halt_takes_back_what_waits_and_lets_closings_through(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    is_open = await publish(books, at_100())
    waiting = await publish(books, at_100(1, timestamp=NOON, symbol="ETH-USD"))
    keeper = keep(books, market)
    market.calm(range(2))
    market.calm(range(2), 102.0, "ETH-USD")
    assert await round_at(keeper, books, 2) == Tally(1, 1, 0)
    await books.switch.set(KillLevel.HALT, by="test", reason="drill", clock=books.clock)
    market.plant(2, [STOPPED])
    market.calm(range(2, 5), 101.9, "ETH-USD")
    assert await round_at(keeper, books, 3) == Tally(1, 1, 0)
    assert (await trade_of(books, is_open)).outcome is Outcome.LOSS
    assert (await trade_of(books, waiting)).state is TradeState.PENDING
    market.calm(range(3, 5), 97.0)
    market.calm(range(5, 6), symbol="ETH-USD")  # now its entry is met
    assert await round_at(keeper, books, 6) == Tally(1, 0, 0)
    after = await trade_of(books, waiting)
    assert (after.outcome, after.opened_price, after.pnl) == (Outcome.CANCELLED, None, 0)
    await books.switch.set(KillLevel.OFF, by="test", reason="over", clock=books.clock)
    assert await round_at(keeper, books, 7) == Tally(0, 0, 0)  # nothing is opened in hindsight
    assert (await results(books))[waiting.signal_id] == ("cancelled", 0.0)


async def random_life(ledger: Ledger, market: PlantedMarket, *, restarts: bool) -> list[tuple[str, Decimal, str]]:
    """Eight trades over five hours of a wild market; with restarts a new keeper at each look, and looks left out."""
    books = await seeded(ledger)
    bars = walk(5, 330, deviation=0.004)
    for symbol, shift in (("BTC-USD", 0), ("ETH-USD", 7)):
        for bar in bars:
            minute = (bar.open_ms - int(bars.times[0])) // 60_000 - shift
            market.plant(minute, [tuple(units / 1e8 for units in (bar.open, bar.high, bar.low, bar.close))], symbol)
    keeper = keep(books, market)
    for minute in range(0, 315):
        turn_to(books, minute)
        if minute in range(0, 80, 10):
            symbol = "BTC-USD" if minute % 20 else "ETH-USD"
            direction = Direction.SELL if minute % 30 else Direction.BUY
            price = Decimal(repr(market.minutes[symbol].get(minute, market.minutes[symbol][0])[0]))
            far = price / 50 if direction is Direction.BUY else -price / 50
            levels = {"entry": price, "stop_loss": price - far, "take_profit": price + far}
            await publish(books, at_100(minute, direction, symbol=symbol, **levels))
        if not restarts:
            await keeper.follow_trades()
        elif minute % 23 == 0:
            await keep(books, market).follow_trades()
    await keep(books, market).follow_trades()
    await check_books(books)
    entries = await books.trades.entries("paper")
    assert all(trade.state is TradeState.CLOSED for trade in await books.trades.list("paper"))
    return sorted((entry.key, entry.amount, entry.detail) for entry in entries)


async def test_restarts_give_the_ledger_of_an_undisturbed_run_to_the_cent(
    ledger: Ledger, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('twin')}/crpbot.db"
    upgrade(url)
    twin = await Ledger.open(url)
    try:
        undisturbed = await random_life(twin, PlantedMarket(), restarts=False)
    finally:
        await twin.close()
    assert len(undisturbed) > 15
    assert await random_life(ledger, PlantedMarket(), restarts=True) == undisturbed


async def test_two_keepers_at_once_book_every_entry_once(
    ledger: Ledger, ledger_url: str, market: PlantedMarket
) -> None:
    books = await seeded(ledger)
    born = [
        await publish(books, at_100(number, timestamp=NOON, symbol=symbol, quantity=Decimal(1)))
        for number, symbol in enumerate(("BTC-USD", "ETH-USD", "SOL-USD", "LTC-USD"))
    ]
    other = await Ledger.open(ledger_url)
    try:
        for minute in range(1, 6):
            for trade in born:
                row = REACHED if minute == 4 else (100.0, 100.0, 100.0, 100.0)
                market.plant(minute - 1, [row], trade.symbol)
            turn_to(books, minute)
            both = (keep(books, market), keep(books, market, other), keep(books, market, other))
            await asyncio.gather(*(keeper.follow_trades() for keeper in both))
    finally:
        await other.close()
    entries = await books.trades.entries("paper")
    assert len(entries) == 4 * 4  # commission, result, commission, financing
    assert len({entry.key for entry in entries}) == len(entries)
    assert len(await results(books)) == 4
    await check_books(books)
    assert (await ledger.verify_audit()).problem is None


@pytest.mark.parametrize("how", ["refused", "raised", "damaged"])
async def test_a_symbol_the_market_refuses_does_not_stop_the_others(
    ledger: Ledger, market: PlantedMarket, how: str
) -> None:
    books = await seeded(ledger)
    await publish(books, at_100())
    fine = await publish(books, at_100(1, timestamp=NOON, symbol="ETH-USD"))
    market.calm(range(3))
    market.calm(range(3), symbol="ETH-USD")
    if how == "refused":
        market.broken["BTC-USD"] = refusal("EXCHANGE_TIMEOUT", Code.UNAVAILABLE)
    elif how == "raised":
        market.raising.add("BTC-USD")
    else:
        market.plant(1, [(1e9, 1e9, 1e9, 1e9)])  # above every price that can be booked
    assert await round_at(keep(books, market), books, 3) == Tally(1, 1, 0)
    assert (await trade_of(books, fine)).state is TradeState.OPEN


async def test_an_hour_without_a_market_is_caught_up_with_candle_by_candle(
    ledger: Ledger, market: PlantedMarket
) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100())
    keeper = keep(books, market)
    market.calm(range(5), 102.0)
    market.calm(range(5, 8))  # met while nobody could look
    market.plant(8, [REACHED])
    market.calm(range(9, 75), 103.0)
    market.broken["BTC-USD"] = refusal("EXCHANGE_TIMEOUT", Code.UNAVAILABLE)
    for minute in (10, 20, 60):
        assert await round_at(keeper, books, minute) == Tally(0, 1, 0)  # a market that is silent lets nothing expire
    market.broken.clear()
    assert await round_at(keeper, books, 70) == Tally(1, 0, 0)
    closed = await trade_of(books, born)
    assert closed.outcome is Outcome.WIN
    details = [entry.detail for entry in await books.trades.entries("paper")]
    assert "12:05:00" in details[0]
    assert "12:09:00" in details[1]


async def test_a_hole_fills_nothing_and_what_lies_on_both_sides_of_it_counts(
    ledger: Ledger, market: PlantedMarket
) -> None:
    books = await seeded(ledger)
    opened = await publish(books, at_100())
    ended = await publish(books, at_100(1, timestamp=NOON, symbol="ETH-USD"))
    waiting = await publish(books, at_100(2, timestamp=NOON, symbol="SOL-USD"))
    for symbol, before in (("BTC-USD", 100.0), ("ETH-USD", 100.0), ("SOL-USD", 110.0)):
        market.calm(range(-5, 7), before, symbol)
    market.plant(6, [REACHED], "ETH-USD")  # before the hole
    market.calm(range(67, 80), 99.0)  # between stop and target
    market.calm(range(67, 80), 90.0, "ETH-USD")
    market.calm(range(67, 80), 100.0, "SOL-USD")  # met too late
    keeper = keep(books, market)
    assert await round_at(keeper, books, 72) == Tally(3, 0, 0)
    assert (await trade_of(books, opened)).state is TradeState.OPEN
    assert (await trade_of(books, ended)).outcome is Outcome.WIN
    assert (await trade_of(books, waiting)).outcome is Outcome.EXPIRED
    questions = len(market.asked)
    market.plant(80, [STOPPED])
    assert await round_at(keeper, books, 81) == Tally(1, 0, 0)  # the hole is not asked for again
    assert len(market.asked) == questions + 1


async def test_a_time_out_is_found_across_a_hole_of_a_day(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100())
    market.calm(range(5))
    market.calm(range(1_445, 1_450), 99.5)
    await round_at(keep(books, market), books, 1_450)
    closed = await trade_of(books, born)
    assert (closed.outcome, closed.closed_price) == (Outcome.LOSS, Decimal("99.48010"))


async def test_two_weeks_without_a_server_are_caught_up_with_in_pieces(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100())
    market.calm(range(5))
    market.calm(range(5, 20_200), 99.5)
    keeper = keep(books, market)
    await round_at(keeper, books, 20_160)
    closed = await trade_of(books, born)
    assert (closed.outcome, closed.closed_price) == (Outcome.LOSS, Decimal("99.48010"))
    assert "2026-11-21T12:01:00" in (await books.trades.entries("paper"))[0].detail
    assert market.asked == [("BTC-USD", 10_000)]


async def test_a_market_that_never_comes_back_lets_go_of_what_waits_after_a_day(
    ledger: Ledger, market: PlantedMarket
) -> None:
    books = await seeded(ledger)
    born = await publish(books, at_100())
    keeper = keep(books, market)
    assert await round_at(keeper, books, 15 + 1_439) == Tally(0, 1, 0)
    assert await round_at(keeper, books, 15 + 1_440) == Tally(1, 0, 0)
    assert (await trade_of(books, born)).outcome is Outcome.EXPIRED


async def test_wins_and_losses_are_learned_and_raise_the_threshold(ledger: Ledger, market: PlantedMarket) -> None:
    books = await seeded(ledger)
    decisions = StoredDecisions(ledger, Signals(ledger))
    keeper = keep(books, market)
    for number in range(0, 125, 5):
        turn_to(books, number)
        await publish(books, at_100(number, timestamp=books.clock.at, quantity=Decimal("0.1")))
        market.calm(range(number, number + 3))
        market.plant(number + 3, [STOPPED if number else REACHED])
        market.calm(range(number + 4, number + 5), 100.0)
        await round_at(keeper, books, number + 4)
        await round_at(keeper, books, number + 4)
    records = await decisions.records(["BTC-USD"], synthetic=True)
    record = records["BTC-USD"][Variant.V7_FULL_MATH][Tier.MEDIUM]
    assert (record.wins, record.losses) == (1, 24)
    assert (await decisions.records(["BTC-USD"], synthetic=False)) == {"BTC-USD": {}}
    outcomes = [outcome for outcome, _ in (await results(books)).values()]
    assert sorted(outcomes) == ["loss"] * 24 + ["win"]
    raised = raise_threshold(0.65, records["BTC-USD"][Variant.V7_FULL_MATH])
    assert (raised.value, raise_threshold(0.65, {}).value) == (0.75, 0.65)
