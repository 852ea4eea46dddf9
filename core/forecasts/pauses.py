"""Whom a market is not asked about again at once, because it has just told nothing: so that asking costs little.

A symbol that cannot be reached is not asked for at all for some minutes. Minutes that are missing are only those of
one instant: the other instants of the symbol are asked for. Pure: what time it is comes in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.forecasts.log import HOLE_STAYS, Awaited, Settled, give_up
from core.paper.tape import ABSENT

PAUSE: Final = timedelta(minutes=5)
_OUT_OF_REACH: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})


class _Away(NamedTuple):
    """A symbol that cannot be reached."""

    since: datetime
    until: datetime
    reason: str


class Pauses:
    """Belongs to one task."""

    def __init__(self) -> None:
        self._away: dict[str, _Away] = {}
        self._holes: dict[tuple[Awaited, str], datetime] = {}  # until then

    def due(self, awaited: Awaited, now: datetime) -> Awaited:
        """The same with the symbols that may be asked for now."""
        return awaited._replace(
            symbols=tuple(
                symbol
                for symbol in awaited.symbols
                if self._holes.get(_hole(awaited, symbol), now) <= now and not self._is_away(symbol, now)
            )
        )

    def given_up(self, awaited: Awaited, now: datetime) -> list[Settled]:
        """What nobody will know of symbols that have been out of reach for long, without asking once more."""
        found = (
            give_up(awaited, symbol, self._away[symbol].reason, now)
            for symbol in awaited.symbols
            if self._is_away(symbol, now) and now - self._away[symbol].since > HOLE_STAYS
        )
        return [each for each in found if each is not None]

    def failed(self, awaited: Awaited, symbol: str, error: CrpbotError, now: datetime) -> None:
        """The market told nothing of a symbol that it was asked about."""
        if is_away(error):
            since = self._away[symbol].since if symbol in self._away else now
            self._away[symbol] = _Away(since, now + PAUSE, error.reason)
        else:
            self._holes[_hole(awaited, symbol)] = now + PAUSE

    def told(self, symbol: str) -> None:
        """The market told something of a symbol."""
        self._away.pop(symbol, None)

    def forget(self, now: datetime) -> None:
        """Drop what is over."""
        self._holes = {key: until for key, until in self._holes.items() if until > now}

    def _is_away(self, symbol: str, now: datetime) -> bool:
        return symbol in self._away and self._away[symbol].until > now


def is_away(error: CrpbotError) -> bool:
    """Whether an error says that the market cannot be reached, and not that it lacks what was asked for."""
    return error.code in _OUT_OF_REACH and error.reason not in ABSENT


def _hole(awaited: Awaited, symbol: str) -> tuple[Awaited, str]:
    return awaited._replace(symbols=()), symbol
