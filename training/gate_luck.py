"""Whether a model earned more than luck gives the best of so many tries, and more than the promoted model earns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from core.kernels.risk import moments
from core.market import Floats
from core.models.judgement import HOUSE, Outcome, RuleName, Ruling
from core.performance.bootstrap import draw_paths, percentile_interval
from core.performance.measure import DAYS_A_YEAR, LARGEST_ORDER, MIN_DAYS, ROUNDING
from core.performance.overfitting import measure_overfitting
from core.performance.trials import Deflated, Trial, deflate
from training.gate_terms import ONE_SIDE, Case, lower_mean, rule_on, tell_number, tell_points, tell_share
from training.scores import DAY, Scores, daily_returns, take, thin, trade
from training.trial_register import Try, align

COMMON_DAYS: Final = 0.8  # of the candidate's, which another try must have seen to have been chosen against


def rule_sharpe(case: Case) -> Ruling:
    """The yearly Sharpe ratio of the days, corrected for their echoes, after costs."""
    value, bound, n = None, None, len(case.returns)
    if n >= MIN_DAYS and case.returns.any():
        value = float(_yearly(case.returns[None, :])[0])
        drawn, blocks = draw_paths(case.returns)
        interval = percentile_interval(_yearly(drawn), blocks, tail=ONE_SIDE)
        bound = None if interval is None else interval[0]
    sentence = (
        f"The yearly Sharpe ratio of {n} days is {tell_number(value)} after costs, at least {tell_number(bound)} with "
        f"95 %; more than {HOUSE[RuleName.SHARPE].limit:g} is needed, over at least {MIN_DAYS} days."
    )
    return rule_on(case, RuleName.SHARPE, sentence, value=value, bound=bound, n=n)


def rule_deflated_sharpe(case: Case, tries: Sequence[Try]) -> Ruling:
    """More than the best that luck gives so many tries."""
    found = _deflate_strictest(case.returns, [each.trial for each in tries])
    value = None if found is None else found.deflated
    luck = None if found is None else found.luck * math.sqrt(DAYS_A_YEAR)
    sentence = (
        f"Luck gives the best of {len(tries)} registered tries a yearly Sharpe ratio of {tell_number(luck)}; that this "
        f"model is above it is {tell_share(value)} sure, {tell_share(HOUSE[RuleName.DEFLATED_SHARPE].limit)} is needed."
    )
    return rule_on(case, RuleName.DEFLATED_SHARPE, sentence, value=value, n=len(tries))


def rule_overfitting(case: Case, tries: Sequence[Try], candidate: Try) -> Ruling:
    """The choice among the tries would have been right on other days too.

    Where nothing else was tried on these days nothing was chosen, and what is not chosen cannot be overfit; the rules
    on the deflated ratio and on the bounds stand all the same, and they count every registered try.
    """
    table = align(tuple(tries), candidate, share=COMMON_DAYS)
    compared = table.shape[1]
    if compared < 2:
        sentence = "It is the only registered try on these days: a choice among one cannot be overfit."
        if len(tries) > 1:
            sentence += f" The {len(tries) - 1} on other days count in the deflated Sharpe ratio."
        return replace(
            rule_on(case, RuleName.OVERFITTING, sentence, value=None, n=compared), outcome=Outcome.NOT_APPLICABLE
        )
    found = measure_overfitting(table)
    if found is None:
        sentence = f"{compared} tries share {len(table)} days; {MIN_DAYS} are needed to see whether the choice holds."
        return rule_on(case, RuleName.OVERFITTING, sentence, value=None, n=compared)
    sentence = (
        f"In {tell_share(found.probability)} of {found.splits:,} splits of {found.days} days the best of {compared} "
        f"tries fell into the lower half on the other days and earned nothing there (into the lower half: "
        f"{tell_share(found.by_the_book)}); at most {tell_share(HOUSE[RuleName.OVERFITTING].limit)} is allowed."
    )
    return rule_on(case, RuleName.OVERFITTING, sentence, value=found.probability, n=compared)


def rule_champion(case: Case, champion: Scores | None) -> Ruling:
    """Earns more than the model that decides now, on the same candles, day by day."""
    if champion is None:
        symbol = case.scores.symbol
        sentence = f"No model of this market decides on {symbol}: there is none to beat, the other rules stand alone."
        return replace(rule_on(case, RuleName.CHAMPION, sentence, value=None, n=0), outcome=Outcome.NOT_APPLICABLE)
    least = HOUSE[RuleName.SCORED].limit
    _, mine, theirs = np.intersect1d(case.scores.open_times, champion.open_times, return_indices=True)
    common = len(thin(take(case.scores, mine), horizon=case.terms.horizon).open_times)
    value, bound = None, None
    if common >= least:
        gain = _daily(take(case.scores, mine), case) - _daily(take(champion, theirs), case)
        value, bound = float(gain.mean()), lower_mean(gain)
    sentence = (
        f"On the same {len(mine):,} candles it earns {tell_points(value)} a day more than the promoted model, at least "
        f"{tell_points(bound)} with 95 %; more than 0 is needed, over {least:,} scores that share no future."
    )
    if common < least:
        sentence = (
            f"Whether it earns more than the promoted model cannot be said: both spoke of {common:,} of the same "
            f"candles that share no future and that the promoted model did not learn from; {least:,} are needed."
        )
    return rule_on(case, RuleName.CHAMPION, sentence, value=value, bound=bound, n=common)


def _deflate_strictest(returns: Floats, trials: Sequence[Trial]) -> Deflated | None:
    """Deflated after each try anew, and the strictest counts: what the first tries asked for no later one takes back.

    Daily ratios without skill vary by one over the number of days; tries that never traded would show less.
    """
    least = 1.0 / max(len(returns), 1)
    counts = range(1, max(len(trials), 1) + 1)
    found = [deflate(returns, trials[:count], least_variance=least) for count in counts]
    return max((each for each in found if each is not None), key=lambda each: each.luck, default=None)


def _daily(scores: Scores, case: Case) -> Floats:
    """Daily returns under the terms of the case, up to the day after the last score: two models have equally many."""
    terms = case.terms
    trades = trade(scores, threshold=terms.threshold, round_trip=terms.round_trip, horizon=terms.horizon)
    returns = daily_returns(trades, scores, stake=terms.stake)
    days = int(scores.open_times[-1] // DAY - scores.open_times[0] // DAY) + 2
    return np.pad(returns, (0, days - len(returns)))


def _yearly(returns: Floats) -> Floats:
    """Sharpe ratios, NaN without a move. Shape: (B, days) -> (B,)."""
    mean, deviation, _, _, _, echo = moments(np.ascontiguousarray(returns), ROUNDING, LARGEST_ORDER)
    ratios: Floats = math.sqrt(DAYS_A_YEAR) * mean / deviation / np.sqrt(echo)
    return ratios
