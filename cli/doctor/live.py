"""`crpbot doctor --live`: asks the exchange and the sources of market facts, and says what came back."""

from __future__ import annotations

import asyncio
import logging
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.doctor.finding import Finding, bad, ok, warn
from core.adapters.coinbase.inspection import WORRYING_SKEW_MS
from core.adapters.coinbase.market import CoinbaseMarket
from core.adapters.coingecko.answers import SOURCES
from core.adapters.coingecko.facts import logger as facts_log
from core.context import Facts
from core.errors import CrpbotError
from core.market import SYMBOLS, instant
from core.ports import Told
from core.risk.account import Quote
from core.settings.declared import Settings
from serving.configuration import load
from serving.sources import build_coinbase, build_coingecko

FIRST_SYMBOL: Final = "BTC-USD"
ANSWER_SECONDS: Final = 8.0  # for one question to the exchange, with attempts
FACTS_SECONDS: Final = 15.0  # for all facts of the whole market together
POLL_SECONDS: Final = 0.1
AGAIN: Final = "Do what it says, then run `crpbot doctor --live` again."
OFFLINE: Final = (
    "Connect this machine to the internet, or correct CRPBOT__COINBASE__BASE_URL; then run `crpbot doctor --live` "
    "again. Without a network, DATA_PROVIDER=synthetic and replay work."
)
WITHOUT: Final = "The theory market_context goes without it; check the network and CRPBOT__COINGECKO__BASE_URL."


def examine_live(*, facts_seconds: float = FACTS_SECONDS) -> list[Finding]:
    """Every question, each with what came back. No key is needed; nothing is kept."""
    try:
        settings = load().settings
        return asyncio.run(_examine(settings, facts_seconds))
    except CrpbotError as error:
        return [bad("settings", error.detail, "Correct them in .env or in the environment, then run it again.")]


async def _examine(settings: Settings, facts_seconds: float) -> list[Finding]:
    market = build_coinbase(settings)
    interval = settings.market.interval
    found = [_tell_address(settings)]
    try:
        found.append(await _ask("exchange clock", lambda: _ask_clock(market, settings.coinbase.base_url)))
        if market.exchange.clock_offset_ms is not None:  # else nobody is there, and each question would say so again
            found.append(await _ask("products", lambda: _ask_products(market)))
            found.append(await _ask(f"{FIRST_SYMBOL} ticker", lambda: _ask_ticker(market)))
            found += await _ask_candles(market, interval)
            found.append(await _ask("offers", lambda: _ask_offers(market)))
    finally:
        await market.close()
    return [*found, *await _ask_facts(settings, facts_seconds)]


async def _ask(check: str, question: Callable[[], Awaitable[Finding]]) -> Finding:
    """One question; a refusal becomes a row."""
    try:
        return await question()
    except CrpbotError as error:
        return bad(check, error.detail, AGAIN)


def _tell_address(settings: Settings) -> Finding:
    key = "with your key" if settings.coinbase.api_key_name else "without a key: none is needed"
    return ok("exchange", f"{settings.coinbase.base_url}, {key}")


async def _ask_clock(market: CoinbaseMarket, base_url: str) -> Finding:
    try:
        skew_ms = await market.exchange.read_clock(deadline=_soon())
    except CrpbotError as error:
        return bad("exchange clock", f"{base_url} does not answer from here: {error.detail}", OFFLINE)
    at = instant(_now_ms() + skew_ms)
    words = f"{at:%Y-%m-%d %H:%M:%S} UTC; this machine's clock is {-skew_ms / 1_000:+.2f} s off"
    if abs(skew_ms) > WORRYING_SKEW_MS:
        limit = f"; {WORRYING_SKEW_MS / 1_000:g} s are the limit"
        return bad("exchange clock", words + limit, "Set this machine's clock, best by a time service (NTP).")
    return ok("exchange clock", words)


async def _ask_products(market: CoinbaseMarket) -> Finding:
    products = await market.exchange.products(SYMBOLS, deadline=_soon())
    trading = {product.symbol for product in products if product.tradable}
    halted = [product.symbol for product in products if product.symbol in SYMBOLS and not product.tradable]
    unknown = [symbol for symbol in SYMBOLS if symbol not in {product.symbol for product in products}]
    words = f"{len(trading & set(SYMBOLS))} of {len(SYMBOLS)} symbols trade"
    gone = [f"halted: {', '.join(halted)}"] if halted else []
    gone += [f"unknown to the exchange: {', '.join(unknown)}"] if unknown else []
    if not gone:
        return ok("products", words)
    return warn("products", "; ".join([words, *gone]), "Leave them out until the exchange trades them again.")


async def _ask_ticker(market: CoinbaseMarket) -> Finding:
    ticker = await market.exchange.ticker(FIRST_SYMBOL, deadline=_soon())
    age = (_now_ms() + (market.exchange.clock_offset_ms or 0)) / 1_000 - ticker.at.timestamp()
    words = f"last trade at {ticker.price}, {age:.1f} s old; bid {ticker.bid}, ask {ticker.ask}"
    return ok(f"{FIRST_SYMBOL} ticker", words)


async def _ask_candles(market: CoinbaseMarket, interval: str) -> list[Finding]:
    """The newest candle of each symbol: one row for those that are as they should be, one for each other."""
    check = f"newest {interval} candles"
    now_ms = _now_ms()
    try:
        told = await market.latest_each(SYMBOLS, interval, 1, now_ms=now_ms)
    except CrpbotError as error:
        return [bad(check, error.detail, AGAIN)]
    rows, sound = [], []
    for symbol, each in zip(SYMBOLS, told, strict=True):
        if isinstance(each, CrpbotError):
            rows.append(bad(f"{symbol} {interval} candle", each.detail, AGAIN))
        elif each.degradations:
            words = "; ".join(doubt.detail for doubt in each.degradations)
            rows.append(warn(f"{symbol} {interval} candle", words, "Decide nothing on it; run it again in a minute."))
        else:
            sound.append(each)
    return [*([ok(check, _tell_newest(sound, now_ms))] if sound else []), *rows]


def _tell_newest(sound: Sequence[Told], now_ms: int) -> str:
    first = next((each for each in sound if each.candles.symbol == FIRST_SYMBOL), sound[0]).candles
    age = (now_ms - first.as_of) / 1_000
    oldest = (now_ms - min(each.candles.as_of for each in sound)) / 1_000
    return (
        f"{len(sound)} of {len(SYMBOLS)} symbols; {first.symbol} closed at {float(first.close[-1]):,.6g}, "
        f"{age:.0f} s ago; the oldest of them {oldest:.0f} s ago"
    )


async def _ask_offers(market: CoinbaseMarket) -> Finding:
    found = await market.quotes(SYMBOLS, now_ms=_now_ms())
    quotes = [each for each in found if isinstance(each, Quote)]
    failed = [each.detail for each in found if isinstance(each, CrpbotError)]
    widest = max(((quote.ask - quote.bid) / quote.bid * 10_000, quote.symbol) for quote in quotes) if quotes else None
    words = f"{len(quotes)} of {len(SYMBOLS)} symbols have a bid and an ask"
    words += f"; the widest spread is {widest[0]:.2f} bps ({widest[1]})" if widest else ""
    if not failed:
        return ok("offers", words)
    return (warn if quotes else bad)("offers", "; ".join([words, *failed]), AGAIN)


async def _ask_facts(settings: Settings, seconds: float) -> list[Finding]:
    """Size, dominance, breadth and mood of the whole market. The server works without them."""
    if not settings.coingecko.enabled:
        return [ok("market facts", "switched off by CRPBOT__COINGECKO__ENABLED=false")]
    with tempfile.TemporaryDirectory(prefix="crpbot-live-") as folder, _listening() as heard:
        contexts = build_coingecko(settings, Path(folder) / "market_facts.json")
        try:
            contexts.wake()
            end = time.monotonic() + seconds
            facts = None
            while time.monotonic() < end and _waits(facts, heard):
                await asyncio.sleep(POLL_SECONDS)
                facts = await contexts.latest(as_of_ms=_now_ms())
        finally:
            await contexts.close()
    return list(_tell_facts(facts, heard, seconds))


def _tell_facts(facts: Facts | None, heard: Sequence[str], seconds: float) -> Iterator[Finding]:
    """A row for each source, in the order in which they are asked."""
    known = _words(facts) if facts else {}
    age = f", fetched {(_now_ms() - facts.fetched_at_ms) / 1_000:.0f} s ago" if facts else ""
    for source in SOURCES:
        check = f"{source.site}: {source.subject}"
        words = known.get(source.name, "")
        if words:
            yield ok(check, words + age)
        else:
            yield warn(check, _failure(source.subject, heard) or f"no answer within {seconds:g} s", WITHOUT)


def _words(facts: Facts) -> dict[str, str]:
    """What each source told, in words; empty where it told nothing."""
    told = {
        "global": (
            f"capitalisation {facts.cap_change_percent:+.2f} % in a day, Bitcoin {facts.dominance_percent:.1f} % of it"
        ),
        "coins": f"{facts.breadth_fraction:.0%} of the coins rose in a day",
        "fear_greed": f"fear and greed at {facts.fear_greed:.0f} of 100",
    }
    numbers = {
        "global": facts.cap_change_percent + facts.dominance_percent,
        "coins": facts.breadth_fraction,
        "fear_greed": facts.fear_greed,
    }
    return {name: words if math.isfinite(numbers[name]) else "" for name, words in told.items()}


def _waits(facts: Facts | None, heard: Sequence[str]) -> bool:
    """Whether a source has neither told its facts nor failed."""
    known = _words(facts) if facts else {}
    return any(not known.get(each.name) and not _failure(each.subject, heard) for each in SOURCES)


def _failure(subject: str, heard: Sequence[str]) -> str:
    """Why a source told nothing, without the server's own plans; empty where nothing was heard of it."""
    return next((each.partition("; without it for now")[0] for each in heard if subject in each), "")


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What is logged about the facts, for the table and nowhere else."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear, propagated = Ear(), facts_log.propagate
    facts_log.addHandler(ear)
    facts_log.propagate = False
    try:
        yield heard
    finally:
        facts_log.removeHandler(ear)
        facts_log.propagate = propagated


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _soon() -> float:
    return time.monotonic() + ANSWER_SECONDS
