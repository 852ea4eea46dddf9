"""Whether a model is right often enough, earns after costs, and keeps its word about how sure it is."""

from __future__ import annotations

import math

import numpy as np

from core.models.judgement import RuleName, Ruling
from core.performance.bootstrap import rate_interval
from core.performance.calibration import brier_skill, calibration_error
from training.gate_terms import ONE_SIDE, Case, lower_mean, rule_on, tell_points, tell_share


def rule_win_rate(case: Case) -> Ruling:
    """Right at least as often as asked, and as often as the costs demand of wins and losses of such sizes.

    The bound is the lower of the exact one, which takes trades as independent, and that of trades drawn in blocks.
    """
    right, n = case.trades.right, len(case.trades.right)
    needed = break_even(case)
    limit = max(case.terms.min_accuracy, needed)
    value, bound, paid = None, None, None
    if n:
        value, paid = float(right.mean()), float((case.trades.net > 0.0).mean())
        bound = rate_interval(int(right.sum()), n, tail=ONE_SIDE)[0]
        drawn = lower_mean(right.astype(np.float64))
        bound = bound if drawn is None else min(bound, drawn)
    sentence = (
        f"{tell_share(value)} of {n:,} trades went the right way, at least {tell_share(bound)} with 95 %; "
        f"{tell_share(limit)} is needed (break-even after costs: {tell_share(needed)}). "
        f"{tell_share(paid)} of them earned more than they cost."
    )
    return rule_on(case, RuleName.WIN_RATE, sentence, value=value, bound=bound, limit=limit, n=n)


def rule_net_return(case: Case) -> Ruling:
    """Earns after costs."""
    net, n = case.trades.net, len(case.trades.net)
    value, bound = float(net.mean()) if n else None, lower_mean(net)
    sentence = (
        f"A trade earns {tell_points(value)} on average after costs of {tell_points(case.terms.round_trip)}, at least "
        f"{tell_points(bound)} with 95 %; more than 0 is needed."
    )
    return rule_on(case, RuleName.NET_RETURN, sentence, value=value, bound=bound, n=n)


def rule_calibration(case: Case) -> Ruling:
    """Keeps its word: what it calls 70 % sure comes true about seven times in ten."""
    error = calibration_error(case.independent.probability, case.independent.up)
    limit = case.terms.max_calibration_error
    sentence = (
        f"What it says lies {tell_share(error.value)} from what happens (debiased), at most {tell_share(error.high)} "
        f"with 95 %, over {error.n:,} scores that share no future; at most {tell_share(limit)} is allowed."
    )
    return rule_on(case, RuleName.CALIBRATION, sentence, value=error.value, bound=error.high, limit=limit, n=error.n)


def rule_brier_skill(case: Case) -> Ruling:
    """Says more than the base rate does."""
    skill = brier_skill(case.independent.probability, case.independent.up)
    sentence = (
        f"It saves {tell_share(skill.value)} of the Brier score of always saying the base rate, at least "
        f"{tell_share(skill.low)} with 95 %; more than 0 is needed."
    )
    return rule_on(case, RuleName.BRIER_SKILL, sentence, value=skill.value, bound=skill.low, n=skill.n)


def break_even(case: Case) -> float:
    """The share of right trades at which wins and losses of their mean sizes just pay the costs.

    (loss + cost) / (win + loss); 0.5 where there is no win or no loss to measure.
    """
    cost = case.terms.round_trip
    gross = case.trades.net + cost
    wins, losses = gross[case.trades.right], -gross[~case.trades.right]
    if not len(wins) or not len(losses):
        return 0.5
    won, lost = float(wins.mean()), float(losses.mean())
    return min((lost + cost) / (won + lost), 1.0) if math.isfinite(won + lost) else 1.0
