"""A trader who takes every risk that a check allows, as a machine that hypothesis drives; the firm's server watches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.risk.account import OpenTrade, TradeState
from core.risk.check import Proposal, Purpose, check
from core.risk.pack import find_pack
from core.risk.rule import Rule
from core.risk.size import Plan, Step, size
from core.risk.state import Standing
from core.trade import Direction
from tests.core.risk_facts import CAPITAL
from tests.core.risk_world import CENTI_MICRO, LIMITS, SYMBOLS, Judge, World, honest

STARTS = (
    datetime(2026, 11, 18, 11, tzinfo=UTC),
    datetime(2026, 3, 28, 20, tzinfo=UTC),  # the next Prague day has 23 hours
    datetime(2026, 10, 24, 20, tzinfo=UTC),  # the next one has 25
)
STEP = Step(CENTI_MICRO, CENTI_MICRO)
DUST = Decimal("0.000001")  # what rounding each booking to a unit may add up to
WORSE = {Standing.OK: 0, Standing.WARN: 1, Standing.EARLY_STOP: 2, Standing.BREACHED: 3}

shares = st.decimals(0, 1, places=2)
directions = st.sampled_from([Direction.BUY, Direction.BUY, Direction.BUY, Direction.SELL])
symbols = st.sampled_from(SYMBOLS)


class Trading(RuleBasedStateMachine):
    """A trader who takes all the risk that the check allows, in a market that finds every stop."""

    judge: Judge = staticmethod(honest)
    steps = 0  # over all runs of one class
    accepted = 0

    @initialize(start=st.sampled_from(STARTS), pack=st.sampled_from(["ftmo-2step-challenge", "ftmo-1step"]))
    def open_account(self, start: datetime, pack: str) -> None:
        self.world = World(replace(find_pack(pack), contracts={}), start, self.judge)
        self.floors: dict[date, Decimal] = {}
        self.held = {"daily": (date.min, Standing.OK), "total": (date.min, Standing.OK)}

    @rule(direction=directions, distance=st.decimals("0.007", "0.08", places=4), percents=st.lists(shares, max_size=4))
    def propose(self, direction: Direction, distance: Decimal, percents: list[Decimal]) -> None:
        for symbol, percent in zip(SYMBOLS + SYMBOLS, percents, strict=False):
            self._propose(symbol, direction, distance, percent)

    def _propose(self, symbol: str, direction: Direction, distance: Decimal, percent: Decimal) -> None:
        """A trade of any size up to 2 %, or of the largest size that the engine itself names."""
        world, sign = self.world, 1 if direction is Direction.BUY else -1
        entry = world.middle[symbol]
        stop = entry * (1 - sign * distance)
        if percent < Decimal("0.3"):
            plan = Plan(symbol, direction, entry, stop, LIMITS.max_risk_percent)
            quantity = size(plan, world.pack, world.state(), limits=LIMITS, step=STEP).quantity
        else:
            quantity = percent * 2 * CAPITAL / 100 / (entry * (distance + Decimal("0.0013")))
        quantity = quantity.quantize(CENTI_MICRO, ROUND_FLOOR)
        if quantity and world.propose(Proposal(Purpose.TRADE, symbol, direction, entry, stop, None, quantity)):
            type(self).accepted += 1
            worst = world.equity_if_stops_fill()
            assert worst > max(world.floors()), "the stops together break a limit of today"
            held = world.balance() - world.pack.daily_loss * CAPITAL
            assert worst > held, "held over midnight the stops break the new day's limit"
            assert worst > world.floors(world.midnight_after())[1]

    @rule(symbol=symbols, direction=directions, distance=st.decimals("0.007", "0.08", places=4))
    def size_and_check(self, symbol: str, direction: Direction, distance: Decimal) -> None:
        """Whatever size the engine names, its check does not refuse for the size."""
        world, entry = self.world, self.world.middle[symbol]
        stop = entry * (1 - (1 if direction is Direction.BUY else -1) * distance)
        state = world.state()
        sizing = size(Plan(symbol, direction, entry, stop), world.pack, state, limits=LIMITS, step=STEP)
        if sizing.quantity:
            asked = Proposal(Purpose.SIGNAL, symbol, direction, entry, stop, None, sizing.quantity)
            vetoes = check(world.facts(), world.pack, world.quotes(), world.now(), proposal=asked, limits=LIMITS)
            assert {veto.rule for veto in vetoes} <= {Rule.DAILY_STOP, Rule.TOTAL_STOP, Rule.BREACH}

    @precondition(lambda self: self._some(TradeState.PENDING))
    @rule(which=st.integers(0, 50), share=st.decimals(-1, 1, places=1))
    def fill(self, which: int, share: Decimal) -> None:
        pending = self._some(TradeState.PENDING)
        self.world.fill(pending[which % len(pending)], share)

    @precondition(lambda self: self._some(TradeState.PENDING))
    @rule(share=st.decimals(-1, 1, places=1))
    def fill_all(self, share: Decimal) -> None:
        for trade in self._some(TradeState.PENDING):
            self.world.fill(trade, share)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(which=st.integers(0, 50), slip=shares)
    def stop_out(self, which: int, slip: Decimal) -> None:
        """The price goes to a trade's stop."""
        opened = self._some(TradeState.OPEN)
        self._to_stop(opened[which % len(opened)], slip)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(slip=shares)
    def stop_out_all(self, slip: Decimal) -> None:
        """One market: everything goes to its stop."""
        while opened := self._some(TradeState.OPEN):
            self._to_stop(opened[0], slip)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(times=st.decimals(1, 3, places=1))
    def take_profits(self, times: Decimal) -> None:
        """Every trade wins a multiple of what it risked and is closed, one after the other."""
        while opened := self._some(TradeState.OPEN):
            target = opened[0].entry + times * (opened[0].entry - _stop(opened[0]))
            self.world.move(opened[0].symbol, target)
            self.world.leave(opened[0], target)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(share=st.decimals("0.5", "0.97", places=2), days=st.integers(0, 1))
    def draw_near(self, share: Decimal, days: int) -> None:
        """Every coin goes most of the way to the stop of its first trade, and perhaps is held over midnight so."""
        for symbol in SYMBOLS:
            for trade in [each for each in self._some(TradeState.OPEN) if each.symbol == symbol][:1]:
                self.world.move(symbol, trade.entry + share * (_stop(trade) - trade.entry))
        if days:
            self.world.go_to(self.world.midnight_after())

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(slip=shares)
    def end_a_bad_night(self, slip: Decimal) -> None:
        """Deep in loss at midnight and out at the stops right after it."""
        self.draw_near(Decimal("0.95"), 1)
        self.stop_out_all(slip)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(slip=shares)
    def lose_between_two_midnights(self, slip: Decimal) -> None:
        """Out at the stops after the firm's midnight and before the one in UTC, and on until that has passed."""
        self.world.go_to(self.world.midnight_after() + timedelta(minutes=20))
        self.stop_out_all(slip)
        self.wait(120)

    @rule(symbol=symbols, change=st.decimals("-0.03", "0.03", places=3))
    def mark(self, symbol: str, change: Decimal) -> None:
        self.world.move(symbol, (self.world.middle[symbol] * (1 + change)).quantize(CENTI_MICRO))

    @rule(symbol=symbols, change=st.sampled_from([Decimal("-0.05"), Decimal("0.05")]))
    def gap(self, symbol: str, change: Decimal) -> None:
        self.world.move(symbol, (self.world.middle[symbol] * (1 + change)).quantize(CENTI_MICRO), jump=True)

    @precondition(lambda self: bool(self.world.trades))
    @rule(which=st.integers(0, 50))
    def leave(self, which: int) -> None:
        trade = self.world.trades[which % len(self.world.trades)]
        quote = self.world.quotes()[trade.symbol]
        self.world.leave(trade, quote.bid if trade.direction is Direction.BUY else quote.ask)

    @precondition(lambda self: self._some(TradeState.OPEN))
    @rule(amount=st.decimals("0.01", "60", places=2))
    def swap(self, amount: Decimal) -> None:
        self.world.swap(amount)

    @rule(minutes=st.integers(1, 600))
    def wait(self, minutes: int) -> None:
        self.world.go_to(self.world.at + timedelta(minutes=minutes))

    @rule(seconds=st.sampled_from([-1, 0, 1800]), days=st.sampled_from([1, 1, 1, 2]))
    def go_to_midnight(self, seconds: int, days: int) -> None:
        """To a second before the firm's midnight, onto it, or into the hour that is still yesterday in UTC."""
        self.world.go_to(self.world.midnight_after(days) + timedelta(seconds=seconds))

    @invariant()
    def the_firm_sees_no_breach(self) -> None:
        type(self).steps += 1
        world = self.world
        equity, (daily, total), (today, ever) = world.equity(), world.floors(), world.excused()
        assert equity > daily - today, "the daily limit is broken"
        assert equity > total - ever, "the total limit is broken"

    @invariant()
    def the_house_sees_no_breach_of_its_guards(self) -> None:
        state, (today, ever) = self.world.state(), self.world.excused()
        assert state.equity is not None
        assert state.equity > state.daily.guard_floor - today - DUST
        assert state.equity > state.total.guard_floor - ever - DUST

    @invariant()
    def the_engine_knows_the_firms_figures(self) -> None:
        world, state = self.world, self.world.state()
        assert (state.daily.floor, state.total.floor) == world.floors()
        assert state.balance == world.balance()
        assert state.equity is not None
        assert abs(state.equity - world.equity()) < DUST

    @invariant()
    def the_floor_of_a_day_stays(self) -> None:
        state = self.world.state()
        assert self.floors.setdefault(state.day.date, state.daily.floor) == state.daily.floor

    @invariant()
    def what_has_tripped_stays(self) -> None:
        state = self.world.state()
        for name, headroom in (("daily", state.daily), ("total", state.total)):
            day, worst = self.held[name]
            stays = worst is Standing.BREACHED or (
                worst is Standing.EARLY_STOP and (name == "total" or day == state.day.date)
            )
            assert not stays or WORSE[headroom.state] >= WORSE[worst]
            if WORSE[headroom.state] >= WORSE[Standing.EARLY_STOP]:
                self.held[name] = (state.day.date, headroom.state)

    def _some(self, state: TradeState) -> list[OpenTrade]:
        return [trade for trade in self.world.trades if trade.state is state]

    def _to_stop(self, trade: OpenTrade, slip: Decimal) -> None:
        self.world.move(trade.symbol, _stop(trade), slip=slip)


def _stop(trade: OpenTrade) -> Decimal:
    assert trade.stop_loss is not None
    return trade.stop_loss


def run(judge: Judge, *, steps: int, each: int = 25, repeat: bool = True) -> type[Trading]:
    """The property over at most so many steps of random trading, the same at each call if it is to `repeat`."""
    machine = type("TradingUnderTest", (Trading,), {"judge": staticmethod(judge)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=steps // each,
            stateful_step_count=each,
            deadline=None,
            derandomize=repeat,
            database=None,
            phases=[Phase.generate],  # a failure here is a story of its own; shrinking takes minutes
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        ),
    )
    return machine
