"""Questions about results are answered from the ledger: the same on SQLite and PostgreSQL, each with n and interval."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.adapters.ledger import results
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.learned import StoredRecord
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.statistics import LedgerStatistics
from core.adapters.ledger.theory_figures import StoredFigures
from core.deciding.confidence import pool
from core.errors import CrpbotError
from core.idempotency import LEASE_MS, Call, Replay, Started
from core.paper.record import read_json, write_json
from core.performance.better import Answer
from core.performance.contribution import Role
from core.performance.desk import PerformanceDesk
from core.performance.question import (
    EvaluateTheoriesRequest,
    Grouping,
    ListTheoryPerformanceRequest,
    MeasureRequest,
    PerformanceRequest,
)
from core.performance.review import Advice
from core.performance.theories import ALL, TheoryPerformance
from core.risk.account import Moment
from core.signal import Strategy
from core.trade import Direction, Tier
from tests.core.books import HandClock, seeded
from tests.core.performance_cases import tier_records
from tests.core.results_world import BUYING, FIRST, SHADOW, decide_and_end, fill

NOW = FIRST + timedelta(days=12, hours=1)
CAPITAL = Decimal(100_000)


@dataclass
class Counting:
    """Counts the evaluations; `broken` ones fail."""

    ledger: Ledger
    broken: bool = False
    asked: list[tuple[str, datetime]] = field(default_factory=list)

    async def evaluate(self, account: str, at: datetime) -> tuple[TheoryPerformance, ...]:
        self.asked.append((account, at))
        if self.broken:
            raise RuntimeError("a bug")
        return await LedgerStatistics(self.ledger).evaluate(account, at)


def desk_of(ledger: Ledger, statistics: Any = None, *, clock: HandClock | None = None) -> PerformanceDesk:
    return PerformanceDesk(
        statistics=statistics or LedgerStatistics(ledger),
        figures=StoredFigures(ledger),
        clock=clock or HandClock(NOW, 0),
        name_account=lambda account: account or "paper",
    )


async def test_what_compares_has_the_capital_that_every_one_of_its_trades_was_sized_on(ledger: Ledger) -> None:
    await seeded(ledger)
    for number in range(3):
        when = FIRST + number * timedelta(days=2)
        for way in (Strategy.V6, Strategy.VOTE):
            await decide_and_end(ledger, f"{way.value}{number}", when=when, exit_price="49500", strategy=way, **SHADOW)
    since = FIRST + timedelta(days=3)
    asked = PerformanceRequest(account="shadow", strategy=Strategy.V6, since=since)
    found = await desk_of(ledger).performance(asked)
    assert (found.capital, found.performance.trades) == (CAPITAL, 1)


async def test_copies_of_one_trade_are_not_counted_together_and_the_remedy_is_named(ledger: Ledger) -> None:
    await seeded(ledger)
    for way in (Strategy.V6, Strategy.VOTE):
        await decide_and_end(ledger, way.value, strategy=way, **SHADOW)
        await decide_and_end(ledger, f"published-{way.value}", strategy=way)
    desk = desk_of(ledger)
    with pytest.raises(CrpbotError, match=r"by several strategies \(v6, vote\).*--strategy.*--by strategy") as caught:
        await desk.performance(PerformanceRequest(account="shadow", group_by=Grouping.SYMBOL))
    assert caught.value.violations[0].field == "strategy"
    with pytest.raises(CrpbotError, match="by several strategies"):
        await desk.equity(MeasureRequest(account="shadow"))
    apart = await desk.performance(PerformanceRequest(account="shadow", group_by=Grouping.STRATEGY))
    assert [(each.key, each.performance.trades) for each in apart.groups] == [("v6", 1), ("vote", 1)]
    alone = await desk.performance(PerformanceRequest(account="shadow", strategy=Strategy.V6))
    assert alone.performance.trades == 1
    assert (await desk.performance(PerformanceRequest())).performance.trades == 2


async def test_every_trade_counts_once_with_its_money(ledger: Ledger) -> None:
    await seeded(ledger)
    trades = await fill(ledger, 20)
    await decide_and_end(ledger, "gone", when=FIRST + timedelta(days=11), exit_price=None)
    await decide_and_end(ledger, "other", when=FIRST, exit_price="51000", **SHADOW)
    found = await desk_of(ledger).performance(PerformanceRequest())
    assert (found.account, found.capital) == ("paper", CAPITAL)
    assert (found.performance.trades, found.performance.wins, found.performance.losses) == (20, 15, 5)
    assert found.performance.pnl_usd.value == pytest.approx(float(sum(trade.pnl or 0 for trade in trades)))
    assert found.performance.days == (NOW.date() - FIRST.date()).days + 1
    assert (found.hold_share.n, found.hold_share.value) == (41, 20 / 41)  # the expired one was a signal too
    assert (found.confidence.n, found.earns.answer) == (21, Answer.YES)
    assert found.groups == ()
    shadow = await desk_of(ledger).performance(PerformanceRequest(account="shadow"))
    assert shadow.performance.trades == 1


async def test_groups_and_filters_divide_the_same_trades(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 12)
    desk = desk_of(ledger)
    by_symbol = await desk.performance(PerformanceRequest(group_by=Grouping.SYMBOL))
    assert [(each.key, each.performance.trades) for each in by_symbol.groups] == [("BTC-USD", 6), ("ETH-USD", 6)]
    assert [each.hold_share.n for each in by_symbol.groups if each.hold_share] == [12, 12]
    by_tier = await desk.performance(PerformanceRequest(group_by=Grouping.TIER))
    assert [(each.key, each.performance.trades) for each in by_tier.groups] == [("high", 12), ("none", 0)]
    by_direction = await desk.performance(PerformanceRequest(group_by=Grouping.DIRECTION))
    assert [(each.key, each.hold_share) for each in by_direction.groups] == [("BUY", None)]
    for one, group in zip(("btc-usd", "ETH-USD"), by_symbol.groups, strict=True):
        alone = await desk.performance(PerformanceRequest(symbol=one))
        assert alone.performance.pnl_usd == group.performance.pnl_usd
    for nothing in ({"tier": Tier.LOW}, {"direction": Direction.SELL}, {"symbol": "SOL-USD"}):
        empty = await desk.performance(PerformanceRequest(**nothing))
        assert (empty.performance.trades, empty.performance.win_rate.value) == (0, None)


async def test_days_are_cut_out_with_the_equity_that_they_began_with(ledger: Ledger) -> None:
    await seeded(ledger)
    trades = await fill(ledger, 24)
    middle = FIRST + timedelta(days=3)
    before = [trade for trade in trades if trade.closed_at is not None and trade.closed_at < middle]
    earned = sum((trade.pnl or Decimal(0) for trade in before), Decimal(0))
    desk = desk_of(ledger)
    late = await desk.performance(PerformanceRequest(since=middle))
    assert (late.performance.trades, late.capital) == (24 - len(before), CAPITAL + earned)
    assert late.first_day == middle
    early = await desk.performance(PerformanceRequest(until=middle))
    assert (early.performance.trades, early.last_day) == (len(before), middle - timedelta(days=1))
    curve = await desk.equity(MeasureRequest(since=middle))
    assert (curve.trades, curve.days_a_point, curve.capital) == (24 - len(before), 0, CAPITAL + earned)
    assert curve.points[-1].equity == CAPITAL + sum((trade.pnl or Decimal(0) for trade in trades), Decimal(0))
    assert max(point.drawdown_percent for point in curve.points) > 0
    with pytest.raises(CrpbotError, match=r"since: .* is not before"):
        await desk.performance(PerformanceRequest(since=NOW))


async def test_confidence_is_held_against_outcome(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 8)
    found = await desk_of(ledger).calibration(MeasureRequest())
    (only,) = found.bins
    assert (found.trades, only.won.n, only.won.value) == (8, 8, 0.75)
    assert only.low <= only.mean < only.low + 0.05
    assert only.won.low is not None
    assert only.won.low < 0.75


async def test_the_review_tells_what_the_rule_says_and_what_is_decided(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 8)
    few = await desk_of(ledger).review(MeasureRequest())
    assert (few.advice, few.trades_needed, few.trades) == (Advice.TOO_FEW, 12, 8)
    assert {target.name for target in few.targets} == {"win_rate", "mean_confidence", "false_positives"}


async def test_a_theory_without_which_nothing_is_traded_made_every_trade(ledger: Ledger) -> None:
    await seeded(ledger)
    trades = await fill(ledger, 24, losing_every=12)
    found = await desk_of(ledger).contribution(MeasureRequest())
    assert (found.trades, found.holds, found.forgotten) == (24, 24, 0)
    first = found.theories[0]
    assert (first.theory, first.trades_made, first.winners_made) == ("markov_regime", 24, 22)
    assert first.pnl_usd.value == pytest.approx(float(sum(trade.pnl or 0 for trade in trades)))
    assert first.role is Role.DRIVES
    others = {each.theory: each for each in found.theories}
    assert len(others) == 15
    assert (others["stationarity"].changed, others["stationarity"].pnl_usd.value) == (0, 0.0)


async def test_what_the_account_forbade_is_no_work_of_a_theory(ledger: Ledger) -> None:
    await seeded(ledger)
    await decide_and_end(ledger, "stopped", case=BUYING, direction=Direction.HOLD, exit_price=None)
    found = await desk_of(ledger).contribution(MeasureRequest())
    assert (found.trades, found.holds) == (0, 1)
    assert {each.trades_prevented for each in found.theories} == {0}


async def test_decisions_whose_readings_were_deleted_are_counted(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 6)
    await Signals(ledger).forget(FIRST + timedelta(days=1))
    found = await desk_of(ledger).contribution(MeasureRequest())
    assert (found.trades, found.holds, found.forgotten) == (2, 2, 8)


async def test_an_evaluation_is_stored_and_read_back(ledger: Ledger) -> None:
    await seeded(ledger)
    trades = await fill(ledger, 16)
    desk = desk_of(ledger)
    written = (await desk.evaluate(EvaluateTheoriesRequest())).evaluations
    assert len(written) == 15 * 3
    stored = (await desk.evaluations(ListTheoryPerformanceRequest())).evaluations
    assert sorted(stored, key=str) == sorted(written, key=str)
    whole = await desk.evaluations(ListTheoryPerformanceRequest(theory="markov_regime", symbol=ALL))
    (markov,) = whole.evaluations
    assert (markov.computed_at, markov.trades, markov.decisions) == (NOW, 16, 32)
    assert (markov.votes, markov.hits, markov.hit_fraction) == (16, 12, 0.75)
    earned = float(sum(trade.pnl or 0 for trade in trades))
    assert markov.contribution_percent == pytest.approx(100 * earned / float(CAPITAL))
    assert markov.contribution_low is not None
    assert markov.contribution_high is not None
    assert markov.contribution_low < markov.contribution_percent < markov.contribution_high
    ether = await desk.evaluations(ListTheoryPerformanceRequest(symbol="eth-usd", limit=1))
    assert [(each.symbol, each.trades) for each in ether.evaluations] == [("ETH-USD", 8)]
    assert (await desk.evaluations(ListTheoryPerformanceRequest(since=NOW + timedelta(seconds=1)))).evaluations == ()
    again = await desk.evaluate(EvaluateTheoriesRequest())  # the same instant: nothing twice
    assert again.evaluations == written
    assert len((await desk.evaluations(ListTheoryPerformanceRequest(limit=500))).evaluations) == 45


async def test_an_attempt_whose_key_has_gone_stores_nothing_and_a_living_one_the_answer_too(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 2)
    keys, call = Idempotency(ledger), Call("EvaluateTheories", "key-0001", "0" * 64)
    first = await keys.begin(call, Moment(NOW, 0))
    second = await keys.begin(call, Moment(NOW, LEASE_MS))
    assert isinstance(first, Started)
    assert isinstance(second, Started)
    desk = desk_of(ledger)
    with pytest.raises(CrpbotError, match="later attempt"):
        await desk.evaluate(EvaluateTheoriesRequest(), first.attempt)
    assert (await desk.evaluations(ListTheoryPerformanceRequest())).evaluations == ()
    sealed = replace(second.attempt, seal=lambda answer: f"{len(answer.evaluations)} rows".encode())
    await desk.evaluate(EvaluateTheoriesRequest(), sealed)
    assert await keys.begin(call, Moment(NOW, LEASE_MS + 1)) == Replay(b"45 rows")


async def test_a_decision_of_another_version_of_the_code_is_counted_as_forgotten(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seeded(ledger)
    await fill(ledger, 2)
    assert (await desk_of(ledger).contribution(MeasureRequest())).forgotten == 0

    def refuse(text: bytes) -> None:
        raise ValueError("a case of version 99")

    monkeypatch.setattr(results, "read_case", refuse)
    found = await desk_of(ledger).contribution(MeasureRequest())
    assert (found.trades, found.forgotten) == (0, 4)


async def test_the_theories_are_evaluated_once_a_day(ledger: Ledger) -> None:
    await seeded(ledger)
    clock = HandClock(NOW, 0)
    counting = Counting(ledger)
    desk = desk_of(ledger, counting, clock=clock)
    await desk.evaluate_daily(Moment(NOW, 0))
    assert counting.asked == []  # nothing has closed: there is nothing to evaluate
    await fill(ledger, 3)
    for _ in range(3):
        clock.pass_time(86_400)
        await desk.evaluate_daily(clock())
        await desk.settled()
        await desk.evaluate_daily(clock())
    midnights = [datetime(2026, 11, day, tzinfo=UTC) for day in (15, 16, 17)]
    assert counting.asked == [("paper", midnight) for midnight in midnights]
    second = desk_of(ledger, counting, clock=clock)  # another gateway, or a restart
    await second.evaluate_daily(clock())
    await second.settled()
    assert len(counting.asked) == 3
    rows = (await desk.evaluations(ListTheoryPerformanceRequest(theory="hurst_exponent", symbol=ALL))).evaluations
    assert [row.computed_at for row in rows] == midnights[::-1]


async def test_an_evaluation_that_fails_is_tried_again_after_an_hour(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 2)
    clock = HandClock(NOW, 0)
    counting = Counting(ledger, broken=True)
    desk = desk_of(ledger, counting, clock=clock)
    await desk.evaluate_daily(clock())
    await desk.settled()
    counting.broken = False
    clock.pass_time(3_599)
    await desk.evaluate_daily(clock())
    assert len(counting.asked) == 1
    clock.pass_time(1)
    await desk.evaluate_daily(clock())
    await desk.settled()
    assert len(counting.asked) == 2
    assert (await desk.evaluations(ListTheoryPerformanceRequest(limit=1))).evaluations
    await desk.close()


async def test_an_unknown_account_is_refused_with_the_known_ones(ledger: Ledger) -> None:
    await seeded(ledger)
    with pytest.raises(CrpbotError, match="known are paper, shadow"):
        await desk_of(ledger).performance(PerformanceRequest(account="nobody"))


async def test_the_exported_record_is_the_one_that_thresholds_and_theories_read(ledger: Ledger) -> None:
    await seeded(ledger)
    await fill(ledger, 10)
    await decide_and_end(ledger, "real", when=FIRST + timedelta(days=4), synthetic=False)
    await decide_and_end(ledger, "compared", when=FIRST + timedelta(days=4), **SHADOW)
    await decide_and_end(ledger, "late", when=FIRST + timedelta(days=4), exit_price=None)
    learned = await StoredRecord(ledger).learned(synthetic=True)
    assert sum(tally.wins + tally.losses for tally in learned.values()) == 10
    read = await StoredDecisions(ledger, Signals(ledger)).records(["BTC-USD", "ETH-USD", "SOL-USD"], synthetic=True)
    for symbol, records in read.items():
        for variant, tiers in records.items():
            for tier, same in tier_records(learned, symbol, variant).items():
                assert tiers[tier] == pytest.approx(same)
    assert pool(read["ETH-USD"])[:2] == (3, 2)
    assert pool(read["SOL-USD"])[:3] == (0, 0, None)
    assert read_json(write_json(learned)) == learned
    real = await StoredRecord(ledger).learned(synthetic=False)
    assert [(key.symbol, tally.wins) for key, tally in real.items()] == [("BTC-USD", 1)]
