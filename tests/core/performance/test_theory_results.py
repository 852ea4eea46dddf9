"""What models or both sides decided says nothing about the theories: their results rest on their own decisions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.results import read_judged
from core.performance.question import MeasureRequest
from core.signal import Strategy
from tests.core.books import seeded
from tests.core.results_world import FIRST, HOLDING, decide_and_end

HOUR = timedelta(hours=6)


@pytest.mark.parametrize("asked", [None, *Strategy])
async def test_only_the_theories_own_decisions_are_made_again_without_them(
    ledger: Ledger, asked: Strategy | None
) -> None:
    await seeded(ledger)
    for place, strategy in enumerate(Strategy):
        name, when = strategy.value, FIRST + place * HOUR
        await decide_and_end(ledger, f"trade-{name}", when=when, strategy=strategy)
        await decide_and_end(ledger, f"hold-{name}", when=when + HOUR / 2, case=HOLDING, strategy=strategy)
    async with ledger.reading() as connection:
        judged, forgotten = await read_judged(connection, "paper", MeasureRequest(strategy=asked))
    own = {"trade-v7", "hold-v7"} if asked in {None, Strategy.V7} else set()
    assert {each.judged.signal.id for each in judged} == own
    assert forgotten == 0
