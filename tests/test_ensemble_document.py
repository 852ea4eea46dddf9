"""docs/ensemble.md: its tables are what the code decides, and its words are the code's."""

from __future__ import annotations

import re

import pytest

from core.deciding.ensemble_decision import CEILING, MODELS_SILENT, NAMES, NO_MODEL
from core.deciding.vote import NO_SIDE, Side, decide_vote, miss_side
from core.models.weighting import KINDS, USUAL
from core.signal import Strategy
from tests.core.ensemble_cases import a_side, a_vote_case
from tests.documents import ROOT

DOCUMENT = (ROOT / "docs" / "ensemble.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (BUY|SELL|HOLD) \|$", re.MULTILINE)
ROWS = ROW.findall(DOCUMENT)


def side_of(strategy: Strategy, text: str) -> Side:
    """A side as the table writes it."""
    if text == "missing":
        return miss_side(strategy, "no_model: none")
    word, confidence = text.split()
    return a_side(strategy, word, float(confidence))


@pytest.mark.parametrize(("v7", "v6", "chance", "confidence", "direction"), ROWS)
def test_the_table_of_votes_is_what_both_sides_decide(
    *, v7: str, v6: str, chance: str, confidence: str, direction: str
) -> None:
    found = decide_vote(a_vote_case(side_of(Strategy.V7, v7), side_of(Strategy.V6, v6)))
    assert f"{found.confidence:.4f}" == confidence
    assert found.direction.value == direction
    if chance != "none":
        sure = found.confidence if found.leaning.value == "BUY" else 1.0 - found.confidence
        assert f"{sure:.4f}" == chance


def test_the_table_of_votes_has_agreement_conflict_and_a_missing_side() -> None:
    assert len(ROWS) == 7
    assert {row[4] for row in ROWS} == {"BUY", "SELL", "HOLD"}
    assert any("missing" in row[:2] for row in ROWS)


def test_the_weights_of_the_table_are_the_usual_ones() -> None:
    assert set(NAMES) == set(KINDS)
    for kind in KINDS:
        row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{kind}` |"))
        assert float(row.split("|")[-2]) == USUAL.of(kind)


@pytest.mark.parametrize("word", [f"{CEILING}", f"`{NO_MODEL}`", f"`{MODELS_SILENT}`", f"`{NO_SIDE}`"])
def test_every_word_that_an_answer_carries_stands_there(word: str) -> None:
    assert word in DOCUMENT


@pytest.mark.parametrize("document", ["README.md", "docs/decision.md"])
def test_it_is_found_from_the_documents_beside_it(document: str) -> None:
    assert "ensemble.md)" in (ROOT / document).read_text(encoding="utf-8")
