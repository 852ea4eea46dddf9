"""Whether the closed trades prove that this kind of signal pays: the win rate with all that is not known about it.

Before any trade every win rate is held equally likely, Beta(1, 1); a win adds 1 to alpha, a loss 1 to beta. After w
wins and l losses the win rate p follows Beta(alpha, beta), alpha = 1 + w, beta = 1 + l: nothing is refitted.

- `win_rate` is its mean, alpha / (alpha + beta).
- `win_rate_low`..`win_rate_high` hold 95 % of it, 2.5 % on either side (equal-tailed). This is not one standard error
  (68 %) to either side, and the ends are not equally far from the mean.
- `probability_above_break_even` = P(p > break-even) = 1 - I_b(alpha, beta), the incomplete beta function. Break-even is
  the win rate that just pays for losses and costs at the actual reward and risk; 50 % is taken where it is not known.
- `trades_to_know`: the fewest further trades, won at the mean rate, after which the interval lies above break-even. 0
  where it does already; missing without trades, where the rate does not exceed break-even, or above 131,072.

The record has no direction: a filter, so the vote is always 0. What it feeds is the confidence threshold: that rises
to the lowest tier whose `probability_above_break_even` is 0.5 or more, and never falls below the profile's. There it is
the record of one symbol, variant and tier. The reading comes before it is known which variant and tier decide, so a
server tells it all published signals of the symbol, from the same records.

Beta(1, 1) is the default; `assess` takes any other prior, of which Jeffreys' Beta(1/2, 1/2) is the usual one. Nothing
is forgotten unless a caller declares it with `forget`.

Good for: saying how much, or how little, the trades so far prove. Not good for: trades that depend on each other (ten
coins bought in one fall are one trade, not ten), nor for a win rate that changes; and a high one alone earns nothing:
break-even decides.

Sources: Brown, Cai and DasGupta 2001, doi 10.1214/ss/1009213286 (intervals for a proportion and how often they hold the
truth); Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, doi 10.1201/b16018, chapter 2 (the posterior).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincc, betaincinv

from core.analysis import Columns, Field, Opinion, Values
from core.market import Floats, Record, Windows

FIELDS = {
    "win_rate": Field("mean of the win rate's posterior", low=0.0, high=1.0),
    "win_rate_low": Field("lower end of its 95 % equal-tailed interval (not one sigma)", low=0.0, high=1.0),
    "win_rate_high": Field("upper end of its 95 % equal-tailed interval (not one sigma)", low=0.0, high=1.0),
    "break_even": Field("win rate that just pays for losses and costs", low=0.0, high=1.0),
    "break_even_known": Field(
        "1 if break-even comes from actual reward, risk and costs, 0 if 50 % is assumed", 0.0, 1.0
    ),
    "probability_above_break_even": Field("chance that the win rate lies above break-even", low=0.0, high=1.0),
    "alpha": Field("wins, counted with the prior", low=0.0),
    "beta": Field("losses, counted with the prior", low=0.0),
    "trades_to_know": Field("further trades at this rate until the interval lies above break-even", low=0.0),
    "sample_size": Field("closed trades", low=0.0),
}
MIN_LENGTH = 2  # no candle is read
UNDEFINED = "no closed trades are known here yet: a win rate comes with the first signals followed to their end"

# Half of what a 95 % interval leaves out.
TAIL = 0.025
ASSUMED_BREAK_EVEN = 0.5
# Trades are not counted ahead beyond this: at ten a day it is 36 years. A power of two, for halving.
FARTHEST = 2**17
# A chance below this is printed as "below" it: nothing about trades is surer.
SMALLEST_CHANCE = 1e-6


class Prior(NamedTuple):
    """What is held before any trade, in wins and losses."""

    alpha: float
    beta: float


UNIFORM = Prior(1.0, 1.0)
JEFFREYS = Prior(0.5, 0.5)


def analyze(windows: Windows) -> Columns:
    """The win rate of each row's closed trades.

    Shape: (B,) columns of the record -> (B,) for every field.
    Edge cases: no record, or counts that are not numbers, give NaN throughout; no trades give the prior.
    """
    if windows.record is None:
        return {name: np.full(len(windows), np.nan) for name in FIELDS}
    return assess(windows.record)


def read(values: Values) -> Opinion:
    """A filter: no direction, only whether these trades pay and how sure that is."""
    break_even = f"break-even {100 * values['break_even']:.1f} %"
    if values["break_even_known"] == 0.0:
        break_even += " (assumed)"
    if values["sample_size"] == 0.0:
        return Opinion(
            0.0, f"No closed trade yet, only the prior: any win rate is as likely as any other, {break_even}."
        )
    trades = f"{values['sample_size']:,.0f} closed trade{'' if values['sample_size'] == 1.0 else 's'}"
    interval = f"{100 * values['win_rate_low']:.1f}-{100 * values['win_rate_high']:.1f} %"
    numbers = f"win rate {100 * values['win_rate']:.1f} % (95 % interval {interval}) of {trades}, {break_even}"
    chance = values["probability_above_break_even"]
    if values["win_rate_low"] > values["break_even"]:
        return Opinion(0.0, f"Above break-even: {numbers}; {_print_doubt(1.0 - chance)}.")
    if values["win_rate_high"] < values["break_even"]:
        return Opinion(0.0, f"Below break-even: {numbers}; {_print_doubt(chance)}.")
    if values["win_rate"] <= values["break_even"]:
        return Opinion(0.0, f"Not decidable yet and rather below: {numbers}; above with chance {chance:.2f}.")
    more = f"{values['trades_to_know']:,.0f}" if "trades_to_know" in values else f"over {FARTHEST:,}"
    return Opinion(0.0, f"Not decidable yet: {numbers}; above with chance {chance:.2f}, {more} more trades to know.")


def assess(record: Record, prior: Prior = UNIFORM) -> Columns:
    """Posterior, interval and chance to pay of each row, every field of FIELDS.

    Shape: (B,) columns -> (B,) for every field. Counts may be fractions (see `forget`).
    Edge cases: a count that is negative or no finite number gives NaN throughout; no trades give the prior and no
    `trades_to_know`; break-even is cut at 0 and 1, and 50 % stands in for NaN.

    >>> record = Record(wins=np.array([7.0]), losses=np.array([3.0]), break_even=np.array([0.45]))
    >>> found = assess(record)
    >>> [round(float(found[name][0]), 3) for name in ("win_rate", "win_rate_low", "win_rate_high")]
    [0.667, 0.39, 0.891]
    """
    known = np.isfinite(record.wins) & np.isfinite(record.losses) & (np.minimum(record.wins, record.losses) >= 0.0)
    wins, losses = np.where(known, record.wins, np.nan), np.where(known, record.losses, np.nan)
    alpha, beta = prior.alpha + wins, prior.beta + losses
    priced = ~np.isnan(record.break_even)
    break_even = np.where(priced, np.clip(record.break_even, 0.0, 1.0), ASSUMED_BREAK_EVEN)
    low = betaincinv(alpha, beta, TAIL)
    traded = wins + losses > 0.0
    further = np.where(traded & (low > break_even), 0.0, np.nan)
    promising = np.flatnonzero(traded & (low <= break_even) & (alpha > break_even * (alpha + beta)))
    if len(promising):
        further[promising] = _count_trades(alpha[promising], beta[promising], break_even[promising])
    return {
        "win_rate": alpha / (alpha + beta),
        "win_rate_low": low,
        "win_rate_high": betaincinv(alpha, beta, 1.0 - TAIL),
        "break_even": np.where(known, break_even, np.nan),
        "break_even_known": np.where(known, priced.astype(np.float64), np.nan),
        "probability_above_break_even": betaincc(alpha, beta, break_even),
        "alpha": alpha,
        "beta": beta,
        "trades_to_know": further,
        "sample_size": wins + losses,
    }


def update(alpha: float, beta: float, *, won: bool) -> tuple[float, float]:
    """The posterior after one more closed trade: two additions.

    >>> update(*update(*UNIFORM, won=True), won=False)
    (2.0, 2.0)
    """
    return alpha + float(won), beta + float(not won)


def forget(alpha: float, beta: float, memory: float, prior: Prior = UNIFORM) -> tuple[float, float]:
    """The posterior with only this share of its trades remembered (before `update`): a market that changes.

    With memory 0.99 at each trade the last hundred count most. Off unless a caller declares it: forgetting widens every
    interval, and a share chosen after the fact fits any story.

    >>> forget(61.0, 41.0, 0.5)
    (31.0, 21.0)
    """
    return prior.alpha + memory * (alpha - prior.alpha), prior.beta + memory * (beta - prior.beta)


def _count_trades(alpha: Floats, beta: Floats, break_even: Floats) -> Floats:
    """Fewest further trades at the mean rate until P(p < break-even) < TAIL, by halving; NaN beyond FARTHEST.

    For a mean above break-even. From above TAIL the probability may rise at first, but it crosses TAIL once only.
    """
    rate = alpha / (alpha + beta)
    too_few = np.zeros(len(alpha))
    enough = np.full(len(alpha), float(FARTHEST))
    reachable = betainc(alpha + FARTHEST * rate, beta + FARTHEST * (1.0 - rate), break_even) < TAIL
    for _ in range(FARTHEST.bit_length() - 1):
        middle = 0.5 * (too_few + enough)
        known = betainc(alpha + middle * rate, beta + middle * (1.0 - rate), break_even) < TAIL
        enough = np.where(known, middle, enough)
        too_few = np.where(known, too_few, middle)
    return np.where(reachable, enough, np.nan)


def _print_doubt(chance: float) -> str:
    size = f"below {SMALLEST_CHANCE:g}" if chance < SMALLEST_CHANCE else f"of {chance:.2g}"
    return f"a chance {size} that it is not"
