"""What CoinGecko and alternative.me are asked, and what of their answers is a fact: finite, in bounds, and of today."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from core.adapters.exchange_answer import Body, Trouble
from core.adapters.exchange_http import Query

COINGECKO: Final = "coingecko"
ALTERNATIVE: Final = "alternative.me"

PERIOD_SECONDS: Final = 600.0  # CoinGecko itself computes the state of the market that often
FEAR_GREED_PERIOD_SECONDS: Final = 1_800.0  # new once a day, about midnight UTC

STALE_SECONDS: Final = 3_600.0
STALE_FEAR_GREED_SECONDS: Final = 172_800.0  # one day's value may be missing
AHEAD_SECONDS: Final = 300.0  # so far a source's clock may be before ours
LARGEST_CHANGE_PERCENT: Final = 1_000.0  # of the whole market in a day; more was never seen
LARGEST_COIN_CHANGE_PERCENT: Final = 100_000.0
MOST_DIGITS: Final = 12
LEAST_COINS: Final = 8  # with fewer of the ten the share is too rough

# The followed coins as CoinGecko names them; its names are not tickers.
COINS: Final[Mapping[str, str]] = {
    "BTC-USD": "bitcoin",
    "ETH-USD": "ethereum",
    "SOL-USD": "solana",
    "XRP-USD": "ripple",
    "DOGE-USD": "dogecoin",
    "ADA-USD": "cardano",
    "AVAX-USD": "avalanche-2",
    "LINK-USD": "chainlink",
    "POL-USD": "polygon-ecosystem-token",
    "LTC-USD": "litecoin",
}


class Source(NamedTuple):
    """One question, how often it is asked, and how its answer is read (body, seconds since 1970) into facts."""

    name: str
    site: str
    subject: str
    path: str
    query: Query
    period_seconds: float
    facts: int
    read: Callable[[Body, float], tuple[float, ...]]


def read_global(body: Body, now: float) -> tuple[float, float]:
    """Change of the total market capitalisation and Bitcoin's share of it, both in percent."""
    content = _object(body.get("data"))
    _check_time(content.get("updated_at"), now, STALE_SECONDS)
    change = _number(content.get("market_cap_change_percentage_24h_usd"), -100.0, LARGEST_CHANGE_PERCENT)
    dominance = _number(_object(content.get("market_cap_percentage")).get("btc"), 0.0, 100.0)
    if math.isnan(change) and math.isnan(dominance):
        raise _broken("it names neither the change of the market capitalisation nor Bitcoin's share")
    return change, dominance


def read_coins(body: Body, now: float) -> tuple[float]:
    """The share of the followed coins that rose. A coin that is missing, null or stale is left out of it."""
    changes = []
    for coin in COINS.values():
        entry = body.get(coin)
        entry = entry if isinstance(entry, dict) else {}
        change = _number(entry.get("usd_24h_change"), -100.0, LARGEST_COIN_CHANGE_PERCENT)
        if not math.isnan(change) and _is_fresh(entry.get("last_updated_at"), now, STALE_SECONDS):
            changes.append(change)
    if len(changes) < LEAST_COINS:
        raise _broken(f"it tells the change of {len(changes)} of {len(COINS)} coins, {LEAST_COINS} are needed")
    return (sum(change > 0.0 for change in changes) / len(changes),)


def read_fear_greed(body: Body, now: float) -> tuple[float]:
    """The newest value of the index, which comes as text."""
    if _object(body.get("metadata", {})).get("error") is not None:
        raise _broken("it reports an error")
    entries = body.get("data")
    newest = _object(entries[0] if isinstance(entries, list) and entries else None)
    _check_time(_whole(newest.get("timestamp")), now, STALE_FEAR_GREED_SECONDS)
    value = _number(_whole(newest.get("value")), 0.0, 100.0)
    if math.isnan(value):
        raise _broken("its value is no whole number from 0 to 100")
    return (value,)


SOURCES: Final = (
    Source("global", COINGECKO, "market cap and dominance", "/global", (), PERIOD_SECONDS, 2, read_global),
    Source(
        "coins",
        COINGECKO,
        "changes of the followed coins",
        "/simple/price",
        (
            ("ids", ",".join(COINS.values())),
            ("vs_currencies", "usd"),
            ("include_24hr_change", "true"),
            ("include_last_updated_at", "true"),
        ),
        PERIOD_SECONDS,
        1,
        read_coins,
    ),
    Source(
        "fear_greed",
        ALTERNATIVE,
        "Fear & Greed index",
        "/fng/",
        (("limit", "1"),),
        FEAR_GREED_PERIOD_SECONDS,
        1,
        read_fear_greed,
    ),
)


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _broken("its answer has another shape")
    return value


def _number(value: object, low: float, high: float) -> float:
    """A JSON number between the bounds as a float; NaN for everything else, null, NaN, infinity and truth among it."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    return float(value) if fits and isinstance(value, int | float) else math.nan


def _whole(value: object) -> object:
    """The whole number that a short text of digits says, else nothing."""
    says_one = isinstance(value, str) and len(value) <= MOST_DIGITS and value.isascii() and value.isdecimal()
    return int(value) if says_one and isinstance(value, str) else None


def _is_fresh(stamp: object, now: float, stale_seconds: float) -> bool:
    return not math.isnan(_number(stamp, now - stale_seconds, now + AHEAD_SECONDS))


def _check_time(stamp: object, now: float, stale_seconds: float) -> None:
    """Refuses what is not of today: an answer from a cache that stands still looks like any other."""
    if _is_fresh(stamp, now, stale_seconds):
        return
    at = _number(stamp, 0.0, 2.0**32)
    said = "no time" if math.isnan(at) else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
    raise _broken(f"its facts are of {said}, not of the last {stale_seconds / 3_600:.0f} h")


def _broken(words: str) -> Trouble:
    return Trouble("EXCHANGE_BROKEN_ANSWER", words)
