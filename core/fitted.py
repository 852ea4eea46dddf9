"""What theories learned from long history, and the rule that it serves only the market it was learned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from core.market import REQUEST_SOURCE

State = Any
"""A theory's own `Fitted`: a named tuple of arrays. Its type is the theory's business, so here it is Any."""


class Unfitted(NamedTuple):
    """There is nothing fitted for a row, and the sentence says why and what to do."""

    problem: str


class Span(NamedTuple):
    """The history of one symbol that was learned from, and what came out of it."""

    first: datetime
    last: datetime
    candles: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fit:
    """One theory fitted on one provider's candles of one interval: a state and its history for each symbol."""

    theory: str
    provider: str
    interval: str
    code: str  # hash of the theory's code: what another version learned is not used
    fitted_at: datetime
    spans: Mapping[str, Span]
    states: Mapping[str, State] = field(repr=False)


class Library(Protocol):
    """Where theories find what was fitted for a row."""

    def find(self, theory: str, source: str, interval: str, symbol: str) -> State | Unfitted:
        """The state fitted on just this market, or why there is none."""
        ...


class Shelf:
    """Fits as they were loaded. `faults` says of files that could not be used what is wrong with them."""

    def __init__(self, fits: tuple[Fit, ...] = (), faults: Mapping[str, str] | None = None) -> None:
        self.fits = fits
        self.faults = dict(faults or {})
        self._states = {
            (fit.theory, fit.provider, fit.interval, symbol): state
            for fit in fits
            for symbol, state in fit.states.items()
        }

    def find(self, theory: str, source: str, interval: str, symbol: str) -> State | Unfitted:
        """The state of exactly this theory, provider, interval and symbol, or what was fitted instead."""
        state = self._states.get((theory, source, interval, symbol))
        return Unfitted(self._explain(theory, source, interval, symbol)) if state is None else state

    def _explain(self, theory: str, source: str, interval: str, symbol: str) -> str:
        if source == REQUEST_SOURCE:
            return "fitted theories read the server's own candles only: ask by symbol"
        if theory in self.faults:
            return f"{self.faults[theory]}; remedy: crpbot fit"
        fits = [fit for fit in self.fits if fit.theory == theory]
        if not fits:
            return "not fitted yet; remedy: crpbot fit"
        here = [fit for fit in fits if fit.provider == source]
        if not here:
            others = " and ".join(sorted({fit.provider for fit in fits}))
            return f"fitted on {others} candles, these come from {source or 'elsewhere'}; remedy: crpbot fit"
        intervals = [fit.interval for fit in here]
        if interval not in intervals:
            fitted = ", ".join(sorted(intervals))
            return f"fitted on {fitted} candles, not on {interval}; remedy: crpbot fit --interval {interval}"
        return f"not fitted on {symbol}; remedy: crpbot fit --symbol {symbol}"


NOTHING_FITTED = Shelf()
