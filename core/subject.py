"""A window to be analysed: its candles, where they came from, what speaks against them, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from core.analysis import Analysis, AnalyzeRequest, Findings, RefusedSymbol
from core.asked_windows import MIN_WINDOW
from core.deciding.confidence import Records
from core.errors import CrpbotError, invalid
from core.market import REQUEST_SOURCE, Candles, instant
from core.own_candles import read_ccxt, read_columns
from core.ports import Market, Told
from core.signal import Degradation


class Subject(NamedTuple):
    """One window to be analysed, where its candles came from, and what speaks against them."""

    candles: Candles
    length: int
    source: str
    origin: str
    synthetic: bool
    degradations: tuple[Degradation, ...] = ()
    records: Records | None = None  # of its own signals; a caller's candles have none


def told_subjects(
    market: Market, symbols: Sequence[str], told: Sequence[Told | CrpbotError], length: int
) -> list[Subject | RefusedSymbol]:
    """What a market told of each symbol, in their order."""
    return [
        RefusedSymbol(symbol, each.reason, each.detail)
        if isinstance(each, CrpbotError)
        else Subject(each.candles, length, market.name, market.identity, each.synthetic, each.degradations)
        for symbol, each in zip(symbols, told, strict=True)
    ]


def own_subjects(request: AnalyzeRequest, window: int | None, *, usual: int, now_ms: int) -> list[Subject]:
    """The windows of a caller's own candles: enough of them, and all of them closed."""
    columns = ((f"candles.{place}", read_columns, each) for place, each in enumerate(request.candles))
    rows = ((f"ccxt.{place}", read_ccxt, each) for place, each in enumerate(request.ccxt))
    found = [(field, read(each, field=field)) for field, read, each in columns]
    found += [(field, read(each, field=field)) for field, read, each in rows]
    return [_own(candles, window or min(len(candles), usual), now_ms, field) for field, candles in found]


def describe(subject: Subject, found: Findings, asked: int) -> Analysis:
    """What of `asked` theories said of a window, as it is answered."""
    candles = subject.candles
    answered = sum(reading.problem is None for reading in found.readings)
    return Analysis(
        symbol=candles.symbol,
        interval=candles.interval,
        window=subject.length,
        as_of=instant(candles.as_of),
        price=Decimal(repr(float(candles.close[-1]))),
        source=subject.source,
        synthetic=subject.synthetic,
        readings=found.readings,
        missing=found.missing,
        coverage=answered / asked,
        degradations=subject.degradations,
    )


def _own(candles: Candles, length: int, now_ms: int, field: str) -> Subject:
    needed = max(length, MIN_WINDOW)
    if len(candles) < needed:
        raise invalid(field, f"has {len(candles)} candles, {needed} are needed", reason="TOO_FEW_CANDLES")
    if candles.as_of > now_ms:
        raise invalid(
            f"{field}.open_times_ms",
            f"row {len(candles) - 1}: the candle closes at {instant(candles.as_of).isoformat()}, "
            f"after the server's clock {instant(now_ms).isoformat()}; only closed candles are read",
            reason="CANDLE_NOT_CLOSED",
        )
    return Subject(candles, length, REQUEST_SOURCE, REQUEST_SOURCE, False)
