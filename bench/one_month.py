"""One real month through every theory, as pictures: writes docs/one_month.md and docs/pictures/.

`CRPBOT_REAL_DATA=FOLDER python -m bench.one_month` needs a folder `candles/` of recordings (BTC-USD, 15m, 2025) in it.
They are no part of the project, so the page was made once and is kept as it is. The wildest minutes of other coins are
read by tests/contract/test_real_candles.py.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.pictures import claimed, column_of, draw, sketch_of
from core.adapters.replay.market import ReplayMarket
from core.analysis import Reading
from core.analyzers import Analyzer, discover, evaluate, learners
from core.fitted import Library, Shelf
from core.fitting import HISTORY_CANDLES, Task, bind, learn
from core.market import INTERVAL_SECONDS, Candles, Windows, cut_windows, instant

PAGE = Path(__file__).parent.parent / "docs" / "one_month.md"
PICTURES = PAGE.parent / "pictures"

SYMBOL, INTERVAL, LENGTH = "BTC-USD", "15m", 500
MONTH = "December 2025"
FIRST, LAST = datetime(2025, 12, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, tzinfo=UTC)
AN_HOUR = 3_600 // INTERVAL_SECONDS[INTERVAL]
# The exchange stood still from then for six hours, and nothing is learned from candles with a hole.
HISTORY_ENDS = datetime(2025, 10, 25, 15, 15, tzinfo=UTC)

# What some theories read instead of candles.
READS_INSTEAD = {
    "bayesian_win_rate": "closed trades",
    "market_context": "facts of the whole market (capitalisation, dominance, breadth, fear and greed)",
}

HEAD = """# One real month through every theory

- Coinbase's candles of {symbol}, {interval}, {month} (UTC), from public recordings that are not in this repository:
  {count} windows of {length}, one an hour. Neighbours share all but {step} candles; only {apart} windows share none.
- {fitted} were fitted on candles from before that month alone:
  {history:,} of them, {begins:%-d %B} to {ends:%-d %B %Y}, the last so many without a hole. The others learn nothing.
- One month of one coin proves nothing about any theory: see how they speak, not which was right. With the recordings,
  `CRPBOT_REAL_DATA=FOLDER python -m bench.one_month` makes this page anew; without them it cannot be made.

Above stands the price, with a stripe for each hourly vote, deeper the stronger; below it the theory's headline number.
Orange dots, with their count, are windows in which the theory holds something for proven.
"""


class Month(NamedTuple):
    """What the theories are shown, and what some of them learned before."""

    windows: Windows
    history: Candles
    library: Library


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = os.environ.get("CRPBOT_REAL_DATA")
    if not folder:
        sys.exit("CRPBOT_REAL_DATA is not set: it names the folder of recorded real candles")
    month = read_month(Path(folder) / "candles")
    PICTURES.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([head(month), *(section(each, month) for each in discover().values())]), encoding="utf-8")


def read_month(folder: Path) -> Month:
    """The month's windows, one an hour, and the fits on what came before."""
    candles = take(folder, LENGTH + int((LAST - FIRST).total_seconds()) // INTERVAL_SECONDS[INTERVAL], LAST)
    history = take(folder, HISTORY_CANDLES, HISTORY_ENDS)
    source = "replay"
    fits = [bind(each.name, source, [(history, learn(Task(each.name, history)))], at=FIRST) for each in learners()]
    return Month(cut_windows(candles, LENGTH, step=AN_HOUR, origin=source), history, Shelf(tuple(fits)))


def take(folder: Path, count: int, until: datetime) -> Candles:
    """The newest candles closed at an instant."""
    market = ReplayMarket(folder)
    (candles,) = asyncio.run(market.latest([SYMBOL], INTERVAL, count, now_ms=int(1_000 * until.timestamp())))
    return candles


def head(month: Month) -> str:
    """Where the numbers come from, and what they cannot say."""
    names = [each.name for each in learners()]
    span = (month.windows.open_times[-1, -1] - month.windows.open_times[0, 0]) // (1_000 * INTERVAL_SECONDS[INTERVAL])
    return HEAD.format(
        symbol=SYMBOL,
        interval=INTERVAL,
        month=MONTH,
        count=len(month.windows),
        length=LENGTH,
        step=AN_HOUR,
        apart=(span + 1) // LENGTH,
        fitted=f"{', '.join(names[:-1])} and {names[-1]}",
        history=len(month.history),
        begins=instant(int(month.history.open_times[0])),
        ends=instant(month.history.as_of),
    )


def section(analyzer: Analyzer, month: Month) -> str:
    """One theory's picture and what it shows."""
    readings = evaluate(analyzer, month.windows, month.library)
    title = f"## {analyzer.name}\n\n{analyzer.explanation.splitlines()[0]}\n"
    if all(reading.problem for reading in readings):
        reads = READS_INSTEAD.get(analyzer.name, "something else")
        return (
            f"{title}\nNo picture: it reads {reads}, and candles hold none of it. It says: *{readings[-1].problem}*.\n"
        )
    path = PICTURES / f"one_month_{analyzer.name}.png"
    draw(path, f"{analyzer.name}: {SYMBOL}, {INTERVAL}, {MONTH}", analyzer.headline, month.windows, readings)
    headline = sketch_of(analyzer.name, analyzer.headline).headline
    picture = f"![The price with the votes of {analyzer.name}, below it the {headline}](pictures/{path.name})"
    last = f"The last window, closed on {LAST:%-d %B at %H:%M}: *{readings[-1].words or readings[-1].problem}*"
    return f"{title}\n{picture}\n\n{describe(analyzer, readings)}\n\n{last}\n"


def describe(analyzer: Analyzer, readings: Sequence[Reading]) -> str:
    """A month in one sentence: how it voted, where its number lay, how often it held something for proven."""
    sketch = sketch_of(analyzer.name, analyzer.headline)
    votes, numbers = column_of(readings), column_of(readings, analyzer.headline)
    up, down, neither = (_share(cast) for cast in (votes > 0.0, votes < 0.0, votes == 0.0))
    if votes.any():
        voted = f"Of {len(votes)} windows it voted up in {up}, down in {down} and not at all in {neither}"
    elif sketch.votes:
        voted = f"It voted in none of the {len(votes)} windows"
    else:
        voted = f"A filter, it votes in none of the {len(votes)} windows"
    low, middle, high = np.nanquantile(numbers, [0.0, 0.5, 1.0])
    spread = (
        f"stayed at {middle:.3g}" if high - low < 1e-9 else f"ran from {low:.3g} to {high:.3g}, median {middle:.3g}"
    )
    unread = _share(np.isnan(numbers)) if np.isnan(numbers).any() else ""
    meaning = "" if analyzer.headline.replace("_", " ") == sketch.headline else f" ({sketch.headline})"
    parts = [f"{voted}; `{analyzer.headline}`{meaning} {spread}"]
    parts += [f'"{sketch.claim.words}" held in {_share(claimed(sketch.claim, readings))}'] if sketch.claim else []
    parts += [f"no reading in {unread}"] if unread else []
    return f"{'; '.join(parts)}."


def _share(held: np.ndarray) -> str:
    return f"{held.sum()} ({100.0 * held.mean():.1f} %)"


if __name__ == "__main__":
    main()
