"""What closed trades teach is a plain fold, and reads as the theory of the win rate wants it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analyzers.bayesian_win_rate import assess
from core.deciding.confidence import TierRecord
from core.errors import CrpbotError
from core.paper.record import Key, Tally, read_json, read_record, write_json
from core.risk.booking import Outcome
from core.signal import Variant
from core.trade import Direction, Tier
from tests.core.performance_cases import closed, history, key_of, learn, learn_all, tier_records


def test_one_trade_after_another_gives_what_all_at_once_give() -> None:
    trades = history(1, 60)
    learned: dict[Key, Tally] = {}
    for trade in trades:
        learned = learn(learned, trade)
    assert learned == learn_all(trades[::-1])
    assert learned == learn_all(trades[30:], learn_all(trades[:30]))
    assert sum(tally.wins + tally.losses for tally in learned.values()) == 60


def test_the_theory_reads_the_record() -> None:
    trades = [closed(6 * number, 150.0 if number % 3 else -300.0) for number in range(9)]
    learned = learn_all(trades)
    record = read_record(learned, [key_of(trades[0]), Key("LTC-USD", None, None, Direction.SELL)])
    assert record.wins.tolist() == [6, 0]
    assert record.losses.tolist() == [3, 0]
    assert record.break_even[0] == pytest.approx(300 / 450)
    found = assess(record)
    assert found["win_rate"].tolist() == pytest.approx([7 / 11, 0.5])
    assert found["break_even_known"].tolist() == [1, 0]


def test_tiers_gather_both_directions() -> None:
    key = Key("BTC-USD", Variant.V7_FULL_MATH, Tier.HIGH, Direction.BUY)
    learned = {
        key: Tally(2, 1, 0, 4.0, 1.0),
        key._replace(direction=Direction.SELL): Tally(1, 2, 0, 2.0, 2.0),
        key._replace(tier=None): Tally(9, 9),
        key._replace(symbol="ETH-USD"): Tally(9, 9),
    }
    assert tier_records(learned, "BTC-USD", Variant.V7_FULL_MATH) == {Tier.HIGH: TierRecord(3, 3, 1 / 3, 6.0, 3.0)}


def test_trades_without_a_win_or_loss_teach_little() -> None:
    assert learn({}, replace(closed(0, 5.0), outcome=Outcome.EXPIRED)) == {}
    assert learn_all([replace(closed(0, 5.0), outcome=Outcome.CANCELLED)]) == {}
    even = learn({}, closed(0, 0.0))
    assert next(iter(even.values())) == Tally(breakevens=1)
    assert next(iter(even.values())).break_even is None


@given(
    st.dictionaries(
        st.builds(
            Key,
            st.sampled_from(["BTC-USD", "ETH-USD"]),
            st.none() | st.sampled_from(Variant),
            st.none() | st.sampled_from(Tier),
            st.sampled_from(Direction),
        ),
        st.builds(Tally, *(st.integers(0, 10**6),) * 3, *(st.floats(0, 1e9),) * 2),
    )
)
def test_the_record_survives_its_json(learned: dict[Key, Tally]) -> None:
    assert read_json(write_json(learned)) == learned
    assert write_json(dict(reversed(learned.items()))) == write_json(learned)


def test_broken_json_is_refused() -> None:
    row = json.loads(write_json(learn({}, closed(0, 1.0))))["records"][0]
    for text in (
        "[",
        "[]",
        json.dumps({"format": "other", "records": []}),
        json.dumps({"format": "crpbot-record/1"}),
        json.dumps({"format": "crpbot-record/1", "records": [{**row, "wins": "1"}]}),
        json.dumps({"format": "crpbot-record/1", "records": [{**row, "tier": "best"}]}),
        json.dumps({"format": "crpbot-record/1", "records": [{**row, "losses": -1}]}),
    ):
        with pytest.raises(CrpbotError):
            read_json(text)
