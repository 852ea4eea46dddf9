"""What the whole crypto market does around this coin: its size, Bitcoin's share, how many coins rise, how people feel.

Facts fetched from outside and joined to the window, none of them estimated here:

- `cap_change_percent`: total market capitalisation against 24 hours ago.
- `breadth_fraction`: share of the followed coins that rose over 24 hours.
- `dominance_percent`: Bitcoin's share of the capitalisation. A level without a direction: shown, never voted on.
- `fear_greed`: index of alternative.me, 0 extreme fear .. 100 extreme greed; about Bitcoin alone, new once a day.
- `age_seconds`: how long before the window's end the oldest of them was fetched.

`market_move` m is the mean of cap change / 2 % and (breadth - 0.5) / 0.2, as far as known: the size of the day in usual
days. Both are views of one move, so they are not added up; where they contradict each other (opposite signs, both of
about a usual day's size) nothing follows from them.

`lean` = sign(m) min(max(|m| - 2, 0), 1) (1 - brake): nothing up to twice a usual day, the whole from three times on. It
goes with the move, because in the years studied the market's returns carried on over the next days. The crowd only
brakes: from 80 to 100 of `fear_greed` a lean up, from 20 to 0 a lean down loses up to a third. It never votes alone or
against the move: half of the index is itself Bitcoin's volatility and momentum, and its extremes have lasted for weeks.
The vote is `lean` while the facts are `fresh`, that is known at the window's end and at most six hours old; else 0.

Good for: not taking the market's tide for one coin's own move. Not good for: timing (a day is long beside a trade of 15
minutes), and no promise of profit: the lean is a summary of facts, its weights are chosen, not fitted.

Sources: Liu and Tsyvinski 2021, doi 10.1093/rfs/hhaa113 (momentum of the whole crypto market over days and weeks);
the facts are CoinGecko's and alternative.me's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Windows

# The market never did this in a day: a fault of the source, not a fact.
LARGEST_CAP_CHANGE_PERCENT = 1_000.0

FIELDS = {
    "lean": Field("where a large day of the whole market points: -1 down, 0 a usual day, 1 up", low=-1.0, high=1.0),
    "market_move": Field("size of the day in usual days, from market cap and breadth: up positive"),
    "contradiction": Field("1 if market cap and breadth clearly point in opposite directions", low=0.0, high=1.0),
    "cap_change_percent": Field(
        "change of the total market capitalisation in 24 h", low=-100.0, high=LARGEST_CAP_CHANGE_PERCENT
    ),
    "dominance_percent": Field("Bitcoin's share of the total market capitalisation", low=0.0, high=100.0),
    "breadth_fraction": Field("share of the followed coins that rose in 24 h", low=0.0, high=1.0),
    "fear_greed": Field("Fear & Greed index: 0 extreme fear, 100 extreme greed", low=0.0, high=100.0),
    "age_seconds": Field("time from fetching the oldest of these facts to the window's end"),
    "fresh": Field("1 if the facts were known at the window's end and are at most 6 h old, else 0", low=0.0, high=1.0),
    "facts_known": Field("how many of the four facts are known", low=0.0, high=4.0),
}
MIN_LENGTH = 2  # no candle is read
UNDEFINED = "no market context has been fetched yet: market cap, dominance, breadth, fear & greed are all unknown"

MAX_AGE_SECONDS = 21_600.0
# Thirty years: the mark of a clock that was never set.
LONGEST_AGE_SECONDS = 1e9
# About one standard deviation of a day, of the total market capitalisation and of the share of coins that rise.
USUAL_CAP_CHANGE_PERCENT = 2.0
USUAL_BREADTH_CHANGE = 0.2
# Chance alone makes a day of twice the usual size once in three weeks: smaller ones say nothing.
LEAN_STARTS = 2.0
# Seven coins of ten up, or seven down, are one usual day less a rounding error.
CONTRADICTION = 0.9
EXTREME_FEAR = 20.0
EXTREME_GREED = 80.0
LARGEST_BRAKE = 1.0 / 3.0


def analyze(windows: Windows) -> Columns:
    """The facts of each row, and where they lean.

    Shape: (B,) columns of the context -> (B,) for every field.
    Edge cases: a fact that is not finite or beyond its bounds is unknown and left out; none known gives NaN throughout;
    neither cap change nor breadth known gives a lean of 0 and no move; an unknown age is not fresh.
    """
    rows = len(windows)
    if windows.market is None:
        return {name: np.full(rows, np.nan) for name in FIELDS}
    market = windows.market
    cap_change = _within(market.cap_change_percent, -100.0, LARGEST_CAP_CHANGE_PERCENT)
    dominance = _within(market.dominance_percent, 0.0, 100.0)
    breadth = _within(market.breadth_fraction, 0.0, 1.0)
    fear_greed = _within(market.fear_greed, 0.0, 100.0)
    age = _within(market.age_seconds, -LONGEST_AGE_SECONDS, LONGEST_AGE_SECONDS)
    facts = np.zeros(rows)
    for fact in (cap_change, dominance, breadth, fear_greed):
        facts += ~np.isnan(fact)
    known = np.where(facts > 0.0, 1.0, np.nan)
    views = cap_change / USUAL_CAP_CHANGE_PERCENT, (breadth - 0.5) / USUAL_BREADTH_CHANGE
    move, contradicted = _mean(*views), _contradict(*views)
    return {
        "lean": _lean(move, fear_greed, contradicted) * known,
        "market_move": move,
        "contradiction": np.where(contradicted, 1.0, 0.0) * known,
        "cap_change_percent": cap_change,
        "dominance_percent": dominance,
        "breadth_fraction": breadth,
        "fear_greed": fear_greed,
        "age_seconds": age * known,
        "fresh": np.where((age >= 0.0) & (age <= MAX_AGE_SECONDS), 1.0, 0.0) * known,
        "facts_known": facts * known,
    }


def read(values: Values) -> Opinion:
    """Vote with the lean of fresh facts, else stay out; the words print every fact and its age."""
    fault = _find_fault(values)
    state, vote = (f"{fault}, no vote", 0.0) if fault else _judge(values)
    return Opinion(vote, f"{state}: {_print_facts(values)}.")


def _within(column: Floats, low: float, high: float) -> Floats:
    """The column with NaN for what is no finite number between the bounds."""
    return np.where(np.isfinite(column) & (column >= low) & (column <= high), column, np.nan)


def _mean(first: Floats, second: Floats) -> Floats:
    """Mean of the two views of the day; the one that is known; NaN without both."""
    return np.where(np.isnan(first), second, np.where(np.isnan(second), first, 0.5 * (first + second)))


def _contradict(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Whether both views had a day of about usual size at least, in opposite directions."""
    return (first * second < 0.0) & (np.minimum(np.abs(first), np.abs(second)) >= CONTRADICTION)


def _lean(move: Floats, fear_greed: Floats, contradicted: NDArray[np.bool_]) -> Floats:
    """The move beyond a usual day, braked where the crowd is already there; 0 where nothing follows from it."""
    size = np.clip(np.abs(move) - LEAN_STARTS, 0.0, 1.0)
    crowd = np.where(move > 0.0, fear_greed - EXTREME_GREED, EXTREME_FEAR - fear_greed) / EXTREME_FEAR
    brake = LARGEST_BRAKE * np.where(np.isnan(crowd), 0.0, np.clip(crowd, 0.0, 1.0))
    return np.where((size > 0.0) & ~contradicted, np.sign(move) * size * (1.0 - brake), 0.0)


def _find_fault(values: Values) -> str:
    """Why these facts may not vote; nothing when they may."""
    age = values.get("age_seconds")
    if age is None:
        return "Facts of unknown age"
    if age < 0.0:
        return "Fetched only after the window's end"
    if age > MAX_AGE_SECONDS:
        return f"Stale, older than {MAX_AGE_SECONDS / 3600:.0f} h"
    return "" if "market_move" in values else "Neither market cap nor breadth known"


def _judge(values: Values) -> tuple[str, float]:
    """The state of the market in words, and the vote."""
    lean, crowd = values["lean"], _name_crowd(values)
    if lean != 0.0:
        state = f"The whole market {'rises' if lean > 0.0 else 'falls'}, go with it"
        braked = crowd == ("greed" if lean > 0.0 else "fear")
        return (f"{state} carefully, the crowd is in extreme {crowd}" if braked else state), lean
    if values["contradiction"] == 1.0:
        return "Mixed, no lean, market cap and breadth disagree", 0.0
    return (f"A usual day, no lean, though in extreme {crowd}" if crowd else "A usual day, no lean"), 0.0


def _name_crowd(values: Values) -> str:
    """`fear` or `greed` at the extremes of the index, else nothing."""
    fear_greed = values.get("fear_greed", 50.0)
    return "greed" if fear_greed > EXTREME_GREED else "fear" if fear_greed < EXTREME_FEAR else ""


def _print_facts(values: Values) -> str:
    """Every fact, those that are missing by name, and the age."""
    printed = {
        "cap_change_percent": ("market cap", "{:+.1f} % in 24 h"),
        "breadth_fraction": ("breadth", "{:.0f} % of coins up"),
        "dominance_percent": ("BTC dominance", "{:.1f} %"),
        "fear_greed": ("fear & greed", "{:.0f}"),
    }
    shown = {**values, "breadth_fraction": 100.0 * values.get("breadth_fraction", 0.0)}
    parts = [f"{name} {shape.format(shown[key])}" for key, (name, shape) in printed.items() if key in values]
    missing = [name for key, (name, _) in printed.items() if key not in values]
    if missing:
        parts.append(f"without {' and '.join(missing)}")
    if "age_seconds" in values:
        parts.append(_print_age(values["age_seconds"]))
    return ", ".join(parts)


def _print_age(seconds: float) -> str:
    size = abs(seconds)
    age = f"{size:.0f} s" if size < 120 else f"{size / 60:.0f} min" if size < 7_200 else f"{size / 3600:.1f} h"
    return f"{age} {'old' if seconds >= 0.0 else 'after it'}"
