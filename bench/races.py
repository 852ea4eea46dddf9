"""Whether the limits hold when many race for the last room, window or second, and what the kill switch takes.

`python -m bench.races` runs on SQLite and on PostgreSQL and ends with 1 when anything passed a limit, when anything was
refused that one clerk would have allowed, or when anything was born after a kill call returned. `--broken` puts the
guard outside the transaction: then it must end with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import describe_machine
from bench.race_kill import Killed, kill_and_lift, read_killed
from bench.race_oracle import Judged, is_ordered, judge_room, judge_window
from bench.race_worker import START, Event, Plan, run
from core.adapters.ledger.accounts import StoredAccounts, default_accounts
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from tests.postgres import running_server

PROCESSES: Final = 2
TASKS: Final = 8  # of each process: 16 workers together
KILL_GOAL_MS: Final = 250.0
DISK: Final = "SQLite waits for the disk at each commit, the PostgreSQL of the tests does not"

Result = tuple[list[Event], int]
NewUrl = Callable[[str], str]
"""Makes an empty database and answers its URL; the word tells them apart."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is tried."""

    trades: int
    signals: int
    kills: int


FULL: Final = Size(trades=5_000, signals=2_000, kills=200)
QUICK: Final = Size(trades=300, signals=200, kills=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All races on one database."""

    store: str
    room: Judged
    window: Judged
    killed: Killed
    busy: int
    seconds: float

    @property
    def violations(self) -> int:
        """Everything that may not happen."""
        return self.room.violations + self.window.violations + self.killed.births


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.races", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small races: whether it runs")
    parser.add_argument("--broken", action="store_true", help="put the guard outside the transaction: it must fail")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="only there")
    options = parser.parse_args()
    outcomes = []
    for store, place in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        if options.store in (None, store):
            with place() as new_url:
                outcomes.append(race(store, new_url, QUICK if options.quick else FULL, broken=options.broken))
    print_outcomes(outcomes, broken=options.broken)
    return int(any(outcome.violations for outcome in outcomes))


def race(store: str, new_url: NewUrl, size: Size, *, broken: bool) -> Outcome:
    """All races on fresh ledgers of one kind."""
    started = time.monotonic()
    room, room_busy = _judgements(new_url("room"), "guard", size.trades, broken=broken)
    window, window_busy = _judgements(new_url("window"), "rate", size.signals, broken=broken)
    killed, kill_busy = asyncio.run(_kill(new_url("kill"), size.kills, broken=broken))
    return Outcome(
        store=store,
        room=judge_room(room),
        window=judge_window(window),
        killed=killed,
        busy=room_busy + window_busy + kill_busy,
        seconds=time.monotonic() - started,
    )


def print_outcomes(outcomes: Sequence[Outcome], *, broken: bool) -> None:
    """One table for all databases."""
    title = "guard outside the transaction" if broken else f"{PROCESSES * TASKS} workers in {PROCESSES} processes"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", caption=f"{describe_machine()}; {DISK}")
    table.add_column("Race")
    for outcome in outcomes:
        table.add_column(outcome.store, justify="right")
    for words, show in _LINES:
        table.add_row(words, *(show(outcome) for outcome in outcomes))
    Console(highlight=False).print(table)


_LINES: Final[tuple[tuple[str, Callable[[Outcome], str]], ...]] = (
    ("attempts at the edge of the daily guard", lambda o: f"{o.room.attempts:,}"),
    ("  allowed", lambda o: f"{o.room.allowed:,}"),
    ("  past the guard (4,500 USD)", lambda o: str(o.room.past)),
    ("  most at stake at once, USD", lambda o: f"{o.room.peak:,.2f}"),
    ("  allowed against the clerk", lambda o: str(o.room.too_lax)),
    ("  refused against the clerk", lambda o: str(o.room.too_strict)),
    ("attempts at 3 signals in 60 minutes", lambda o: f"{o.window.attempts:,}"),
    ("  allowed", lambda o: f"{o.window.allowed:,}"),
    ("  hours with more than 3", lambda o: str(o.window.past)),
    ("  allowed against the clerk", lambda o: str(o.window.too_lax)),
    ("  refused against the clerk", lambda o: str(o.window.too_strict)),
    ("kill calls with requests in flight", lambda o: str(len(o.killed.milliseconds))),
    ("  born after the call returned", lambda o: str(o.killed.births)),
    ("  windows before which nothing was born", lambda o: str(o.killed.windows_without_traffic)),
    ("  call p50, ms", lambda o: f"{o.killed.percentile(50):.1f}"),
    (f"  call p99, ms (goal <= {KILL_GOAL_MS:g})", lambda o: f"{o.killed.percentile(99):.1f}"),
    ("times a lock was waited for in vain", lambda o: str(o.busy)),
    ("seconds", lambda o: f"{o.seconds:.0f}"),
)


def _judgements(url: str, kind: str, attempts: int, *, broken: bool) -> Result:
    """Let the processes race, and bring what they saw together."""
    asyncio.run(_seed(url))
    with _workers() as workers:
        plans = _plans(url, kind, attempts, broken=broken)
        return _together([workers.submit(run, plan) for plan in plans])


async def _kill(url: str, kills: int, *, broken: bool) -> tuple[Killed, int]:
    """Set and lift the switch while the processes trade, then read off the audit log what was born in between."""
    await _seed(url)
    ledger = await Ledger.open(url)
    with tempfile.TemporaryDirectory() as folder, _workers() as workers:
        stop = Path(folder) / "stop"
        futures = [workers.submit(run, plan) for plan in _plans(url, "kill", 0, broken=broken, stop_file=str(stop))]
        milliseconds = await kill_and_lift(ledger, kills)
        stop.touch()
        _, busy = await asyncio.to_thread(_together, futures)
    killed = await read_killed(ledger, milliseconds)
    await ledger.close()
    return killed, busy


def _plans(url: str, kind: str, attempts: int, *, broken: bool, stop_file: str = "") -> list[Plan]:
    now = time.monotonic_ns()
    share = attempts // PROCESSES
    return [Plan(url, kind, share, TASKS, broken, seed, stop_file, now) for seed in range(PROCESSES)]


def _together(futures: Sequence[Future[Result]]) -> Result:
    results = [future.result() for future in futures]
    events = [event for result, _ in results for event in result]
    if not is_ordered(sorted(event.stamp_ns for event in events)):
        raise RuntimeError("two judgements carry one stamp, so their order is not known")
    return events, sum(busy for _, busy in results)


def _workers() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))


async def _seed(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    ledger = await Ledger.open(url)
    await StoredAccounts(ledger).seed(default_accounts(START))
    await ledger.close()


@contextmanager
def _sqlite() -> Iterator[NewUrl]:
    with tempfile.TemporaryDirectory() as folder:
        yield lambda name: f"sqlite:///{folder}/{name}.db"


@contextmanager
def _postgresql() -> Iterator[NewUrl]:
    with running_server(os.environ) as server, ExitStack() as databases:
        yield lambda _name: databases.enter_context(server.new_database())


if __name__ == "__main__":
    sys.exit(main())
