"""Which models speak now: read once for a question, so that no answer mixes two versions of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from core.analysis import Findings
from core.ensemble import Forecast, Line, Outlook, find_line
from core.features import WARM_UP
from core.models.manifest import Manifest
from core.models.store import EVERY_COIN
from core.models.weighting import KINDS, USUAL, Weights

INTERVAL: Final = "1m"  # the candles that all models read
PROBABILITY: Final = "probability"  # the headline of a model's reading
CALIBRATED: Final = "calibrated"
HORIZON_MINUTES: Final = 15
LONGEST_WINDOW: Final = 100
CANDLES: Final = WARM_UP + LONGEST_WINDOW
"""What a model is given: enough for the features of its window to be those of any longer history."""


class Seat(NamedTuple):
    """A model that speaks. A candidate is on trial: asked like the others, and without effect."""

    manifest: Manifest
    candidate: bool = False


class Vacancy(NamedTuple):
    """A seat that is empty although a model was promoted for it: which one, and why it does not speak.

    `symbols` are those that it knows; None where its manifest cannot be read, so that it may know any.
    """

    version: str
    why: str
    symbols: tuple[str, ...] | None = None

    def knows(self, symbol: str) -> bool:
        """Whether it would speak of a symbol."""
        return self.symbols is None or symbol in self.symbols


@dataclass(frozen=True, slots=True)
class Lineup:
    """The models that speak, the lines of their ensembles by symbol, and what is wrong with those that should.

    `faults` has a sentence for each model that was promoted and cannot be used; the one before it serves on. `empty`
    are the seats in which nobody speaks although a model was promoted, by kind and subject: a symbol, or all coins.
    """

    seats: tuple[Seat, ...] = ()
    weights: Weights = USUAL
    lines: Mapping[str, tuple[Line, ...]] = field(default_factory=lambda: MappingProxyType({}))
    faults: tuple[str, ...] = ()
    empty: Mapping[tuple[str, str], Vacancy] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that is asked, each once."""
        return tuple(dict.fromkeys(seat.manifest.version for seat in self.seats))

    def of(self, symbol: str) -> tuple[Seat, ...]:
        """The models that know a symbol."""
        return tuple(seat for seat in self.seats if symbol in seat.manifest.symbols)

    def vacancy(self, kind: str, symbol: str) -> Vacancy | None:
        """Who was promoted to speak of a symbol and does not: its own model before that of all coins."""
        promised = (self.empty.get((kind, subject)) for subject in (symbol, EVERY_COIN))
        return next((each for each in promised if each is not None and each.knows(symbol)), None)

    def staffed(self, symbols: Sequence[str]) -> frozenset[str]:
        """Those of the symbols for which a model is promoted, whether it speaks or not."""
        return frozenset(each for each in symbols if self._is_staffed(each))

    def _is_staffed(self, symbol: str) -> bool:
        speaks = any(not seat.candidate for seat in self.of(symbol))
        return speaks or any(self.vacancy(kind, symbol) is not None for kind in KINDS)


def read_outlook(symbol: str, as_of: datetime, found: Findings, lineup: Lineup) -> Outlook:
    """What the models said of one row, as an outlook. Each of them speaks through a reading named by its version."""
    readings = {each.theory: each for each in found.readings}
    gaps = {each.theory: each for each in found.missing}

    def tell(seat: Seat) -> Forecast:
        kind, version = seat.manifest.kind.value, seat.manifest.version
        reading = readings.get(version)
        if reading is None:
            gap = gaps.get(version)
            return Forecast(kind, version, None, None, gap.detail if gap else "it did not answer")
        if reading.problem is not None:
            return Forecast(kind, version, None, None, reading.problem)
        return Forecast(kind, version, reading.values[PROBABILITY], reading.values.get(CALIBRATED))

    return _put_together(symbol, as_of, lineup, tell)


def silent_outlook(symbol: str, lineup: Lineup, problem: str) -> Outlook:
    """The outlook where no model could be asked, for one reason."""

    def tell(seat: Seat) -> Forecast:
        return Forecast(seat.manifest.kind.value, seat.manifest.version, None, None, problem)

    return _put_together(symbol, None, lineup, tell)


def _put_together(symbol: str, as_of: datetime | None, lineup: Lineup, tell: Callable[[Seat], Forecast]) -> Outlook:
    seats = lineup.of(symbol)
    promoted = {seat.manifest.kind.value: tell(seat) for seat in seats if not seat.candidate}
    forecasts = tuple(promoted.get(kind) or _nobody(kind, symbol, lineup) for kind in KINDS)
    candidates = tuple(tell(seat) for seat in seats if seat.candidate)
    outlook = Outlook(as_of, HORIZON_MINUTES, forecasts, lineup.weights, candidates=candidates)
    lines, speaking = lineup.lines.get(symbol, ()), outlook.speaking
    spare = tuple(each for each in lines if frozenset(each.kinds) in {speaking - {kind} for kind in speaking})
    return replace(outlook, line=find_line(speaking, lines), spare_lines=spare)


def _nobody(kind: str, symbol: str, lineup: Lineup) -> Forecast:
    vacancy = lineup.vacancy(kind, symbol)
    if vacancy is not None:
        return Forecast(kind, vacancy.version, None, None, vacancy.why)
    return Forecast(kind, "", None, None, f"no {kind} is promoted for {symbol}; remedy: {remedy(kind, symbol)}")


def remedy(kind: str, symbol: str) -> str:
    """The command that makes a model of this kind, and how long it takes where that was measured."""
    coin = symbol.partition("-")[0]
    return {
        "lstm": f"make train COIN={coin}, about 3 minutes on two cores, then crpbot promote",
        "ppo": f"make rl COIN={coin}, about 2 minutes on two cores, then crpbot promote",
    }.get(kind, f"crpbot train {kind}, then crpbot promote")
