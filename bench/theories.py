"""How long a theory takes for one window, alone and in a batch, beside the library that a trader would reach for.

`python bench/theories.py` prints a table, `--json` the same numbers for programs. Every time is the median of several
rounds, library and theory in turn in the same run, on one thread. Compare ratios, not microseconds: machines differ.
nolds is not measured: it does not install on Python 3.11 with current tools.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

BATCH = 1_000
LENGTH = 500
ROUNDS = 9
# Each round of a lone call takes about this long, so that the clock's own cost does not show.
ROUND_SECONDS = 0.005
# Narrower, the names of theories and libraries are cut.
TABLE_WIDTH = 118
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Contest:
    """One theory (or part of it) against one library call that gives at most as much."""

    name: str
    batch: Callable[[], object]
    windows: int
    single: Callable[[], object]
    library_name: str
    library: Callable[[], object]
    goal: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Microseconds a window, and how many times faster than the library."""

    name: str
    batch_us: float
    single_us: float
    library: str
    library_us: float
    times_faster: float
    times_faster_single: float
    goal: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    outcomes = [compete(contest) for contest in contests()]
    together = time_together()
    if as_json:
        print(json.dumps({**setting(), "all_single_us": together, "outcomes": [asdict(row) for row in outcomes]}))
    else:
        show(outcomes, together)


def setting() -> dict[str, object]:
    """What the numbers depend on."""
    import numba
    import numpy
    import scipy

    return {
        "rounds": ROUNDS,
        "batch": BATCH,
        "length": LENGTH,
        "threads": 1,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": f"numpy {numpy.__version__}, scipy {scipy.__version__}, numba {numba.__version__}",
    }


def contests() -> list[Contest]:
    """Each theory with the library's call for the nearest number, on fat-tailed returns."""
    import antropy
    import numpy as np
    import scipy.stats
    from statsmodels.stats.diagnostic import acorr_ljungbox

    from core.analyzers import autocorrelation, hurst_exponent, shannon_entropy

    batch = make_windows(BATCH)
    single = batch.row(0)
    row = single.log_returns()[0]
    counts = np.histogram(row, bins=16)[0]
    weights = shannon_entropy.grassberger_weights(LENGTH)

    def histogram() -> object:
        low, middle, high = np.percentile(row, [25, 50, 75])
        deviation = (high - low) / 1.349
        edges = middle + deviation * np.concatenate([[-np.inf], 0.5 * np.arange(-7, 8), [np.inf]])
        return scipy.stats.entropy(np.histogram(row, bins=edges)[0])

    def theory(module: ModuleType) -> tuple[Callable[[], object], int, Callable[[], object]]:
        return lambda: module.analyze(batch), BATCH, lambda: module.analyze(single)

    def count() -> object:
        return shannon_entropy.count_entropy(counts, weights)

    entropy, hurst, echo = theory(shannon_entropy), theory(hurst_exponent), theory(autocorrelation)
    permutation = ("antropy.perm_entropy", lambda: antropy.perm_entropy(row, order=3, normalize=True))
    return [
        Contest("shannon_entropy, all three", *entropy, *permutation, 5.0),
        Contest("shannon_entropy, all three", *entropy, "numpy histogram + scipy entropy", histogram, 50.0),
        Contest(
            "entropy of 16 counts", count, 1, count, "scipy.stats.entropy", lambda: scipy.stats.entropy(counts), 50.0
        ),
        Contest("hurst_exponent, all four", *hurst, "antropy DFA", lambda: antropy.detrended_fluctuation(row), 5.0),
        Contest("autocorrelation, both tests", *echo, "acorr_ljungbox", lambda: acorr_ljungbox(row, lags=[20]), 10.0),
    ]


def make_windows(rows: int):
    """Random walks with fat tails."""
    import numpy as np

    from core.market import Windows

    closes = 100.0 * np.exp(np.cumsum(0.003 * np.random.default_rng(1).standard_t(4, (rows, LENGTH)), axis=1))
    times = np.tile(300_000 * np.arange(LENGTH, dtype=np.int64), (rows, 1))
    block = np.ascontiguousarray(np.stack([closes, closes, closes, closes, np.ones_like(closes)]))
    return Windows(("BTC-USD",) * rows, "5m", times, block)


def compete(contest: Contest) -> Outcome:
    """Rounds of batch, single and library in turn; the medians."""
    calls = (contest.batch, contest.single, contest.library)
    repeats = [repeats_for(call) for call in calls]
    rounds = [[time_of(call, repeat) for call, repeat in zip(calls, repeats, strict=True)] for _ in range(ROUNDS)]
    batch, single, library = (statistics.median(times) for times in zip(*rounds, strict=True))
    batch /= contest.windows
    return Outcome(
        contest.name, batch, single, contest.library_name, library, library / batch, library / single, contest.goal
    )


def repeats_for(call: Callable[[], object]) -> int:
    """How often to repeat a call so that a round is long enough; the first call may compile."""
    call()
    return max(1, int(ROUND_SECONDS * 1e6 / time_of(call, 3)))


def time_of(call: Callable[[], object], repeats: int) -> float:
    """Microseconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def time_together() -> float:
    """Microseconds for every theory on one lone window, with its vote and words."""
    from core.analyzers import discover, evaluate

    single = make_windows(1)

    def everything() -> object:
        return [evaluate(analyzer, single) for analyzer in discover().values()]

    repeats = repeats_for(everything)
    return statistics.median(time_of(everything, repeats) for _ in range(ROUNDS))


def show(outcomes: list[Outcome], together: float) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    facts = setting()
    title = f"microseconds a window of {LENGTH}, median of {ROUNDS} rounds, one thread\n"
    table = Table(title=f"{title}{facts['machine']}, {facts['versions']}")
    for heading in ("theory", f"batch of {BATCH:,}", "alone", "library", "its time", "faster", "alone", "goal"):
        table.add_column(heading, justify="left" if heading in ("theory", "library") else "right")
    for row in outcomes:
        times = (f"{row.times_faster:.1f}x", f"{row.times_faster_single:.1f}x", f"{row.goal:.0f}x")
        table.add_row(
            row.name, f"{row.batch_us:.2f}", f"{row.single_us:.1f}", row.library, f"{row.library_us:.1f}", *times
        )
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    console.print(table)
    console.print(f"every theory on one lone window, with votes and words: {together:.0f} microseconds")


if __name__ == "__main__":
    main()
