"""Learns what each theory's vote is worth from the market's past, and saves it where servers find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from cli.fitting.histories import Line, Tell, problem_of, read_histories, work
from core.adapters.fits import save_fit
from core.deciding.weights import NAME, Past, bind_weights, fit_weights, look_back
from core.errors import CrpbotError
from core.market import Candles
from core.ports import Market

# Seven weeks of 5-minute candles. The theories that learn take the first half; the second gives 540 windows a symbol,
# enough that a gain in log loss of a thousandth stands out from chance where ten symbols are pooled.
WEIGHT_CANDLES: Final = 14_000
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Place:
    """Which market's candles of which length are learned from, up to when, and where the outcome is kept."""

    folder: Path
    market: Market
    interval: str
    now_ms: int


def learn_rule(place: Place, symbols: Sequence[str], count: int, length: int, tell: Tell) -> list[Line]:
    """The weights of all these symbols together: one line for what came out, and one for each symbol left out."""
    market, interval = place.market, place.interval
    at = datetime.now(UTC)
    try:
        histories, lines = read_histories(market, symbols, interval, count, now_ms=place.now_ms, theory=NAME)
    except CrpbotError as error:
        return [Line(NAME, ALL, interval, 0, {}, error.detail)]
    pasts: dict[str, Past] = {}
    action = partial(look_back, origin=market.identity, length=length, at=at)
    for done, (history, outcome) in enumerate(work(histories, action, name=_name), start=1):
        if isinstance(outcome, Exception):
            lines.append(Line(NAME, history.symbol, interval, len(history), {}, problem_of(outcome)))
        else:
            pasts[history.symbol] = outcome
        tell(done, len(histories), _name(history))
    if not pasts:
        return lines
    ordered = [pasts[symbol] for symbol in symbols if symbol in pasts]
    candles = [past.candles for past in ordered]
    read = sum(len(each) for each in candles)
    try:
        fit = bind_weights(market.identity, candles, fit_weights([past.samples for past in ordered]), at=at)
    except CrpbotError as error:
        return [*lines, Line(NAME, ALL, interval, read, {}, error.detail)]
    save_fit(place.folder, fit)
    return [*lines, Line(NAME, ALL, interval, read, dict(fit.spans[candles[0].symbol].metrics))]


def _name(history: Candles) -> str:
    return f"{NAME} {history.symbol}"
