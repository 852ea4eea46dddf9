"""Whether the worst stretch stays bearable, and the account within the loss limits of the firm.

The account is that of all coins together (`training.account`): what falls at the same time falls on it at once.
Losses are counted at the end of each trade: what a trade loses and wins back within its minutes is not in the scores.
The firm's day begins at its own midnight; a day is kept whole when days are drawn anew, with its deepest point.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.kernels.risk import drawdown
from core.market import Floats
from core.models.judgement import HOUSE, RuleName, Ruling
from core.performance.bootstrap import FEWEST, draw_paths, draw_places, rate_interval
from core.risk.calendar import zone_of
from core.risk.pack import RiskPack, TotalLossMode, find_pack
from training.account import Account
from training.gate_terms import ONE_SIDE, Case, rule_on, tell_share
from training.scores import MINUTE

RUNS: Final = 10_000  # of the days; the share of runs within the limits is then known to 0.2 points
DEEP: Final = 0.95  # the depth that only one in twenty falls passes
LOST: Final = 1e-9  # equity of an account that has lost all


def rule_drawdown(case: Case, account: Account) -> Ruling:
    """The deepest fall of the equity from a peak."""
    value = float(_deepest(account.returns[None, :])[0]) if account.trades else None
    sentence = (
        f"The equity{account.words} fell by {tell_share(value)} at most from a peak; less than "
        f"{tell_share(HOUSE[RuleName.DRAWDOWN].limit)} is needed."
    )
    return rule_on(case, RuleName.DRAWDOWN, sentence, value=value, n=account.trades)


def rule_drawdown_range(case: Case, account: Account) -> Ruling:
    """The deepest fall in 19 of 20 histories that the same trades could as well have made."""
    value = None
    if len(account.returns) >= FEWEST:
        paths, _ = draw_paths(account.returns)
        value = float(np.quantile(_deepest(paths), DEEP))
    sentence = (
        f"Of the histories that such trades could as well have made, 19 of 20{account.words} fall by at most "
        f"{tell_share(value)}; less than {tell_share(HOUSE[RuleName.DRAWDOWN_RANGE].limit)} is needed."
    )
    return rule_on(case, RuleName.DRAWDOWN_RANGE, sentence, value=value, n=account.trades)


def rule_loss_limits(case: Case, account: Account) -> Ruling:
    """The account stays within the firm's daily and total loss limit."""
    pack = find_pack(case.terms.pack)
    results, lowest = firm_days(account, case.terms.horizon, pack.time_zone)
    value, bound = None, None
    if len(results) >= FEWEST and account.trades:
        places = draw_places(results, resamples=RUNS)
        kept = int(keeps_limits(results[places], lowest[places], pack).sum())
        value, bound = kept / RUNS, rate_interval(kept, RUNS, tail=ONE_SIDE)[0]
    sentence = (
        f"{tell_share(value)} of {RUNS:,} runs of {len(results)} such days{account.words} stay within the limits of "
        f"{pack.name} ({tell_share(float(pack.daily_loss))} a day, {tell_share(float(pack.total_loss))} in all), at "
        f"least {tell_share(bound)} with 95 %; {tell_share(HOUSE[RuleName.LOSS_LIMITS].limit)} is needed."
    )
    return rule_on(case, RuleName.LOSS_LIMITS, sentence, value=value, bound=bound, n=len(results))


def firm_days(account: Account, horizon: int, zone: str) -> tuple[Floats, Floats]:
    """What each of the firm's days brought, and its deepest point below its beginning (0 or less).

    Both are fractions of the initial capital. Shape: (days,), (days,).
    """
    first = _local_day(account.first, zone)
    last = _local_day(account.last + MINUTE * (horizon + 1), zone)
    results, lowest = np.zeros(last - first + 1), np.zeros(last - first + 1)
    for left, brought in zip(account.left.tolist(), account.returns.tolist(), strict=True):
        day = _local_day(left, zone) - first
        results[day] += brought
        lowest[day] = min(lowest[day], results[day])
    return results, lowest


def keeps_limits(results: Floats, lowest: Floats, pack: RiskPack) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each run of days stays within both limits. Shape: (runs, days) twice -> (runs,)."""
    after = 1.0 + np.cumsum(results, axis=1)
    before = np.concatenate([np.ones((len(after), 1)), after[:, :-1]], axis=1)
    anchor = np.maximum.accumulate(before, axis=1) if pack.total_loss_mode is TotalLossMode.TRAILING else 1.0
    within_day = (lowest > -float(pack.daily_loss)).all(axis=1)
    within_all = (before + lowest > anchor - float(pack.total_loss)).all(axis=1)
    return np.asarray(within_day & within_all)


def _deepest(returns: Floats) -> Floats:
    """The deepest fall of the equity of each row. Shape: (B, n) -> (B,)."""
    equity = np.cumprod(np.maximum(1.0 + returns, LOST), axis=1)
    fall: Floats = drawdown(np.concatenate([np.ones((len(equity), 1)), equity], axis=1))[0]
    return fall


def _local_day(milliseconds: int, zone: str) -> int:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).astimezone(zone_of(zone)).toordinal()
