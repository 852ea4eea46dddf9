"""The three ways of deciding, each by its own kind of case: theories (V7), models (V6), and the vote of both."""

from __future__ import annotations

from core.deciding.decision import Case, Decision, decide
from core.deciding.ensemble_decision import EnsembleCase, decide_ensemble
from core.deciding.vote import VoteCase, decide_vote

AnyCase = Case | EnsembleCase | VoteCase


def decide_case(case: AnyCase, *, without: str | None = None) -> Decision:
    """The decision of a case in its own way; or what it would be without one theory, kind of model or side."""
    if isinstance(case, Case):
        return decide(case, without=without)
    if isinstance(case, EnsembleCase):
        return decide_ensemble(case, without=without)
    return decide_vote(case, without=without)
