"""What the language model will cost: a day and a month of the scheduler, by prompts and prices as they are."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from statistics import fmean
from typing import Any, Final, NamedTuple

from cli.render import console, make_table
from core.adapters.chat.prices import load_prices, require_price
from core.adapters.fits import FitFolder
from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import Analysis, Reading
from core.analyzers import discover, evaluate
from core.deciding.confidence import profile_threshold
from core.deciding.levels import measure
from core.deciding.synthesis import weigh
from core.deciding.verdicts import change_24h_percent
from core.fitted import Library
from core.llm.asking import Prompt
from core.llm.price import Price, Usage
from core.llm.prompt import Question, write_prompt
from core.market import SYMBOLS, Candles, instant, interval_seconds, milliseconds, stack_windows
from core.money import from_units
from core.settings.declared import Settings
from core.signal import Mode

BYTES_PER_TOKEN: Final = 3  # of numbers and plain words; DeepSeek says 0.3 tokens a character
FRAME_TOKENS: Final = 8  # around two messages
CACHE_BLOCK: Final = 64  # tokens: the server keeps the beginning of a prompt in whole blocks
REPLY_TOKENS: Final = 80  # one JSON object with two sentences
LONGEST_STEP: Final = 300  # seconds between two scans where the settings do not say
DAY_SECONDS: Final = 86_400
MONTH_DAYS: Final = 30
# Slots of the day, evenly spread: some 5 s of work. The share that asks is then known to a percent or so; as many as a
# day has slots make the prediction exact for that very day of the synthetic market.
SAMPLES: Final = 96


class Scan(NamedTuple):
    """One look at a symbol: the prompt, and whether the model would be asked."""

    symbol: str
    at: datetime
    prompt: Prompt
    asks: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """What a day costs and what that follows from."""

    model: str
    day: str
    symbols: int
    slots: int
    asked_percent: float
    asked_error_percent: float
    calls: float
    prompt_tokens: float
    cached_tokens: float
    reply_tokens: int
    peak_slots: int
    call_usd: Decimal
    peak_call_usd: Decimal
    day_usd: Decimal
    month_usd: Decimal
    day_cap_usd: Decimal
    month_cap_usd: Decimal


def read_budget(settings: Settings, *, day: datetime | None = None, samples: int = SAMPLES) -> Any:  # Any: plain JSON
    """The prediction for a day (UTC; today where none is given) and the thirty that begin with it."""
    start = datetime.combine((day or datetime.now(UTC)).date(), time(), UTC)
    library = FitFolder(settings.runtime.state_folder.resolve() / "fitted").library()
    scans = asyncio.run(sample(settings, slots_of(settings, start), library=library, samples=samples))
    found = predict(settings, scans, start)
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(found).items()}


def print_budget(budget: dict[str, Any]) -> None:
    """The prediction as a table."""
    asked = f"{budget['asked_percent']:.1f} +- {budget['asked_error_percent']:.1f} %"
    table = make_table("Language model", budget["model"], title=f"What {budget['day']} will cost")
    rows = (
        ("scans", f"{budget['symbols']} symbols x {budget['slots']} slots, {budget['peak_slots']} at peak prices"),
        ("the model is asked", f"in {asked} of them: {budget['calls']:,.0f} calls"),
        ("prompt", f"{budget['prompt_tokens']:,.0f} tokens, {budget['cached_tokens']:,.0f} of them cached"),
        ("reply", f"{budget['reply_tokens']} tokens"),
        ("a call", f"{_usd(budget['call_usd'], 6)}, at the peak {_usd(budget['peak_call_usd'], 6)}"),
        ("the day", f"{_usd(budget['day_usd'])} of {_usd(budget['day_cap_usd'])}"),
        (f"{MONTH_DAYS} days", f"{_usd(budget['month_usd'])} of {_usd(budget['month_cap_usd'])}"),
    )
    for row in rows:
        table.add_row(*row)
    console().print(table)


def slots_of(settings: Settings, start: datetime) -> list[datetime]:
    """When the scheduler scans on that day."""
    step = settings.serving.schedule_seconds or max(interval_seconds(settings.market.interval), LONGEST_STEP)
    return [start + timedelta(seconds=second) for second in range(0, DAY_SECONDS, step)]


async def sample(
    settings: Settings, slots: Sequence[datetime], *, library: Library, samples: int = SAMPLES
) -> list[Scan]:
    """The prompts of every symbol at some of the slots, on the synthetic market."""
    own = settings.market
    edge = own.synthetic_edge and own.provider == "synthetic"  # theories lean far more often there than on a real one
    market = SyntheticMarket(own.synthetic_seed, edge=edge)
    scans: list[Scan] = []
    for at in slots[:: max(1, len(slots) // samples)]:
        candles = await market.latest(
            SYMBOLS, settings.market.interval, settings.market.window, now_ms=milliseconds(at)
        )
        scans += _scan(settings, candles, market.identity, at, library=library)
    return scans


def predict(settings: Settings, scans: Sequence[Scan], start: datetime, *, reply_tokens: int = REPLY_TOKENS) -> Budget:
    """The cost of a day and of the thirty that begin with it.

    The day's scans are priced each at its own hour; the other days have the mean scan in each of their slots.
    """
    llm = settings.llm
    price = require_price(load_prices(llm.prices_file), llm.model, start)
    asked = [(count_usage(scan.prompt, reply_tokens), _on(start, scan.at)) for scan in scans if scan.asks]
    usages = [usage for usage, _ in asked]
    share = len(usages) / len(scans)
    off_peak, peak = (
        fmean(tariff.cost(usage) for usage in usages) if usages else 0.0 for tariff in (price.off_peak, price.peak)
    )
    slots = slots_of(settings, start)
    scale = 0.0 if llm.price_free else len(SYMBOLS) * len(slots) / len(scans)
    day = scale * sum(price.tariff(at).cost(usage) for usage, at in asked)
    later = [start + timedelta(days=number) for number in range(1, MONTH_DAYS)]
    month = day + scale * len(usages) / len(slots) * sum(
        _day_units(settings, price, each, off_peak, peak) for each in later
    )
    return Budget(
        model=llm.model,
        day=start.date().isoformat(),
        symbols=len(SYMBOLS),
        slots=len(slots),
        asked_percent=100.0 * share,
        asked_error_percent=100.0 * math.sqrt(share * (1.0 - share) / len(scans)),
        calls=share * len(SYMBOLS) * len(slots),
        prompt_tokens=fmean(usage.prompt_tokens for usage in usages) if usages else 0.0,
        cached_tokens=fmean(usage.cached_tokens for usage in usages) if usages else 0.0,
        reply_tokens=reply_tokens,
        peak_slots=sum(_is_peak(price, at) for at in slots),
        call_usd=from_units(round(off_peak)),
        peak_call_usd=from_units(round(peak)),
        day_usd=from_units(round(day)),
        month_usd=from_units(round(month)),
        day_cap_usd=llm.daily_budget_usd,
        month_cap_usd=llm.monthly_budget_usd,
    )


def count_usage(prompt: Prompt, reply_tokens: int) -> Usage:
    """The tokens of a call whose system text the server knows from the call before."""
    system, user = (-(-len(text.encode()) // BYTES_PER_TOKEN) for text in (prompt.system, prompt.user))
    return Usage(system + user + FRAME_TOKENS, system // CACHE_BLOCK * CACHE_BLOCK, reply_tokens)


def _day_units(settings: Settings, price: Price, start: datetime, off_peak: float, peak: float) -> float:
    """A day of one symbol that is always asked about."""
    return sum(peak if _is_peak(price, at) else off_peak for at in slots_of(settings, start))


def _on(start: datetime, at: datetime) -> datetime:
    """The same hour of that day."""
    return start + timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)


def _is_peak(price: Price, at: datetime) -> bool:
    return price.tariff(at) is price.peak and price.peak is not price.off_peak


def _scan(settings: Settings, candles: Sequence[Candles], origin: str, at: datetime, *, library: Library) -> list[Scan]:
    """What the server would make of these candles."""
    length = settings.market.window
    windows = stack_windows(candles, length, origins=(origin,) * len(candles))
    rows = zip(*(evaluate(each, windows, library) for each in discover().values()), strict=True)
    return [_scan_one(settings, each, readings, at) for each, readings in zip(candles, rows, strict=True)]


def _scan_one(settings: Settings, candles: Candles, readings: tuple[Reading, ...], at: datetime) -> Scan:
    decision, mode = settings.decision, Mode(settings.decision.mode)
    analysis = Analysis(
        symbol=candles.symbol,
        interval=candles.interval,
        window=settings.market.window,
        as_of=instant(candles.as_of),
        price=Decimal(repr(float(candles.close[-1]))),
        source="synthetic",
        synthetic=True,
        readings=readings,
        missing=(),
        coverage=1.0,
    )
    threshold = profile_threshold(mode, decision.confidence_threshold)
    change = change_24h_percent(candles)
    question = Question(analysis, mode, threshold, measure(candles), change_24h_percent=change)
    asks = not (decision.skip_unanimous_hold and weigh(readings).unanimous_hold)
    return Scan(candles.symbol, at, write_prompt(question), asks)


def _usd(amount: str, digits: int = 2) -> str:
    return f"{Decimal(amount):.{digits}f} USD"
