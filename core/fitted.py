"""What theories learned from long history, and the rule that it serves only the market it was learned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from core.market import REQUEST_SOURCE, instant, milliseconds

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
    """One theory fitted on one market's candles of one interval: a state and its history for each symbol."""

    theory: str
    origin: str
    interval: str
    code: str  # hash of the theory's code: what another version learned is not used
    fitted_at: datetime
    spans: Mapping[str, Span]
    states: Mapping[str, State] = field(repr=False)


class Wanted(NamedTuple):
    """Which market a row is of, and the instant that it could see."""

    origin: str  # the identity of the market, such as synthetic-7
    interval: str
    symbol: str
    as_of_ms: int


class Library(Protocol):
    """Where theories find what was fitted for a row."""

    def find(self, theory: str, wanted: Wanted) -> State | Unfitted:
        """The state fitted on just this market and not after this instant, or why there is none."""
        ...


class Shelf:
    """Fits as they were loaded. `faults` says what is wrong with a fit that was found and cannot be used."""

    def __init__(
        self, fits: tuple[Fit, ...] = (), faults: Mapping[tuple[str, str, str], str] = MappingProxyType({})
    ) -> None:
        self.fits = fits
        self.faults = dict(faults)  # by theory, origin and interval
        self._states = {
            (fit.theory, fit.origin, fit.interval, symbol): (state, milliseconds(fit.spans[symbol].last))
            for fit in fits
            for symbol, state in fit.states.items()
        }

    def find(self, theory: str, wanted: Wanted) -> State | Unfitted:
        """The state of exactly this theory and market, unless it was learned from what the row could not see yet."""
        state, last_ms = self._states.get((theory, *wanted[:3]), (None, 0))
        if state is None:
            return Unfitted(self._explain(theory, wanted))
        if wanted.as_of_ms < last_ms:
            return Unfitted(
                f"fitted on candles up to {instant(last_ms):%Y-%m-%d %H:%M} UTC, which this window could not see yet; "
                f"remedy: {_remedy(wanted)}"
            )
        return state

    def _explain(self, theory: str, wanted: Wanted) -> str:
        if wanted.origin == REQUEST_SOURCE:
            return "fitted theories read the server's own candles only: ask by symbol"
        fault = self.faults.get((theory, wanted.origin, wanted.interval))
        fits = [fit for fit in self.fits if fit.theory == theory]
        here = [fit for fit in fits if fit.origin == wanted.origin]
        if fault is not None:
            why = fault
        elif not fits:
            why = "not fitted yet"
        elif not here:
            others = " and ".join(sorted({fit.origin for fit in fits}))
            why = f"fitted on {others} candles, these come from {wanted.origin or 'elsewhere'}"
        elif all(fit.interval != wanted.interval for fit in here):
            why = f"fitted on {', '.join(sorted(fit.interval for fit in here))} candles, not on {wanted.interval}"
        else:
            why = f"not fitted on {wanted.symbol}"
        return f"{why}; remedy: {_remedy(wanted)}"


def _remedy(wanted: Wanted) -> str:
    return f"crpbot fit --interval {wanted.interval} --symbol {wanted.symbol}"


NOTHING_FITTED = Shelf()
