"""How long each theory takes for one window, alone and in a batch, beside the library that a trader would reach for.

`python -m bench.theories` prints a table, `--record` also writes it to docs/measured/speed.json, from which
docs/theories.md is made; with `--theory` it replaces the figures of that theory and keeps the others. Every time is the
median of several rounds, library and theory in turn in the same run, on one thread. Goals judge the time in the batch,
but for contests that say `alone`. The batch is computed as a whole: cut into chunks of 64 rows, as the server does it,
it was no faster. Compare ratios, not microseconds: machines differ.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contest import Contest
from bench.records import Record, merge_record

if TYPE_CHECKING:
    from core.fitted import Library
    from core.market import Windows

RECORD = Path(__file__).parent.parent / "docs" / "measured" / "speed.json"

BATCH = 1_000
LENGTH = 500
HISTORY = 7_000
ROUNDS = 9
# Each round of a call takes about this long, so that the clock's own cost does not show.
ROUND_SECONDS = 0.005
# A call that takes longer than this is not worth nine rounds.
SLOW_SECONDS = 1.0
SLOW_ROUNDS = 3
# Narrower, the names of theories and libraries are cut.
TABLE_WIDTH = 130
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SIMULATION = "monte_carlo"
MARKET = "walk"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Microseconds a window, and how many times faster than the library."""

    theory: str
    name: str
    batch_us: float
    single_us: float
    library: str
    library_us: float
    times_faster: float
    times_faster_single: float
    goal: float
    serves: bool
    rounds: int
    alone: bool

    @property
    def ratio(self) -> float:
        """What the goal judges: times faster on the lone window, or on a window of the batch."""
        return self.times_faster_single if self.alone else self.times_faster

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal


@dataclass(frozen=True, slots=True)
class Together:
    """Every theory on the same window: microseconds, votes and words included."""

    theories: int
    single_us: float
    batch_us_without_simulation: float
    libraries_us: float

    @property
    def times_faster(self) -> float:
        return self.libraries_us / self.single_us


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--record", action="store_true", help=f"merge into {RECORD.name} for the docs")
    parser.add_argument("--theory", action="append", help="only this theory (repeatable)")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", "bench.theories", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})
    batch = make_windows(BATCH)
    outcomes = [
        compete(theory, contest)
        for theory in contested(arguments.theory or ())
        for contest in importlib.import_module(f"bench.contests.{theory}").contests(batch, batch.row(0))
    ]
    together = None if arguments.theory else time_together(batch, outcomes)
    record = describe(outcomes, together)
    if arguments.record:
        merge_record(RECORD, record["theories"], together=record["together"])
    if arguments.json:
        print(json.dumps(record))
    else:
        show(outcomes, together)


def contested(chosen: tuple[str, ...] | list[str]) -> list[str]:
    """The theories for which there is a contest, all or those named."""
    names = sorted(path.stem for path in (Path(__file__).parent / "contests").glob("[a-z]*.py"))
    return [name for name in names if not chosen or name in chosen]


def describe(outcomes: list[Outcome], together: Together | None) -> Record:
    """The record: for each theory and for all together the figures, what they depend on, and the hash of their code."""
    from core.analyzers import code_hash, discover

    facts = setting()
    contests: dict[str, list[Record]] = {outcome.theory: [] for outcome in outcomes}
    for outcome in outcomes:
        contests[outcome.theory].append({**asdict(outcome), "ratio": outcome.ratio, "met": outcome.met})
    theories = {
        theory: {"code": code_hash(theory), **facts, "contests": contests[theory]} for theory in sorted(contests)
    }
    if together is None:
        return {"theories": theories, "together": None}
    codes = {theory: code_hash(theory) for theory in discover()}
    figures = {**asdict(together), "times_faster": together.times_faster}
    return {"theories": theories, "together": {"codes": codes, **facts, **figures}}


def setting() -> Record:
    """What the numbers depend on."""
    import numba
    import numpy
    import scipy

    return {
        "day": datetime.now(UTC).date().isoformat(),
        "rounds": ROUNDS,
        "batch": BATCH,
        "length": LENGTH,
        "threads": 1,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": f"numpy {numpy.__version__}, scipy {scipy.__version__}, numba {numba.__version__}",
    }


def make_windows(rows: int) -> Windows:
    """Random walks with fat tails, wicks, volume, trades and a market around them; later than what is fitted."""
    import numpy as np

    from core.market import Context, Windows
    from core.market import Record as Trades

    rng = np.random.default_rng(1)
    closes = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_t(4, (rows, LENGTH)), axis=1))
    opens = np.concatenate([np.full((rows, 1), 100.0), closes[:, :-1]], axis=1)
    wick = 0.001 * rng.random((2, rows, LENGTH))
    highs, lows = np.maximum(opens, closes) * (1.0 + wick[0]), np.minimum(opens, closes) * (1.0 - wick[1])
    times = np.tile(300_000 * (HISTORY + np.arange(LENGTH, dtype=np.int64)), (rows, 1))
    block = np.ascontiguousarray(np.stack([opens, highs, lows, closes, rng.lognormal(size=closes.shape)]))
    wins, losses = rng.integers(20, 300, (2, rows)).astype(np.float64)
    trades = Trades(wins, losses, break_even=rng.uniform(0.4, 0.6, rows))
    market = Context(
        cap_change_percent=rng.normal(0.0, 3.0, rows),
        dominance_percent=rng.uniform(40.0, 65.0, rows),
        breadth_fraction=rng.uniform(0.0, 1.0, rows),
        fear_greed=rng.uniform(5.0, 95.0, rows),
        age_seconds=rng.uniform(0.0, 600.0, rows),
    )
    return Windows(("BTC-USD",) * rows, "5m", times, block, (MARKET,) * rows, trades, market)


def compete(theory: str, contest: Contest) -> Outcome:
    """Rounds of batch, single and library in turn; the medians."""
    calls = (contest.batch, contest.single, contest.library)
    repeats = [repeats_for(call) for call in calls]
    slowest = max(time_of(call, 1) for call in calls)
    rounds = SLOW_ROUNDS if slowest > 1e6 * SLOW_SECONDS else ROUNDS
    times = [[time_of(call, repeat) for call, repeat in zip(calls, repeats, strict=True)] for _ in range(rounds)]
    batch, single, library = (statistics.median(each) for each in zip(*times, strict=True))
    batch /= contest.windows
    return Outcome(
        theory=theory,
        name=contest.name,
        batch_us=batch,
        single_us=single,
        library=contest.library_name,
        library_us=library,
        times_faster=library / batch,
        times_faster_single=library / single,
        goal=contest.goal,
        serves=contest.serves,
        rounds=rounds,
        alone=contest.alone,
    )


def repeats_for(call: Callable[[], object]) -> int:
    """How often to repeat a call so that a round is long enough; the first call may compile."""
    call()
    return max(1, int(ROUND_SECONDS * 1e6 / time_of(call, 2)))


def time_of(call: Callable[[], object], repeats: int) -> float:
    """Microseconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def time_together(batch: Windows, outcomes: list[Outcome]) -> Together:
    """Every theory in turn on one lone window and, but for the simulation, on the batch; fitted ones truly fitted."""
    from core.analyzers import discover, evaluate

    library = fit_on_walk()
    single = batch.row(0)
    # What only says why it has no number costs nothing: it must not flatter the sum.
    for analyzer in discover().values():
        (reading,) = evaluate(analyzer, single, library)
        assert reading.problem is None, f"{reading.theory}: {reading.problem}"

    def alone() -> object:
        return [evaluate(analyzer, single, library) for analyzer in discover().values()]

    def in_batch() -> object:
        return [evaluate(each, batch, library) for each in discover().values() if each.name != SIMULATION]

    repeats = repeats_for(alone)
    return Together(
        theories=len(discover()),
        single_us=statistics.median(time_of(alone, repeats) for _ in range(ROUNDS)),
        batch_us_without_simulation=statistics.median(time_of(in_batch, 1) for _ in range(ROUNDS)) / len(batch),
        libraries_us=sum(outcome.library_us for outcome in outcomes if outcome.serves),
    )


def fit_on_walk() -> Library:
    """What the fitted theories learn from a long random walk."""
    import numpy as np

    from core.analyzers import learners
    from core.fitted import Shelf
    from core.fitting import Task, bind, learn
    from core.market import Candles

    rng = np.random.default_rng(2)
    closes = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_t(4, HISTORY)))
    opens = np.concatenate([[100.0], closes[:-1]])
    highs, lows = np.maximum(opens, closes) * 1.0005, np.minimum(opens, closes) * 0.9995
    times = 300_000 * np.arange(HISTORY, dtype=np.int64)
    history = Candles("BTC-USD", "5m", times, opens, highs, lows, closes, rng.lognormal(size=HISTORY))
    at = datetime.now(UTC)
    fits = [bind(each.name, MARKET, [(history, learn(Task(each.name, history)))], at=at) for each in learners()]
    return Shelf(tuple(fits))


def show(outcomes: list[Outcome], together: Together | None) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    facts = setting()
    title = f"microseconds a window of {LENGTH}, median of {ROUNDS} rounds, one thread\n"
    table = Table(title=f"{title}{facts['machine']}, {facts['versions']}")
    for heading in ("theory", "what", f"batch of {BATCH:,}", "alone", "library", "its time", "faster", "alone", "goal"):
        table.add_column(heading, justify="left" if heading in ("theory", "what", "library") else "right")
    for row in outcomes:
        judged = f"[{'green' if row.met else 'red'}]{row.ratio:.1f}x[/]"
        ratios = (
            f"{row.times_faster:.1f}x" if row.alone else judged,
            judged if row.alone else f"{row.times_faster_single:.1f}x",
            f"{row.goal:g}x {'alone' if row.alone else 'batch'}",
        )
        times = (f"{row.batch_us:.2f}", f"{row.single_us:.1f}", row.library, f"{row.library_us:.1f}")
        table.add_row(row.theory, row.name, *times, *ratios)
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    console.print(table)
    if together is not None:
        console.print(
            f"all {together.theories} theories on one lone window, with votes and words: {together.single_us:,.0f} us; "
            f"through the libraries {together.libraries_us:,.0f} us, {together.times_faster:.0f} times as long\n"
            f"per window in a batch of {BATCH:,}, without the simulation: {together.batch_us_without_simulation:.0f} us"
        )


if __name__ == "__main__":
    main()
