"""What a symbol costs at Coinbase right now: the best offers beside its last trade, or why they cannot be relied on."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.adapters.coinbase.rest import NAME, CoinbaseRest
from core.errors import Code, CrpbotError
from core.market import instant
from core.risk.account import Quote

# Of the ten coins the thinnest had a trade in three minutes of four. Offers beside a trade as old as this are of a
# market that has stopped, or of a copy that somebody keeps.
OLDEST_TRADE: Final = timedelta(minutes=10)


async def read_quote(exchange: CoinbaseRest, symbol: str, *, now_ms: int, deadline: float) -> Quote:
    """The best bid and ask, told at `now_ms` by the exchange's clock."""
    ticker = await exchange.ticker(symbol, deadline=deadline)
    if ticker.bid is None or ticker.ask is None:
        missing = " and ".join(side for side, offer in (("bid", ticker.bid), ("ask", ticker.ask)) if offer is None)
        raise _unusable(symbol, f"there is no {missing}; ask again, or leave the symbol out", "NO_OFFERS")
    if ticker.bid > ticker.ask:
        words = f"its bid {ticker.bid} is above its ask {ticker.ask}; ask again"
        raise _unusable(symbol, words, "CROSSED_OFFERS")
    age = instant(now_ms + (exchange.clock_offset_ms or 0)) - ticker.at
    if age > OLDEST_TRADE:
        words = (
            f"the last trade is {age.total_seconds() / 60:.1f} minutes old, and the limit is "
            f"{OLDEST_TRADE.total_seconds() / 60:g}; look at the exchange's status page and at this machine's clock"
        )
        raise _unusable(symbol, words, "STALE_QUOTE")
    return Quote(symbol, ticker.bid, ticker.ask, now_ms)


def _unusable(symbol: str, words: str, reason: str) -> CrpbotError:
    return CrpbotError(Code.UNAVAILABLE, f"{NAME}: {symbol} quote: {words}", reason=reason)
