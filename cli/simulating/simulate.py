"""`crpbot simulate`: months of the synthetic market through the product itself, and what came of them.

Desk, rules, ledger and keeper are those of the server, with the settings of this machine. Only the clock is turned,
the theories are computed in batches, and no language model is asked.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from cli.progress import Tell
from core.adapters.ledger.accounts import DEFAULT_CAPITAL, StoredAccounts, default_accounts
from core.adapters.ledger.entries import entries_of_trades
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.paper_books import StoredBooks
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.statistics import LedgerStatistics
from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import Findings as Readings
from core.analyzers import discover, learners
from core.desk import Defaults, Desk
from core.errors import invalid
from core.fitted import Shelf
from core.fitting import HISTORY_CANDLES, Task, bind, learn
from core.keeper import Keeper
from core.market import Candles, Windows, interval_seconds, milliseconds, parse_symbol
from core.panel import compute
from core.paper.desk import TradeFilter
from core.paper.trade import PaperTrade, rebuild
from core.performance.question import MeasureRequest
from core.performance.theories import ContributionReport
from core.risk.pack import discover_packs
from core.settings.declared import Settings
from core.signal import Mode, Signal
from core.signals.desk import SignalDesk
from core.simulating.course import BatchedAnalysts, Course, TurnedClock, walk
from core.simulating.findings import Diary, Findings, Week, conclude, end_week

ACCOUNT: Final = "paper"
LEDGER: Final = "simulation.db"
START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday, always the same, so that a seed names one history
MOST_TRADES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to simulate, and where its ledger and report go."""

    symbol: str
    days: int
    interval: str | None
    seed: int
    mode: str
    start: datetime
    out: Path


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it, with the candles that it was decided on (in front of the first slot one window more)."""

    findings: Findings
    contribution: ContributionReport
    candles: Candles
    seed: int
    window: int
    threshold: float


def simulate(order: Order, tell: Tell) -> Simulated:
    """Walks the course. The ledger in the folder is made anew; another file of that name is replaced."""
    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    from serving.configuration import load

    try:
        mode = Mode(order.mode)
    except ValueError:
        raise invalid("mode", f"{order.mode!r} is none of {', '.join(each.value for each in Mode)}") from None
    overrides = {
        "DATA_PROVIDER": "synthetic",
        "CRPBOT__MARKET__SYNTHETIC_SEED": str(order.seed),
        "CRPBOT__MARKET__SYNTHETIC_EDGE": "false",  # theories alone decide here, and they are to find nothing in it
        "CRPBOT__RISK__ACCOUNT": ACCOUNT,
        "KILL_SWITCH": "false",
    }
    settings = load(overrides).settings
    interval = order.interval or settings.market.interval
    interval_seconds(interval)
    course = Course(parse_symbol(order.symbol), interval, order.start, order.days, mode)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the gateway has it
        return runner.run(_simulate(course, settings, order, tell))


async def _simulate(course: Course, settings: Settings, order: Order, tell: Tell) -> Simulated:
    market = SyntheticMarket(order.seed)
    window = settings.market.window
    count = course.slots + window - 1
    (candles,) = await market.latest([course.symbol], course.interval, count, now_ms=milliseconds(course.last))
    tell(0, course.slots, "fitting the theories that learn")
    library = await _fit(market, course)
    url = await asyncio.to_thread(_make_ledger, order.out)
    # A commit that waits for the disk takes 3.5 ms, one that does not 0.05; what a power cut takes can be run again.
    ledger = await Ledger.open(url, durable=False)
    await StoredAccounts(ledger).seed(default_accounts(course.start))
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _take, (library,))
    try:
        analysts = BatchedAnalysts(candles, window, origin=market.identity, compute=_computing(pool))
        findings = await _walk(course, settings, market, ledger, analysts=analysts, library=library, tell=tell)
        tell(course.slots, course.slots, "deciding again without each theory")
        contribution = await LedgerStatistics(ledger).contribution(MeasureRequest(account=ACCOUNT))
    finally:
        pool.shutdown(cancel_futures=True)
        await ledger.close()
    return Simulated(findings, contribution, candles, order.seed, window, settings.decision.confidence_threshold)


async def _walk(
    course: Course,
    settings: Settings,
    market: SyntheticMarket,
    ledger: Ledger,
    *,
    analysts: BatchedAnalysts,
    library: Shelf,
    tell: Tell,
) -> Findings:
    """Puts the product together over the turned clock, as serving/product.py does over the machine's."""
    from serving.risk import build_risk_desk
    from serving.signals import build_spend, build_station, build_verdicts, make_key

    clock = TurnedClock(course.start)
    defaults = Defaults(course.interval, settings.market.window)
    desk = SignalDesk(
        studies=Desk(market=market, analysts=analysts, now=lambda: clock.at, defaults=defaults),
        verdicts=build_verdicts(settings, lambda: library, build_spend(settings, ledger), None),
        risk=build_risk_desk(settings, ledger, market, clock),
        decisions=StoredDecisions(ledger, Signals(ledger)),
        station=build_station(settings, market),
        clock=clock,
        make_key=make_key,
    )
    keeper = Keeper(books=StoredBooks(ledger), market=market, clock=clock, packs=discover_packs())
    diary, weeks = Diary(), list[Week]()

    def hear(done: int, signal: Signal) -> None:
        diary.hear(signal)
        tell(done, course.slots, f"{len(diary.emitted)} signals")

    async def week_ended(at: datetime) -> None:
        trades, _ = await read_trades(ledger)
        weeks.append(end_week(course, at, diary, trades, DEFAULT_CAPITAL))

    left = await walk(course, clock=clock, desk=desk, keeper=keeper, hear=hear, week_ended=week_ended)
    trades, booked = await read_trades(ledger)
    return conclude(
        course,
        diary,
        trades,
        capital=DEFAULT_CAPITAL,
        balance=DEFAULT_CAPITAL + booked,
        weeks=weeks,
        left=left.waiting + left.failed,
    )


async def read_trades(ledger: Ledger) -> tuple[list[PaperTrade], Decimal]:
    """The trades of the account, oldest first, and the sum of all that was booked for them."""
    stored = await StoredBooks(ledger).page(TradeFilter(account=ACCOUNT), cursor=None, limit=MOST_TRADES)
    async with ledger.reading() as connection:
        entries = await entries_of_trades(connection, [trade.id for trade in stored])
    booked = sum((entry.amount for own in entries.values() for entry in own), Decimal(0))
    return [rebuild(trade, entries.get(trade.id, [])) for trade in reversed(stored)], booked


async def _fit(market: SyntheticMarket, course: Course) -> Shelf:
    """The theories that learn, on what came before the first slot."""
    now_ms = milliseconds(course.start)
    (history,) = await market.latest([course.symbol], course.interval, HISTORY_CANDLES, now_ms=now_ms)
    names = [each.name for each in learners()]
    learned = await asyncio.gather(*(asyncio.to_thread(learn, Task(name, history)) for name in names))
    return Shelf(
        tuple(
            bind(name, market.identity, [(history, each)], at=course.start)
            for name, each in zip(names, learned, strict=True)
        )
    )


def _make_ledger(folder: Path) -> str:
    """The address of an empty ledger in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / LEDGER
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    url = f"sqlite:///{path}"
    upgrade(url)
    return url


def _computing(pool: Executor) -> Callable[[Windows], Awaitable[list[Readings]]]:
    async def compute_rows(windows: Windows) -> list[Readings]:
        return await asyncio.get_running_loop().run_in_executor(pool, _compute, windows)

    return compute_rows


_shelf: list[Shelf] = []  # of the process that computes


def _take(shelf: Shelf) -> None:
    _shelf[:] = [shelf]


def _compute(windows: Windows) -> list[Readings]:
    return compute([windows], tuple(discover()), lambda: math.inf, _shelf[0])[0]
