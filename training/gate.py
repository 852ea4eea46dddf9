"""The promotion gate: whether a model has earned to decide, said with every number, its bound and its limit.

Three answers: pass, fail, or insufficient where too little was seen. A verdict of pass needs every rule of
`docs/gate.md`. On real 15-minute candles the honest outcome is most often "fail", and the model goes on on paper.

The order of work: `record` makes a try of the scores, the register keeps it, `judge` counts all that were kept. A model
that is not in the register is not judged, so that no try stays uncounted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import Code, CrpbotError, invalid
from core.models.judgement import HOUSE, Judgement, Outcome, RuleName, Ruling, Verdict, conclude
from training.account import Account, open_account
from training.gate_losses import rule_drawdown, rule_drawdown_range, rule_loss_limits
from training.gate_luck import rule_champion, rule_deflated_sharpe, rule_overfitting, rule_sharpe
from training.gate_skill import rule_brier_skill, rule_calibration, rule_net_return, rule_win_rate
from training.gate_terms import Case, Terms, check_terms, rule_on
from training.scores import Scores, daily_returns, first_day, thin, trade
from training.trial_register import TrialRegister, Try, name_try

__all__ = ["Candidate", "Champion", "Terms", "judge", "record"]


class Candidate(NamedTuple):
    """A model and what it said of untouched candles, one symbol or several.

    `settings` say what was tried; under "origin" they name the market, so that only tries in the same one are counted.
    """

    model: str  # the version
    kind: str
    scores: tuple[Scores, ...]
    settings: Mapping[str, str]


class Champion(NamedTuple):
    """The model that decides now, and what it says of the same candles."""

    model: str
    scores: tuple[Scores, ...]


def record(candidate: Candidate, terms: Terms, *, at: datetime) -> tuple[Try, ...]:
    """The tries that judging this model under these terms makes, one for each symbol. They go into the register."""
    check_terms(terms)
    found = []
    for scores in candidate.scores:
        if not len(scores.open_times):
            raise invalid("scores", f"of {scores.symbol} are none: the test part holds no whole window")
        case = _case(scores, terms)
        settings = {
            **candidate.settings,
            "model": candidate.model,
            "threshold": repr(terms.threshold),
            "round_trip": repr(terms.round_trip),
            "horizon": str(terms.horizon),
            "stake": repr(terms.stake),
            "scored": f"{scores.open_times[0]}..{scores.open_times[-1]}",
        }
        name = name_try(candidate.kind, scores.symbol, settings)
        days = tuple(case.returns.tolist())
        found.append(Try(name, candidate.kind, scores.symbol, at, settings, first_day(scores).isoformat(), days))
    return tuple(found)


def judge(
    candidate: Candidate,
    terms: Terms,
    *,
    register: TrialRegister,
    at: datetime,
    champion: Champion | None = None,
) -> Judgement:
    """What the gate says. The register must hold the tries that `record` makes of the same candidate and terms."""
    rulings: list[Ruling] = []
    trials = 0
    owns = record(candidate, terms, at=at)
    cases = [_case(scores, terms) for scores in candidate.scores]
    account = open_account(candidate.scores, [case.trades for case in cases], terms.stake)
    for case, own in zip(cases, owns, strict=True):
        tries = _tries_beside(own, register)
        trials += len(tries)
        theirs = None if champion is None else _of_symbol(champion, own.symbol)
        rulings.extend((*_rule_coin(case, tries, own), *_rule_account(case, account), rule_champion(case, theirs)))
    verdict = conclude(tuple(rulings))
    instants = [int(scores.open_times[place]) for scores in candidate.scores for place in (0, -1)]
    return Judgement(
        model=candidate.model,
        kind=candidate.kind,
        symbol=",".join(scores.symbol for scores in candidate.scores),
        verdict=verdict,
        sentence=_conclusion(verdict, rulings),
        at=at,
        first=datetime.fromtimestamp(min(instants) / 1_000, UTC),
        last=datetime.fromtimestamp(max(instants) / 1_000, UTC),
        horizon_minutes=terms.horizon,
        threshold=terms.threshold,
        round_trip_fraction=terms.round_trip,
        stake_fraction=terms.stake,
        min_accuracy=terms.min_accuracy,
        max_calibration_error=terms.max_calibration_error,
        trials=trials,
        register_head=register.head,
        champion=None if champion is None else champion.model,
        rulings=tuple(rulings),
    )


def _tries_beside(own: Try, register: TrialRegister) -> tuple[Try, ...]:
    """Every try with this kind of model on this symbol in this market, the own one among them."""
    tries = register.tries(kind=own.kind, symbol=own.symbol, origin=own.origin)
    if not any((each.name, each.daily_returns) == (own.name, own.daily_returns) for each in tries):
        detail = f"{own.name} is not in the trial register; register what `record` says, then judge"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="TRIAL_NOT_REGISTERED")
    return tries


def _rule_coin(case: Case, tries: Sequence[Try], own: Try) -> tuple[Ruling, ...]:
    """What is asked of each coin by itself."""
    return (
        _rule_count(case, RuleName.TRADES, len(case.trades.net), "closed trades"),
        _rule_count(case, RuleName.SCORED, len(case.independent.open_times), "scores that share no future"),
        _rule_minima(case),
        rule_win_rate(case),
        rule_net_return(case),
        rule_calibration(case),
        rule_brier_skill(case),
        rule_sharpe(case),
        rule_deflated_sharpe(case, tries),
        rule_overfitting(case, tries, own),
    )


def _rule_account(case: Case, account: Account) -> tuple[Ruling, ...]:
    """What is asked of the account that all coins share."""
    return rule_drawdown(case, account), rule_drawdown_range(case, account), rule_loss_limits(case, account)


def _rule_count(case: Case, rule: RuleName, n: int, what: str) -> Ruling:
    least = HOUSE[rule].limit
    return rule_on(case, rule, f"{n:,} {what}; below {least:,} there is no verdict.", value=float(n), n=n)


def _rule_minima(case: Case) -> Ruling:
    weaker = case.terms.weaker
    sentence = "Nothing weaker than the house's limits was asked for."
    if weaker:
        sentence = f"Asked for: {' and '.join(weaker)}. Such a judgement only reports: judge without it to promote."
    return rule_on(case, RuleName.MINIMA, sentence, value=float(len(weaker)), n=len(weaker))


def _case(scores: Scores, terms: Terms) -> Case:
    trades = trade(scores, threshold=terms.threshold, round_trip=terms.round_trip, horizon=terms.horizon)
    returns = daily_returns(trades, scores, stake=terms.stake)
    return Case(scores, thin(scores, horizon=terms.horizon), trades, returns, terms)


def _of_symbol(champion: Champion, symbol: str) -> Scores | None:
    """What the champion says of this symbol; one it does not know has no champion."""
    return next((scores for scores in champion.scores if scores.symbol == symbol), None)


def _conclusion(verdict: Verdict, rulings: Sequence[Ruling]) -> str:
    if verdict is Verdict.PASS:
        return "The model may be promoted: every rule holds."
    word = Outcome.INSUFFICIENT if verdict is Verdict.INSUFFICIENT else Outcome.FAIL
    named = sorted({ruling.rule.value for ruling in rulings if ruling.outcome is word})
    if verdict is Verdict.INSUFFICIENT:
        idle = [each.symbol for each in rulings if each.rule is RuleName.TRADES and not each.n]
        remedy = f"On {', '.join(idle)} it was never sure enough to trade" if idle else "Judge it on a longer test span"
        return f"Too little was seen to say: {', '.join(named)}. {remedy}; nothing is promoted."
    return f"The model is not promoted: {', '.join(named)}. It may go on on paper."
