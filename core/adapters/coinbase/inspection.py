"""Is this machine's clock right by the exchange's, and which markets have halted? Looked at now and then."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

from core.adapters.coinbase.rest import NAME, CoinbaseRest
from core.adapters.exchange_http import Pace, Surroundings
from core.errors import Code, CrpbotError
from core.market import SYMBOLS
from core.risk.size import Step
from core.signal import Degradation

logger = logging.getLogger(__name__)

INSPECT_SECONDS: Final = 600.0  # after this the exchange's clock and products are looked at again
INSPECT_AGAIN_SECONDS: Final = 30.0  # the same when it failed, or when the clock was wrong: somebody may have set it
WORRYING_SKEW_MS: Final = 5_000
LONGEST_SKEW_MS: Final = 60_000
READY_SECONDS: Final = 1.5  # whoever asks whether the server is ready waits no longer than two


class Inspection:
    """What the exchange said last about its clock and its markets. Belongs to one event loop."""

    def __init__(self, exchange: CoinbaseRest, *, pace: Pace, surroundings: Surroundings) -> None:
        self._exchange = exchange
        self._attempt_seconds = pace.attempt_seconds
        self._world = surroundings
        self._lock = asyncio.Lock()
        self._due = -math.inf
        self._halted: frozenset[str] = frozenset()
        self._steps: dict[str, Step] = {}

    async def look(self, deadline: float) -> None:
        """Asks when it is time to; a failure costs no answer. A clock that is far off is refused."""
        await self._refresh(deadline)
        if abs(self._skew_ms) > LONGEST_SKEW_MS:
            raise CrpbotError(Code.FAILED_PRECONDITION, f"{NAME}: {self._words()}", reason="CLOCK_SKEW")

    def check(self, symbol: str) -> None:
        """Refuses a market in which nobody can trade."""
        if symbol in self._halted:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"{NAME}: {symbol}: the exchange has halted trading; leave it out until trading goes on",
                reason="TRADING_HALTED",
            )

    def step(self, symbol: str) -> Step | None:
        """What sizes the exchange takes of a symbol; None while it has not said so."""
        return self._steps.get(symbol)

    def doubts(self) -> tuple[Degradation, ...]:
        """What the clock says against every candle."""
        if self._exchange.clock_offset_ms is None:
            return (Degradation("CLOCK_UNCHECKED", f"{NAME}: the exchange did not tell its time; ours is believed"),)
        if abs(self._skew_ms) > WORRYING_SKEW_MS:
            return (Degradation("CLOCK_SKEW", f"{NAME}: this machine's clock is {self._ahead()} off; set it"),)
        return ()

    async def problem(self) -> str | None:
        """Why nobody should rely on this machine's clock, in words; None when it is right, or nobody told."""
        await self._refresh(self._world.monotonic() + READY_SECONDS)
        return self._words() if abs(self._skew_ms) > WORRYING_SKEW_MS else None

    async def _refresh(self, deadline: float) -> None:
        async with self._lock:
            now = self._world.monotonic()
            if now < self._due:
                return
            soon = min(deadline, now + self._attempt_seconds)
            try:
                await self._exchange.read_clock(deadline=soon)
                products = await self._exchange.products(SYMBOLS, deadline=soon)
            except CrpbotError as error:
                logger.warning("clock and products were not read, because %s", error.detail)
                self._due = now + INSPECT_AGAIN_SECONDS
                return
            self._steps |= {each.symbol: Step(each.base_increment, each.base_min_size) for each in products}
            self._halted = frozenset(product.symbol for product in products if not product.tradable)
            worrying = abs(self._skew_ms) > WORRYING_SKEW_MS
            self._due = now + (INSPECT_AGAIN_SECONDS if worrying else INSPECT_SECONDS)

    @property
    def _skew_ms(self) -> int:
        return self._exchange.clock_offset_ms or 0

    def _ahead(self) -> str:
        return f"{-self._skew_ms / 1_000:+.1f} s"

    def _words(self) -> str:
        limit_ms = LONGEST_SKEW_MS if abs(self._skew_ms) > LONGEST_SKEW_MS else WORRYING_SKEW_MS
        return (
            f"this machine's clock is {self._ahead()} from the exchange's, and more than {limit_ms / 1_000:.0f} s let "
            "nobody say which candles have closed; set the clock"
        )
