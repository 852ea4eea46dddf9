"""`crpbot schedule`: makes sure that the server keeps to what was said, then asks it slot by slot."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from cli.signals.console import Lines, Screen, Start, Statistics, Watcher
from client.agreement import Expected, Limits, find_live, find_looser, read_limits
from client.clock import Clock, MachineClock
from client.grid import Grid
from client.happenings import Happening, Scanned
from client.lock import HeldError, LastScan, SchedulerLock
from client.scheduler import Plan, Scheduler, Surroundings, may_pass
from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError, invalid
from core.market import interval_seconds
from core.settings.declared import Settings
from serving.configuration import load
from serving.probe import server_url

HELD: Final = 3  # exit status where another scheduler works from the same folder
LIVE: Final = "live"
START_SECONDS: Final = 30.0  # a server that starts at the same moment is waited for so long
LOOK_SECONDS: Final = 1.0
SCAN_SECONDS: Final = 300

Json = dict[str, Any]  # Any: decoded JSON


@dataclass(frozen=True, slots=True)
class Order:
    """What was typed. `mode` None means the mode of the settings; `confirmed` is what was said for a second time."""

    symbols: tuple[str, ...]
    sleep_seconds: int | None = None
    interval: str | None = None
    iterations: int = -1
    judging: str | None = None
    account: str | None = None
    mode: str | None = None
    confirmed: str | None = None
    expected: Expected = field(default_factory=Expected)
    url: str | None = None
    stand_by: bool = False
    full: bool = False
    as_json: bool = False


def run(order: Order, clock: Clock | None = None) -> int:
    """Scans until the iterations are done or somebody ends it; gives the exit status."""
    settings = load().settings
    clock = clock or MachineClock()
    plan = _plan(order, settings)
    mode = _mode(order, settings)
    watcher: Watcher = Lines() if order.as_json else Screen(full=order.full)
    folder = settings.runtime.state_folder.resolve()
    with suppress(KeyboardInterrupt), _ended_by_sigterm(), SchedulerLock(folder) as lock:
        try:
            before = _take(lock, order, clock, watcher)
        except HeldError as error:
            watcher.note(str(error))
            return HELD
        with Client(order.url or server_url(settings)) as client:
            try:
                _work(Work(client, plan, mode, order, watcher), clock, lock, before)
            except ApiError as error:
                raise CrpbotError(Code.UNAVAILABLE, str(error), reason="SERVER_REFUSED") from None
            finally:
                watcher.close()
    return 0


@dataclass(frozen=True, slots=True)
class Work:
    """One run: whom it asks, for what, and who is told."""

    client: Client
    plan: Plan
    mode: str
    order: Order
    watcher: Watcher


def _work(work: Work, clock: Clock, lock: SchedulerLock, before: LastScan | None) -> None:
    limits = _wait_for_limits(work.client, work.order.account, clock)
    _stop_if_live(work.mode, [work.client.ready().get("mode")])
    looser = find_looser(work.order.expected, limits)
    if looser:
        raise CrpbotError(Code.FAILED_PRECONDITION, "; ".join(looser), reason="LIMITS_DIFFER")
    work.watcher.start(_start(work, limits))
    statistics = Statistics()

    def tell(happening: Happening) -> None:
        work.watcher.tell(happening)
        if isinstance(happening, Scanned):
            _stop_if_live(work.mode, (signal["runtime_mode"] for signal in happening.signals))
            statistics.count(happening)
            statistics.spend = _spend(work.client)
            work.watcher.sum_up(statistics, scheduler.tally)

    around = Surroundings(clock, random.random, tell, lock.note)
    scheduler = Scheduler(work.plan, work.client, around, before=before)
    scheduler.run()


def _plan(order: Order, settings: Settings) -> Plan:
    """A slot is the close of a candle, so that scans are no closer than candles."""
    candle = interval_seconds(order.interval or settings.market.interval, field="--interval")
    try:
        grid = Grid(order.sleep_seconds or max(SCAN_SECONDS, candle))
    except ValueError as error:
        raise invalid("--sleep-seconds", str(error)) from None
    if order.iterations < -1 or order.iterations == 0:
        raise invalid("--iterations", f"{order.iterations} scans; -1 is without end, else 1 or more")
    return Plan(
        symbols=order.symbols,
        grid=grid,
        mode=order.judging,
        account=order.account,
        interval=order.interval,
        iterations=order.iterations,
    )


def _mode(order: Order, settings: Settings) -> str:
    """Dryrun or live. Live must be said twice, because what follows from it may cost money."""
    ours = settings.runtime.mode if order.url is None else None
    mode = order.mode or ours or "dryrun"
    if mode != LIVE and ours == LIVE:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "the settings say RUNTIME_MODE=live and --mode says dryrun; start the server with RUNTIME_MODE=dryrun",
            reason="MODES_DIFFER",
        )
    if mode == LIVE and order.confirmed != LIVE:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "live marks signals as meant to be traded, so it must be said twice: "
            "--mode live --confirm live (or CRPBOT_CONFIRM=live)",
            reason="LIVE_NOT_CONFIRMED",
        )
    return mode


def _take(lock: SchedulerLock, order: Order, clock: Clock, watcher: Watcher) -> LastScan | None:
    try:
        return lock.take()
    except HeldError as error:
        if not order.stand_by:
            raise
        watcher.note(f"standing by: a scheduler works already (pid {error.pid})")
        return lock.wait(lambda: clock.sleep(LOOK_SECONDS))


def _wait_for_limits(client: Client, account: str | None, clock: Clock) -> Limits:
    """The server's limits, from a server that may still be starting."""
    deadline = clock.steady() + START_SECONDS
    while True:
        try:
            return read_limits(client.risk(account), client.spend())
        except ApiError as error:
            if not may_pass(error) or clock.steady() >= deadline:
                raise
            clock.sleep(LOOK_SECONDS)


def _start(work: Work, limits: Limits) -> Start:
    grid = work.plan.grid
    return Start(
        url=work.client.url,
        symbols=work.plan.symbols,
        interval_seconds=grid.interval_seconds,
        delay_seconds=grid.delay_seconds,
        iterations=work.plan.iterations,
        judging=work.plan.mode,
        max_signals_per_hour=limits.max_signals_per_hour,
        daily_budget_usd=limits.daily_budget_usd,
        monthly_budget_usd=limits.monthly_budget_usd,
        mode=work.mode,
    )


def _stop_if_live(mode: str, told: Iterable[str | None]) -> None:
    """A server on another machine tells its mode when asked, and with each signal: it may have been started anew."""
    problem = find_live(mode, told)
    if problem is not None:
        raise CrpbotError(Code.FAILED_PRECONDITION, problem, reason="MODES_DIFFER")


def _spend(client: Client) -> Json | None:
    """For the statistics alone: a scan does not fail because this does."""
    try:
        return client.spend()
    except ApiError:
        return None


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends it as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
