"""Whether a download is as fast as the exchange allows, and needs no more memory for two years than for two months.

`python -m bench.fetch` downloads from the fake exchange, in a process of its own, over HTTP on the loopback: the whole
way from the socket to the Parquet file, at the rate of the settings and at five times that. Then from a source that
answers at once: what the same way can do without a limit, and its peak memory. Last how long the gate alone takes.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, at_least, at_most, print_figures, write_figures

if TYPE_CHECKING:
    from core.adapters.history.download import Outcome, Source
    from core.gate import RawCandles

MINUTE_MS: Final = 60_000
DAY_MS: Final = 1_440 * MINUTE_MS
PAGE: Final = 300
START_MS: Final = 1_700_006_400_000
TWO_MONTHS, TWO_YEARS = 60, 716  # days; the latter are 1,031,040 candles
RATES: Final = (5, 25)

SERVER: Final = """
import threading
from tests.fake_coinbase import FakeCoinbase
with FakeCoinbase(public_per_second=100_000) as exchange:
    print(exchange.url, flush=True)
    threading.Event().wait()
"""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--days", type=int, help=argparse.SUPPRESS)  # in a process of its own: its memory is measured
    options = parser.parse_args()
    if options.days:
        seconds = _download_at_once(options.days)
        print(seconds, _peak_mebibytes())
        return 0
    rounds, seconds = (1, 4.0) if options.quick else (3, 24.0)
    figures = [*_measure_rates(rounds, seconds), *_measure_memory(rounds), _measure_gate(rounds)]
    print_figures(figures, title="a download of one-minute candles, from the socket to the Parquet file")
    if options.json:
        write_figures(figures, options.json)
    return 0


def _measure_rates(rounds: int, seconds: float) -> list[Figure]:
    """Pages in the time that the limit allows for them, over the time that they took."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            return [
                Figure(
                    f"share of the allowed rate, {rate} pages/s",
                    "",
                    tuple(_share_of(rate, url, seconds) for _ in range(rounds)),
                    at_least(0.9),
                )
                for rate in RATES
            ]
        finally:
            server.terminate()


def _share_of(rate: int, url: str, seconds: float) -> float:
    import core.adapters.history.download  # noqa: F401 - imported before the clock starts
    from core.adapters.coinbase.market import CoinbaseMarket
    from core.adapters.exchange_http import Pace

    pages = round(rate * seconds)

    async def run() -> float:
        market = CoinbaseMarket(url, pace=Pace(requests_per_second=rate))
        begun = time.perf_counter()
        await _download(market, pages * PAGE)
        took = time.perf_counter() - begun
        await market.close()
        return took

    # clock and products are asked for too; the first second's pages need not wait
    return ((pages + 2) / rate - 1.0) / asyncio.run(run())


def _measure_memory(rounds: int) -> list[Figure]:
    """Peak memory of a process that downloads, and its speed where nothing holds it up."""
    short = [_in_a_process(TWO_MONTHS) for _ in range(rounds)]
    long = [_in_a_process(TWO_YEARS) for _ in range(rounds)]
    more = tuple(two_years[1] - two_months[1] for two_years, two_months in zip(long, short, strict=True))
    return [
        Figure("peak memory, two months", "MiB", tuple(peak for _, peak in short)),
        Figure("peak memory, two years", "MiB", tuple(peak for _, peak in long)),
        Figure("more for two years", "MiB", more, at_most(32.0)),
        Figure("candles a second without a limit", "/s", tuple(TWO_YEARS * 1_440 / took for took, _ in long)),
    ]


def _measure_gate(rounds: int) -> Figure:
    """Two years of good candles, looked through for every defect that there is."""
    import numpy as np

    from core.gate import RawCandles, examine

    async def read() -> list[RawCandles]:
        end_ms = START_MS + TWO_YEARS * DAY_MS
        return [page async for page in _Instant().history("BTC-USD", "1m", START_MS, end_ms)]

    raw = RawCandles(*(np.concatenate(column) for column in zip(*asyncio.run(read()), strict=True)))
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        examine(raw, symbol="BTC-USD", interval="1m", now_ms=START_MS + TWO_YEARS * DAY_MS)
        took.append(time.perf_counter() - begun)
    return Figure("two years of candles through the gate", "s", tuple(took), at_most(1.0))


def _in_a_process(days: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.fetch", "--days", str(days)]
    seconds, mebibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(mebibytes)


def _peak_mebibytes() -> float:
    """Of this program; what the system calls maximum resident size begins with the parent's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1_024


def _download_at_once(days: int) -> float:
    begun = time.perf_counter()
    asyncio.run(_download(_Instant(), days * 1_440))
    return time.perf_counter() - begun


async def _download(source: Source, candles: int) -> Outcome:
    from core.adapters.history.download import download
    from core.adapters.history.plan import Series

    series = Series("BTC-USD", "1m", START_MS, START_MS + candles * MINUTE_MS)
    with TemporaryDirectory() as folder:
        (outcome,) = await download(
            source, Path(folder), [series], tell=lambda *_: None, now_ms=lambda: time.time_ns() // 1_000_000
        )
    assert outcome.candles == candles, outcome
    return outcome


class _Instant:
    """A source that answers at once; every page is another random walk about one price."""

    identity = "instant"

    async def history(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> AsyncIterator[RawCandles]:
        import numpy as np

        from core.gate import RawCandles

        for begin in range(start_ms, end_ms, PAGE * MINUTE_MS):
            await asyncio.sleep(0)
            times = np.arange(begin, min(begin + PAGE * MINUTE_MS, end_ms), MINUTE_MS)
            walk = np.random.default_rng(begin // MINUTE_MS).normal(0.0, 10.0, len(times) + 1)
            opens, closes = 50_000.0 + walk[:-1].round(2), 50_000.0 + walk[1:].round(2)
            volume = np.abs(walk[1:]) + 0.001
            yield RawCandles(times, opens, np.maximum(opens, closes), np.minimum(opens, closes), closes, volume)


if __name__ == "__main__":
    sys.exit(main())
