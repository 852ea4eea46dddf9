"""Scores whose truth is known: how often they are right, how large the moves are, whether they keep their word."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core.adapters.files.folder import FolderFiles
from core.models.judgement import Judgement, RuleName, Ruling
from training.gate import Candidate, Champion, judge, record
from training.gate_terms import Terms
from training.scores import Scores
from training.trial_register import TrialRegister

AT = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN = 1_760_000_400_000  # 2025-10-09 09:00 UTC
QUARTER = 900_000
TERMS = Terms(threshold=0.65, round_trip=0.001, stake=0.25)


def plant_scores(
    seed: int,
    *,
    days: float = 28.0,
    edge: float = 1.0,
    too_sure: float = 0.0,
    move: float = 0.004,
    symbol: str = "BTC-USD",
    minutes: int = 15,
) -> Scores:
    """A score each quarter of an hour, right as often as it says where `edge` is 1, and by chance where it is 0.

    What is said lies 0.1 to 0.4 from a half; `too_sure` is how much further it is said than it is.
    """
    rng = np.random.default_rng(seed)
    n = int(days * 1_440 / minutes)
    lean = rng.uniform(0.1, 0.35, n) * rng.choice([-1.0, 1.0], n)
    up = rng.random(n) < 0.5 + edge * lean
    moves = rng.exponential(move, n) * np.where(up, 1.0, -1.0)
    times = BEGIN + minutes * 60_000 * np.arange(n, dtype=np.int64)
    return Scores(symbol, times, 0.5 + lean + too_sure * np.sign(lean), up, moves)


def judge_scores(
    folder: Path,
    *scores: Scores,
    terms: Terms = TERMS,
    champion: tuple[Scores, ...] | None = None,
    others: tuple[Scores, ...] = (),
) -> Judgement:
    """The verdict on a model that says these, after others were tried."""
    register = TrialRegister(FolderFiles(folder))
    for number, other in enumerate(others):
        for found in record(Candidate(f"lstm-other{number}", "lstm", (other,), {}), terms, at=AT):
            register.register(found)
    candidate = Candidate("lstm-0f3a9c1d", "lstm", scores, {"epochs": "15"})
    for found in record(candidate, terms, at=AT):
        register.register(found)
    theirs = None if champion is None else Champion("lstm-00000000", champion)
    return judge(candidate, terms, register=register, at=AT, champion=theirs)


def ruling_on(judgement: Judgement, rule: RuleName) -> Ruling:
    """What is said of one rule."""
    (found,) = (each for each in judgement.rulings if each.rule is rule)
    return found
