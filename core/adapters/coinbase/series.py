"""One series of Coinbase, read through the gate: what is known, what has closed since, and what was wrong with it.

Who asks may give up; what he asked the exchange for goes on to its own deadline, and is known then. Requests are few,
and the next question would else begin where this one did.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import numpy as np

from core.adapters.coinbase.known_candles import NO_ROWS, KnownCandles
from core.adapters.coinbase.live_window import Passed
from core.adapters.coinbase.rest import NAME, CoinbaseRest
from core.adapters.exchange_answer import Trouble
from core.errors import Code, CrpbotError
from core.gate import Admission, RawCandles, admit, revised, sift, utc
from core.market import interval_seconds

logger = logging.getLogger(__name__)

# Rows with no worse a defect are remembered; the others are asked for again.
HARMLESS: Final = frozenset(
    {"missing", "zero_volume", "frozen", "constant_price", "stale", "out_of_order", "duplicate"}
)


class CoinbaseSeries:
    """The candles of one symbol and interval. Who asks while another is asking waits, and profits from the answer."""

    def __init__(self, exchange: CoinbaseRest, monotonic: Callable[[], float], symbol: str, interval: str) -> None:
        self._exchange = exchange
        self._monotonic = monotonic
        self._symbol = symbol
        self._interval = interval
        self._step = 1_000 * interval_seconds(interval)
        self._known = KnownCandles(self._step)
        self._lock = asyncio.Lock()  # one reading at a time, held until it has ended
        self._reading: asyncio.Task[Admission] | None = None

    async def close(self) -> None:
        """Gives up what is still being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def read(self, begin: int, end: int, *, settled_ms: int, deadline: float) -> Passed:
        """The candles from `begin` to `end`. When the exchange fails by what may pass, what is known is given."""
        starts = range(begin, end, self._step)
        try:
            async with asyncio.timeout(deadline - self._monotonic()):
                await self._lock.acquire()
                self._reading = asyncio.create_task(self._refresh(starts, settled_ms, deadline))
                self._reading.add_done_callback(self._end)
                return Passed(await asyncio.shield(self._reading), None)
        except TimeoutError:
            trouble = Trouble("EXCHANGE_TIMEOUT", "no answer came before the deadline")
            failure = trouble.as_error(NAME, self._subject(starts))
        except CrpbotError as error:
            failure = error
        rows = self._known.with_fresh(starts, NO_ROWS)
        if failure.code is not Code.UNAVAILABLE or not len(rows.open_times):
            raise failure
        logger.warning("candles known before are given, because %s", failure.detail)
        return Passed(self._admit(rows, starts, settled_ms), failure)

    def _end(self, reading: asyncio.Task[Admission]) -> None:
        """Lets the next one read; how a reading ended that nobody waits for any more is told to nobody."""
        self._lock.release()
        if not reading.cancelled():
            reading.exception()

    async def _refresh(self, starts: range, settled_ms: int, deadline: float) -> Admission:
        """The wanted rows through the gate, after asking for those that are not known."""
        asked = self._known.unknown(starts)
        pages = [NO_ROWS]
        for span in asked:
            found = self._exchange.pages(self._symbol, self._interval, span, deadline=lambda: deadline)
            pages += [page async for page in found]
        fresh = RawCandles(*(np.concatenate(column) for column in zip(*pages, strict=True)))
        sifted = sift(fresh, symbol=self._symbol, interval=self._interval, now_ms=settled_ms)
        rows = self._known.with_fresh(starts, fresh, sifted.open_times)
        if not len(rows.open_times):
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"{NAME}: {self._subject(starts)}: the exchange gave none; look at the exchange's status page, "
                "or leave the symbol out",
                reason="NO_CANDLES",
            )
        admission = self._admit(rows, starts, settled_ms)
        if not {defect.kind for defect in admission.defects} - {"revised"} <= HARMLESS:
            return admission
        changed = self._known.keep(asked, sifted)
        if not changed:
            return admission
        logger.warning("%s: %s: revised: %s", NAME, self._subject(starts), revised(changed).example)
        return self._admit(rows, starts, settled_ms)

    def _admit(self, rows: RawCandles, starts: range, settled_ms: int) -> Admission:
        """The rows through the gate; a candle that was told otherwise later is doubted as long as it is read."""
        admission = admit(rows, symbol=self._symbol, interval=self._interval, now_ms=settled_ms, source=NAME)
        found = self._known.revised(starts)
        return admission._replace(defects=(*admission.defects, revised(found))) if found else admission

    def _subject(self, starts: range) -> str:
        return f"{self._symbol} {self._interval} candles from {utc(starts.start)} to {utc(starts.stop)}"
