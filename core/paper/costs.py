"""What a paper trade costs: spread, commission, slippage, latency and financing, one model for all of them.

A candle's prices are taken as the middle between bid and ask. With s = 1 for BUY and -1 for SELL, m such a price, h
half the spread, g the slippage of a market order and g' that of a stop:

- a market order into the market pays m (1 + s (h + g)), out of it m (1 - s (h + g));
- a stop x is met when what can be had, m (1 - s h), is at x or beyond; it fills at x (1 - s g'), after a gap at what
  could be had at the open, less g';
- a target is a limit order: it fills at its price or, after a gap, at what could be had at the open, without slippage;
- commission is paid on each side's notional; financing for the time held, on the notional of the entry, both ways.

Every fill is rounded against the trader to 1e-8 dollars, and so is every amount.

The figures and why they are as they are:

- half spread 1 bp: the spreads of the ten coins were 0 to 3.6 bp wide on Coinbase in 2026, 2 bp is their middle. Two
  days of one-minute quotes of 2018 had half spreads of 0.02 (BTC), 0.52 (ETH) and 0.85 bp (LTC) in the mean and of
  0.01, 5.7 and 7.2 bp in one minute of a hundred.
- slippage 1 bp: in those quotes 39,000 (BTC) or 7,500 dollars (ETH, LTC) stood at the best bid, less than the 100,000
  to 200,000 that a 1 % risk with a stop 0.5 to 1 % away takes; what lies behind is assumed to cost as much again.
- stop slippage 5 bp: what the risk engine reckons with (core/risk/limits.py); stops fire into a market that runs.
- commission: the firm's, 3.25 bp a side of FTMO's crypto contracts, from the rule pack.
- financing 3 bp a day: three times the 1 bp per 8 hours that perpetual futures charge in a calm market, for both
  directions. The firm's own swap stands in its platform only; a trade of 4 hours pays 0.5 bp.
- latency 2 s: analysis and order; only candles that begin later count, so that no price is used that was there before.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import ClassVar, Final

from core.errors import invalid
from core.risk.limits import DEFAULT_LIMITS
from core.risk.terms import RiskPack
from core.trade import STRICT

# More than a tenth of the price is a typing error, whichever cost it is.
HIGHEST_COST: Final = Decimal("0.1")
HIGHEST_LATENCY_MS: Final = 900_000  # a signal lives 15 minutes


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost model. All but the latency are fractions: of the price, of the notional, of the notional a day."""

    __pydantic_config__: ClassVar = STRICT
    half_spread_fraction: Decimal = Decimal("0.0001")
    slippage_fraction: Decimal = Decimal("0.0001")
    stop_slippage_fraction: Decimal = DEFAULT_LIMITS.slippage_fraction
    commission_fraction: Decimal = Decimal("0.000325")
    financing_fraction_per_day: Decimal = Decimal("0.0003")
    latency_ms: int = 2_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Decimal) and not (value.is_finite() and 0 <= value <= HIGHEST_COST):
                raise invalid(f"costs.{field.name}", f"is {value}; a fraction from 0 to {HIGHEST_COST} is needed")
        if not 0 <= self.latency_ms <= HIGHEST_LATENCY_MS:
            raise invalid("costs.latency_ms", f"is {self.latency_ms}; 0 to {HIGHEST_LATENCY_MS} is allowed")

    @property
    def market_fraction(self) -> Decimal:
        """What a market order loses against the middle."""
        return self.half_spread_fraction + self.slippage_fraction


STANDARD: Final = Costs()
FREE: Final = Costs(*(Decimal(0),) * 5, latency_ms=0)  # for comparison with engines that know no costs


def costs_of(pack: RiskPack, costs: Costs = STANDARD) -> Costs:
    """The model with the firm's own commission."""
    return replace(costs, commission_fraction=pack.commission_per_side)
