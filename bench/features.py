"""What the inputs of the models cost, against the libraries that a trader would reach for, and what they may not do.

`python -m bench.features` measures it all in one run, in rounds that take turns. Before anything is measured, each
library's numbers are compared with ours: faster and different would be no news.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.figures import Figure, at_least, at_most, print_figures, ratio, write_figures

if TYPE_CHECKING:
    from core.market import Candles, Floats

ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
TWO_YEARS: Final = 1_030_512  # minutes
SERVED: Final = 500
SLICE: Final = 20_000  # of what would take half a minute
REPEATS: Final = 1_000  # of a call that takes microseconds, so that the clock's own cost does not show
HORIZON: Final = 15
STATUS: Final = Path("/proc/self/status")

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    rounds: int
    walks: int
    windows: int


FULL: Final = Plan(rounds=7, walks=5, windows=40)
QUICK: Final = Plan(rounds=2, walks=1, windows=4)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.features", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", "bench.features", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})
    figures = measure(QUICK if options.quick else FULL)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "ta", "TA-Lib", "polars"))
    print_figures(figures, title=f"inputs of the models, {TWO_YEARS:,} minutes, ours on one thread; {versions}")
    if options.json:
        write_figures(figures, options.json)
    return 0


def measure(plan: Plan) -> list[Figure]:
    """Every figure."""
    minutes = make_minutes(TWO_YEARS, seed=1)
    return [
        *_time_matrix(minutes, plan),
        *_time_served(minutes, plan),
        *_time_timeframes(minutes, plan),
        _measure_parity(minutes, plan),
        *_measure_foresight(plan),
    ]


def make_minutes(size: int, *, seed: int) -> Candles:
    """A random walk with fat tails, wicks and volume."""
    from core.market import Candles

    rng = np.random.default_rng(seed)
    closes = 50_000.0 * np.exp(np.cumsum(5e-4 * rng.standard_t(5, size)))
    opens = np.concatenate([closes[:1], closes[:-1]])
    highs = np.maximum(opens, closes) * (1.0 + 2e-4 * rng.random(size))
    lows = np.minimum(opens, closes) * (1.0 - 2e-4 * rng.random(size))
    times = 1_700_000_040_000 + 60_000 * np.arange(size, dtype=np.int64)
    return Candles("BTC-USD", "1m", times, opens, highs, lows, closes, rng.lognormal(size=size))


def cut(minutes: Candles, start: int, stop: int) -> Candles:
    """Some of the minutes."""
    from core.market import Candles

    columns = (column[start:stop] for column in _columns(minutes))
    return Candles(minutes.symbol, minutes.interval, minutes.open_times[start:stop], *columns)


def _time_matrix(minutes: Candles, plan: Plan) -> list[Figure]:
    """Candles to the float32 matrix: seconds, ratios, and the memory that it takes besides the candles."""
    from bench import feature_peers as peers
    from core.features import compute

    part = cut(minutes, 0, SLICE)
    _refuse_differences(part, peers.with_ta(part), slack=1e-5)
    _refuse_differences(part, peers.with_talib(part), slack=1e-6)
    _refuse_differences(part, peers.row_by_row(part), slack=1e-5)
    calls = {
        "ours": lambda: compute(minutes),
        "ta": lambda: peers.with_ta(minutes),
        "TA-Lib": lambda: peers.with_talib(minutes),
    }
    seconds = _in_turns(calls, plan.rounds)
    slow = _in_turns({"row by row": lambda: peers.row_by_row(part)}, max(2, plan.rounds // 2))["row by row"]
    slow = tuple(each * TWO_YEARS / SLICE for each in slow)
    ours = seconds["ours"]
    return [
        *(Figure(f"float32 matrix: {name}", "s", each) for name, each in seconds.items()),
        Figure(f"float32 matrix: pandas and polyfit row by row, from {SLICE:,} rows", "s", slow),
        ratio("ta / ours", seconds["ta"], ours, at_least(8)),
        ratio("TA-Lib / ours", seconds["TA-Lib"], ours, at_least(2.5)),
        ratio("row by row / ours", slow, ours[: len(slow)], at_least(100)),
        *(
            Figure(
                f"peak memory besides the candles: {name}", "MB", _peaks(call), at_most(300) if name == "ours" else None
            )
            for name, call in calls.items()
        ),
    ]


def _time_served(minutes: Candles, plan: Plan) -> list[Figure]:
    """The 500 candles of one request."""
    from bench import feature_peers as peers
    from core.features import compute, compute_timeframes

    served = cut(minutes, 0, SERVED)
    columns = _columns(served)
    calls = {
        "ours": (lambda: compute(served), REPEATS),
        "ours, multi-timeframe": (lambda: compute_timeframes(served.open_times, columns), REPEATS),
        "ta": (lambda: peers.with_ta(served), REPEATS // 50),
        "TA-Lib": (lambda: peers.with_talib(served), REPEATS // 5),
    }
    repeated = {name: _repeat(call, times) for name, (call, times) in calls.items()}
    found = _in_turns(repeated, plan.rounds)
    seconds = {name: tuple(each / calls[name][1] for each in times) for name, times in found.items()}
    goals = {"ours": at_most(100)}
    return [
        *(
            Figure(f"{SERVED} candles: {name}", "us", tuple(1e6 * each for each in times), goals.get(name))
            for name, times in seconds.items()
        ),
        ratio(f"{SERVED} candles: ta / ours", seconds["ta"], seconds["ours"], at_least(50)),
        ratio(f"{SERVED} candles: TA-Lib / ours", seconds["TA-Lib"], seconds["ours"], at_least(1)),
    ]


def _time_timeframes(minutes: Candles, plan: Plan) -> list[Figure]:
    """5 minutes, 15 minutes and an hour beside each minute; polars on all cores, ours on one."""
    from bench import feature_peers as peers
    from core.features import WARM_UP, compute_timeframes

    holed = np.random.default_rng(2).random(len(minutes)) > 0.05
    holed[5_000:5_400] = False
    times, columns = minutes.open_times[holed], [column[holed] for column in _columns(minutes)]
    ours, theirs = compute_timeframes(times, columns), peers.timeframes_with_polars(times, columns).to_numpy()[WARM_UP:]
    wrong = int((~np.isclose(ours[:, :15], theirs, rtol=1e-6)).any(axis=1).sum())
    whole = _columns(minutes)
    calls = {
        "ours, judged as well": lambda: compute_timeframes(minutes.open_times, whole),
        "polars": lambda: peers.timeframes_with_polars(minutes.open_times, whole),
    }
    seconds = _in_turns(calls, plan.rounds)
    return [
        *(Figure(f"multi-timeframe: {name}", "s", each) for name, each in seconds.items()),
        ratio("multi-timeframe: polars / ours", seconds["polars"], seconds["ours, judged as well"], at_least(3)),
        Figure("multi-timeframe, 5 % of minutes missing: rows unlike polars", "rows", (float(wrong),), at_most(0)),
    ]


def _measure_parity(minutes: Candles, plan: Plan) -> Figure:
    """The last 100 rows of 400 candles against those of the whole history, in standard deviations of the column."""
    from core.features import WARM_UP, compute

    whole = compute(minutes).astype(np.float64)
    deviations = whole.std(axis=0)
    values = []
    for end in np.linspace(1_000, len(minutes), plan.windows).astype(int):
        newest = compute(cut(minutes, end - 400, end))
        rows = whole[end - WARM_UP - 100 : end - WARM_UP]
        values.append(float((np.abs(rows - newest) / deviations).max()))
    return Figure("last 100 rows of 400 candles, furthest from the whole history", "sd", tuple(values), at_most(1e-6))


def _measure_foresight(plan: Plan) -> list[Figure]:
    """On random walks, the largest correlation of a longer candle with the next 15-minute return; and of a leak."""
    from core.features import WARM_UP, compute_timeframes

    honest, leaking = [], []
    for seed in range(plan.walks):
        walk = make_minutes(TWO_YEARS, seed=100 + seed)
        logs = np.log(walk.close)
        ahead = (logs[HORIZON:] - logs[:-HORIZON])[WARM_UP:]
        table = compute_timeframes(walk.open_times, _columns(walk))[:-HORIZON].astype(np.float64)
        for first in (0, 5, 10):
            table[:, first : first + 4] = np.log(table[:, first : first + 4]) - logs[WARM_UP:-HORIZON, None]
        honest.append(max(abs(float(np.corrcoef(column, ahead)[0, 1])) for column in table.T))
        hour = walk.open_times // 3_600_000
        last = np.searchsorted(hour, hour, side="right") - 1
        leak = (logs[last] - logs)[WARM_UP:-HORIZON]
        leaking.append(abs(float(np.corrcoef(leak, ahead)[0, 1])))
    return [
        Figure(
            "random walks: longer candles and the next 15 minutes, largest correlation",
            "",
            tuple(honest),
            at_most(0.02),
        ),
        Figure("random walks: the same of an hour joined on its start, a leak", "", tuple(leaking)),
    ]


def _refuse_differences(candles: Candles, theirs: np.ndarray, *, slack: float) -> None:
    """Stop where a library's numbers are not ours: every column, in its standard deviations."""
    from core.features import FEATURES, WARM_UP, compute

    # By then RSI has forgotten which of three ways each library begins.
    start = 2 * WARM_UP
    ours, theirs = compute(candles)[start - WARM_UP :], theirs[start:]
    apart = np.abs(ours.astype(np.float64) - theirs).max(axis=0) / np.maximum(ours.std(axis=0, dtype=np.float64), 1e-9)
    worst = int(np.argmax(apart))
    if not apart[worst] <= slack:
        raise SystemExit(f"{FEATURES[worst]} differs by {apart[worst]:.2g} standard deviations: nothing to compare")


def _in_turns(calls: dict[str, Call], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each call in each round; a first, unmeasured one compiles and warms up."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: tuple(each) for name, each in times.items()}


def _repeat(call: Call, times: int) -> Call:
    def repeated() -> None:
        for _ in range(times):
            call()

    return repeated


def _peaks(call: Call, rounds: int = 3) -> tuple[float, ...]:
    """By how much the process grows at most during a call, in MB; the kernel's own account."""
    values = []
    for _ in range(rounds):
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark
        before = _status("VmRSS")
        call()
        values.append((_status("VmHWM") - before) * 1_024 / 1e6)
    return tuple(values)


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1])


def _columns(candles: Candles) -> list[Floats]:
    from core.market import COLUMNS

    return [getattr(candles, name) for name in COLUMNS]


if __name__ == "__main__":
    sys.exit(main())
