"""How much to trade: from the distance to the stop, the risk that a trade may take, and whatever leaves less.

Quantity = the least of: risk percent of the initial capital / planned loss a unit; what each loss guard leaves / worst
loss a unit; what leverage leaves / entry; the firm's most lots. It is floored to a step that the exchange and the
firm's contract both accept, and is 0 below their minimum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import ClassVar, Final, NamedTuple

from core.errors import invalid
from core.risk.amount import EXACT, HUNDRED, UNIT, ZERO, up, usd
from core.risk.limits import Limits
from core.risk.loss import costs_of, planned_loss, worst_loss
from core.risk.pack import Contract, RiskPack
from core.risk.proposal import need_order
from core.risk.rule import Rule
from core.risk.state import RiskState
from core.trade import STRICT, Direction


@dataclass(frozen=True, slots=True)
class Step:
    """The exchange's increment of a quantity and the least that it accepts."""

    size: Decimal
    minimum: Decimal

    def __post_init__(self) -> None:
        for field, value in (("size", self.size), ("minimum", self.minimum)):
            if not (value.is_finite() and value > 0):
                raise invalid(f"step.{field}", f"is {value}; a number above 0 is needed")


FINEST: Final = Step(Decimal("0.00000001"), Decimal("0.00000001"))  # of a market that names no increments


@dataclass(frozen=True, slots=True)
class Plan:
    """A trade without its quantity. Without `risk_percent` the house's default is taken."""

    symbol: str
    direction: Direction
    entry: Decimal
    stop_loss: Decimal
    risk_percent: Decimal | None = None

    def __post_init__(self) -> None:
        need_order(self.direction, self.entry, self.stop_loss)


@dataclass(frozen=True, slots=True)
class Sizing:
    """How much may be traded and which constraint decided. Quantity 0 means that nothing fits, `binding` says why."""

    __pydantic_config__: ClassVar = STRICT
    quantity: Decimal
    lots: Decimal | None  # None: the firm does not trade it, or its platform says how much a lot is
    firm_symbol: str | None
    notional_usd: Decimal
    risk_usd: Decimal  # lost when the stop fills with slippage and fees
    worst_usd: Decimal  # and the entry filled as badly as it may
    risk_percent: Decimal  # of the initial capital
    binding: str
    detail: str
    paper_only: bool


class _Bound(NamedTuple):
    """One constraint: its name, the quantity that it allows, and why."""

    rule: str
    quantity: Decimal
    words: str


def size(plan: Plan, pack: RiskPack, state: RiskState, *, limits: Limits, step: Step) -> Sizing:
    """The largest quantity that keeps every rule, never one that `check` would refuse for its size."""
    risk_percent = _risk_percent(plan, limits)
    with localcontext(EXACT):
        costs = costs_of(pack.commission_per_side, limits)
        planned = planned_loss(plan.direction, plan.entry, plan.stop_loss, costs)
        worst = worst_loss(plan.direction, plan.entry, plan.stop_loss, costs)
        contract = pack.contracts.get(plan.symbol)
        bounds = [
            _Bound(
                Rule.RISK_PER_TRADE,
                risk_percent * state.initial_capital / HUNDRED / planned,
                f"{risk_percent} % of {usd(state.initial_capital)} at {usd(up(planned))} a unit",
            ),
            *_rooms(state, limits, worst),
            _by_leverage(plan, pack, state),
            *_by_lots(contract),
        ]
        least = min(bounds, key=lambda bound: bound.quantity)
        increment, minimum = _grid(step, contract)
        quantity = (least.quantity / increment).to_integral_value(ROUND_FLOOR) * increment
        if quantity < minimum:
            rule = least.rule if least.quantity <= 0 else Rule.MINIMUM
            words = f"{least.words}: {max(least.quantity, ZERO):.8f} units, and the least is {minimum:f}"
            least, quantity = _Bound(rule, ZERO, words), ZERO
        return Sizing(
            quantity=quantity,
            lots=None if contract is None or contract.units_per_lot is None else quantity / contract.units_per_lot,
            firm_symbol=None if contract is None else contract.firm_symbol,
            notional_usd=up(quantity * plan.entry),
            risk_usd=up(quantity * planned),
            worst_usd=up(quantity * worst),
            risk_percent=up(quantity * planned / state.initial_capital * HUNDRED),
            binding=least.rule,
            detail=least.words,
            paper_only=contract is None,
        )


def _risk_percent(plan: Plan, limits: Limits) -> Decimal:
    risk = limits.risk_percent if plan.risk_percent is None else plan.risk_percent
    if not (risk.is_finite() and 0 < risk <= limits.max_risk_percent):
        raise invalid("risk_percent", f"is {risk}; above 0 and at most {limits.max_risk_percent} is allowed")
    return risk


def _rooms(state: RiskState, limits: Limits, worst: Decimal) -> Iterator[_Bound]:
    """What the loss guards leave: strictly less than what is free, which is a whole number of units."""
    for headroom, rule in ((state.daily, Rule.DAILY_LOSS_GUARD), (state.total, Rule.TOTAL_LOSS_GUARD)):
        words = f"{usd(headroom.free_usd)} of {usd(headroom.guard_usd)} is free, at {usd(up(worst))} a unit"
        yield _Bound(rule, max(ZERO, headroom.free_usd - UNIT) / worst, words)
    if limits.max_open_risk_percent is not None:
        most = limits.max_open_risk_percent * state.initial_capital / HUNDRED
        words = f"{usd(state.open_risk_usd)} of {usd(most)} is at risk already"
        yield _Bound(Rule.OPEN_RISK, max(ZERO, most - state.open_risk_usd) / worst, words)


def _by_leverage(plan: Plan, pack: RiskPack, state: RiskState) -> _Bound:
    used = sum((each.notional_usd for each in state.claims), ZERO)
    equity = state.balance if state.equity is None else min(state.equity, state.balance)
    left = max(ZERO, pack.leverage * equity - used)
    return _Bound(Rule.LEVERAGE, left / plan.entry, f"{usd(left)} of {pack.leverage} times the equity is left")


def _by_lots(contract: Contract | None) -> Iterator[_Bound]:
    if contract is not None and contract.units_per_lot is not None:
        words = f"at most {contract.max_lots} lots of {contract.firm_symbol} in one order"
        yield _Bound(Rule.MAX_LOTS, contract.max_lots * contract.units_per_lot, words)


def _grid(step: Step, contract: Contract | None) -> tuple[Decimal, Decimal]:
    """The increment and the minimum that the exchange and the firm's contract both accept."""
    if contract is None or contract.units_per_lot is None:
        return step.size, _multiple(step.minimum, step.size)
    increment = _common_step(step.size, contract.lot_step * contract.units_per_lot)
    return increment, _multiple(max(step.minimum, contract.min_lots * contract.units_per_lot), increment)


@lru_cache(maxsize=256)
def _multiple(least: Decimal, increment: Decimal) -> Decimal:
    """The smallest multiple of the increment that is not below `least`."""
    return -(-least // increment) * increment if least % increment else least


@lru_cache(maxsize=256)
def _common_step(one: Decimal, other: Decimal) -> Decimal:
    """The least common multiple of two steps: both grids have its multiples."""
    first, second = Fraction(one), Fraction(other)
    scale = lcm(first.denominator, second.denominator)
    return Decimal(lcm(int(first * scale), int(second * scale))) / Decimal(scale)
