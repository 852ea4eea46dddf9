"""What the models see coming: the last minutes of each symbol, and what the models that speak now say of them.

A model's answer is worth having and worth no other answer: whatever goes wrong with minutes or models is told as the
silence of those models, and costs the question no more than the time given here. Minutes and models are bounded each by
themselves: an exchange is asked at a pace, models answer at once or hang. A symbol whose minutes are late is left out,
and the others go on without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from core.ensemble import Outlook
from core.errors import CrpbotError
from core.forecasts.lineup import CANDLES, INTERVAL, Lineup, silent_outlook
from core.market import Candles, stack_windows
from core.ports import Forecasters, Market, Told

logger = logging.getLogger(__name__)

SHARE: Final = 0.5
"""Of the time that a study has: models that hang leave the theories' answer and the decision the other half."""

MOST_SECONDS: Final = 2.0
"""Models answer in some hundredths of a second, and in one where a fresh replica has to load them first."""

MINUTES_SECONDS: Final = 8.0
"""Ten coins need one request each for the theories and one for the models every time, and two where nothing is known
yet: 4 s and 8 s at five requests a second."""


class Foreseen(NamedTuple):
    """What the models say of a symbol, and the minutes that they read; None where they read none."""

    outlook: Outlook
    minutes: Candles | None = None


async def foresee(
    market: Market,
    forecasters: Forecasters,
    symbols: Sequence[str],
    *,
    lineup: Lineup,
    now_ms: int,
    timeout_seconds: float,
) -> dict[str, Foreseen]:
    """What the models of a lineup say of each symbol, by symbol."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    known = [symbol for symbol in dict.fromkeys(symbols) if lineup.of(symbol)]
    found = {symbol: Foreseen(silent_outlook(symbol, lineup, "")) for symbol in symbols}  # nobody is there to be silent
    if not known:
        return found
    for_models = min(MOST_SECONDS, SHARE * timeout_seconds)
    minutes = await _read_minutes(market, known, now_ms, min(MINUTES_SECONDS, timeout_seconds - for_models))
    read = [each for each in minutes.values() if isinstance(each, Candles)]
    outlooks = await _ask(forecasters, read, lineup, origin=market.identity, deadline=deadline)
    for symbol, each in minutes.items():
        if isinstance(each, str):
            found[symbol] = Foreseen(silent_outlook(symbol, lineup, each))
        elif isinstance(outlooks, str):
            found[symbol] = Foreseen(silent_outlook(symbol, lineup, outlooks))
        else:
            found[symbol] = Foreseen(outlooks[symbol], each)
    return found


def share_of(seconds: float) -> float:
    """The time that minutes and models may take of a study's."""
    return min(SHARE * seconds, MINUTES_SECONDS + MOST_SECONDS)


async def _ask(
    forecasters: Forecasters, read: Sequence[Candles], lineup: Lineup, *, origin: str, deadline: float
) -> Mapping[str, Outlook] | str:
    """What the models say of each symbol, or why they say nothing. Their time begins now."""
    if not read:
        return {}
    seconds = min(MOST_SECONDS, deadline - asyncio.get_running_loop().time())
    try:
        async with asyncio.timeout(seconds):
            windows = stack_windows(read, CANDLES, origins=(origin,) * len(read))
            outlooks = await forecasters.forecast(windows, lineup, timeout_seconds=seconds)
        return {candles.symbol: outlook for candles, outlook in zip(read, outlooks, strict=True)}
    except TimeoutError:
        return f"no answer within {seconds:.1f} s"
    except Exception as error:  # whatever it is, the theories' answer stands
        logger.exception("the models cannot be asked")
        return f"the models cannot be asked ({type(error).__name__})"


async def _read_minutes(
    market: Market, symbols: Sequence[str], now_ms: int, seconds: float
) -> dict[str, Candles | str]:
    """The minutes of each symbol, or why no model may read them."""
    reads = {symbol: asyncio.create_task(_read(market, symbol, now_ms)) for symbol in symbols}
    try:
        await asyncio.wait(reads.values(), timeout=seconds)
        late = f"its minutes did not come within {seconds:.1f} s; ask again in some seconds"
        return {symbol: task.result() if task.done() else late for symbol, task in reads.items()}
    finally:
        for task in reads.values():
            task.cancel()


async def _read(market: Market, symbol: str, now_ms: int) -> Candles | str:
    try:
        (told,) = await market.latest_each([symbol], INTERVAL, CANDLES, now_ms=now_ms)
    except CrpbotError as error:
        return _unread(error)
    except Exception as error:  # whatever it is, the theories' answer stands
        logger.exception("the minutes of %s cannot be read", symbol)
        return f"its minutes cannot be read ({type(error).__name__})"
    return _usable(told)


def _usable(told: Told | CrpbotError) -> Candles | str:
    if isinstance(told, CrpbotError):
        return _unread(told)
    if told.degradations:
        doubt = told.degradations[0]
        return f"its minutes are in doubt ({doubt.reason}: {doubt.detail})"
    return told.candles


def _unread(error: CrpbotError) -> str:
    return f"its minutes cannot be read: {error.detail}"
