"""Theories, models and the vote of both on one candle, on both databases: who is published, and what only compares."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from sqlalchemy import text

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import downgrade, upgrade
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.results import SignalResult, store_result
from core.adapters.ledger.trades import StoredTrades
from core.analysis import RefusedSymbol
from core.deciding.confidence import JUDGED_FROM
from core.deciding.consultation import Sideline
from core.deciding.ensemble_decision import CEILING
from core.ensemble import Outlook
from core.errors import CrpbotError
from core.forecasts.lineup import CANDLES, Lineup, silent_outlook
from core.forecasts.seating import Wish, dismiss
from core.llm.asking import FailureReason, LlmFailure
from core.market import Windows
from core.models.store import Entry, slot_of
from core.replaying.decision import Machine, replay_decision
from core.risk.account import AccountFacts, KillLevel, Moment
from core.risk.limits import Limits
from core.signal import Mode, Signal, Strategy, Version
from core.signals import desk as signal_desk
from core.signals.ports import Birth
from core.signals.reader import SignalReader
from core.signals.requests import GenerateSignalsRequest, ListSignalsRequest
from core.signals.store import NewSignal, SignalFilter
from core.trade import Book, Direction, Levels, Tier
from tests.core.books import NOON, adjustment
from tests.core.conftest import Sql
from tests.core.decisions import decision, store
from tests.core.ensemble_cases import STRAIGHT, an_outlook
from tests.core.model_cases import make_model
from tests.core.signal_cases import HABITS, SURE, FakeModel, Room, hourly, said

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
V7, V6, VOTE = Strategy.V7, Strategy.V6, Strategy.VOTE
RISE = an_outlook(0.9, 0.8, 0.7, line=STRAIGHT)  # their mean is 0.81
FALL = an_outlook(0.1, 0.1, 0.1, line=STRAIGHT)
UNCALIBRATED = an_outlook(0.9, None, 0.9)
SILENT = an_outlook(None, None, None)
EMPTY = silent_outlook("BTC-USD", Lineup(), "")
PROMISED, _ = make_model()
LOADING = silent_outlook("BTC-USD", dismiss(Lineup(), Wish({slot_of(PROMISED): Entry("lstm.pt", PROMISED)}, {})), "")
MODELS = (
    Version("lstm", "lstm-1a2b3c4d"),
    Version("transformer", "transformer-1a2b3c4d"),
    Version("ppo", "ppo-1a2b3c4d"),
)
PATIENT = 60.0


async def a_room(ledger: Ledger, outlook: Outlook | None, primary: Strategy = V7, **changes: object) -> Room:
    """A desk on which this strategy is published, of markets that the models see so."""
    outlooks = {} if outlook is None else dict.fromkeys(("BTC-USD", "ETH-USD"), outlook)
    habits = replace(HABITS, strategy=primary)
    return await Room(ledger, outlooks=outlooks, **{"habits": habits, **changes}).open()  # type: ignore[arg-type]


async def ask(room: Room, symbol: str = "BTC-USD", *, key: str | None = None) -> Signal:
    """The answer for the slot of noon, or under a key."""
    request = GenerateSignalsRequest(symbol=symbol, slot=None if key else NOON)
    return (await room.desk.generate(request, timeout_seconds=PATIENT, key=key)).signals[0]


async def rows(room: Room) -> dict[tuple[Book, Strategy], Signal]:
    """All decisions by book and strategy; none stands there twice."""
    stored = [each.signal for each in await room.signals.after(0, 200)]
    found = {(each.book, each.strategy): each for each in stored}
    assert len(found) == len(stored)
    return found


# --- one study, three strategies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outlook", "vote", "directions"),
    [
        pytest.param(RISE, SURE, {V7: BUY, V6: BUY, VOTE: BUY}, id="agreement"),
        pytest.param(FALL, SURE, {V7: BUY, V6: SELL, VOTE: HOLD}, id="conflict"),
        pytest.param(FALL, 0.0, {V7: HOLD, V6: SELL, VOTE: SELL}, id="one leans"),
        pytest.param(SILENT, SURE, {V7: BUY, V6: HOLD, VOTE: BUY}, id="no model speaks"),
        pytest.param(LOADING, SURE, {V7: BUY, V6: HOLD, VOTE: BUY}, id="not loaded yet"),
        pytest.param(UNCALIBRATED, SURE, {V7: BUY, V6: HOLD, VOTE: BUY}, id="not calibrated"),
    ],
)
async def test_three_strategies_decide_on_one_candle_and_one_is_published(
    ledger: Ledger, outlook: Outlook, vote: float, directions: Mapping[Strategy, Direction]
) -> None:
    room = await a_room(ledger, outlook, votes={"BTC-USD": vote})
    answer = await ask(room)
    found = await rows(room)
    assert answer == found.pop((Book.PRIMARY, V7))
    assert set(found) == {(Book.SHADOW, V6), (Book.SHADOW, VOTE)}
    assert {V7: answer.direction} | {strategy: row.direction for (_, strategy), row in found.items()} == directions
    for row in found.values():
        assert (row.slot, row.as_of, row.price, row.account) == (NOON, answer.as_of, answer.price, "shadow")
    assert answer.ensemble is None
    assert found[Book.SHADOW, VOTE].ensemble is None
    assert found[Book.SHADOW, V6].ensemble is not None


@pytest.mark.parametrize("primary", Strategy)
async def test_the_setting_says_who_is_published_and_the_others_only_compare(ledger: Ledger, primary: Strategy) -> None:
    habits = replace(HABITS, strategy=primary, compare_variants=True)
    model = FakeModel(said(confidence=0.9))
    room = await a_room(ledger, RISE, primary, habits=habits, model=model)
    answer = await ask(room)
    stored = [each.signal for each in await room.signals.after(0, 200)]
    assert (answer.strategy, answer.book, answer.direction) == (primary, Book.PRIMARY, BUY)
    assert [each for each in stored if each.book is Book.PRIMARY] == [answer]
    shadows = {each.strategy for each in stored if each.book is Book.SHADOW}
    # the second variant of the theories is made where the first one is published, and only there
    assert shadows == (set(Strategy) if primary is V7 else set(Strategy) - {primary})
    assert len(stored) == (4 if primary is V7 else 3)
    assert len(model.asked) == 1
    assert [each.strategy for each in stored if each.llm is not None] == [V7]  # charged once
    opens = room.clock.steady_ms - 3_600_000
    assert len((await room.accounts.facts("paper", since_steady_ms=opens)).emissions) == 1
    assert (await room.accounts.facts("shadow", since_steady_ms=opens)).emissions == ()


async def test_without_an_outlook_or_a_promoted_model_the_theories_decide_as_before(ledger: Ledger, sql: Sql) -> None:
    room = await a_room(ledger, None)
    first = await ask(room)
    other = await a_room(ledger, EMPTY)
    second = await ask(other, "ETH-USD")
    assert {each.strategy for each in (first, second)} == {V7}
    assert sql("SELECT DISTINCT ensemble, models, book, strategy FROM signals") == [(None, None, "primary", "v7")]
    assert first.id == "sig_a28c7bebe227b825cc5fcc1fede9c7"  # as it always was


async def test_strategies_are_compared_only_where_the_setting_says_so(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE, habits=replace(HABITS, compare_strategies=False))
    await ask(room)
    assert set(await rows(room)) == {(Book.PRIMARY, V7)}
    alone = await a_room(ledger, RISE, habits=replace(HABITS, strategy=V6, compare_strategies=False), model=FakeModel())
    answer = await ask(alone, "ETH-USD")
    assert (answer.strategy, answer.direction, answer.llm) == (V6, BUY, None)
    assert alone.model is not None
    assert alone.model.asked == []  # the theories are not asked for, so nobody pays for them
    assert len(await room.signals.after(0, 200)) == 2


@pytest.mark.parametrize(
    ("outlook", "sides"),
    [
        pytest.param(RISE, {V7, V6}, id="promoted"),
        pytest.param(EMPTY, {V7}, id="nothing promoted"),
        pytest.param(None, {V7}, id="no models asked"),
    ],
)
async def test_what_a_vote_rests_on_is_always_stored_beside_it(
    ledger: Ledger, outlook: Outlook | None, sides: set[Strategy]
) -> None:
    habits = replace(HABITS, strategy=VOTE, compare_strategies=False)
    room = await a_room(ledger, outlook, habits=habits, model=FakeModel(said(confidence=0.9)))
    answer = await ask(room)
    found = await rows(room)
    assert found.pop((Book.PRIMARY, VOTE)) == answer
    assert set(found) == {(Book.SHADOW, each) for each in sides}
    theories = found[Book.SHADOW, V7]
    assert (answer.llm, theories.llm is None) == (None, False)  # charged once, where the model was asked
    assert set((await room.signals.whole(theories.id)).texts) == {"case", "prompt", "reply"}
    told = {each.theory: each.vote for each in answer.votes if each.problem is None}
    assert set(told) == {each.value for each in sides}


# --- what only compares -----------------------------------------------------------------------------------------------


class Torn:
    """A studied outlook on which something breaks that no test of it would find."""

    is_staffed = True
    speaking = ()

    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError(name)


async def test_an_account_that_may_not_publish_now_still_compares_on_the_slots_of_the_scheduler(ledger: Ledger) -> None:
    model = FakeModel(said(confidence=0.9))
    room = await a_room(ledger, RISE, limits=hourly(1), model=model)
    assert (await ask(room, "ETH-USD")).direction is BUY
    room.studies.asked.clear()
    full = await ask(room)
    assert (full.direction, full.synthesis_reason.partition(":")[0]) == (HOLD, "not_published")
    assert [veto.rule for veto in full.vetoes] == ["signals_per_hour"]
    assert full.votes, "its theories were read"
    assert len(model.asked) == 1, "nothing is paid for what cannot be published"
    stored = [each.signal for each in await room.signals.after(0, 200) if each.signal.symbol == "BTC-USD"]
    assert {(each.book, each.strategy): each.direction for each in stored} == {
        (Book.PRIMARY, V7): HOLD,
        (Book.SHADOW, V6): BUY,
        (Book.SHADOW, VOTE): BUY,
    }
    again = replay_decision(await room.signals.whole(full.id), Machine("1", ""))
    assert (again.decision, again.differences) == (True, ())
    room.studies.asked.clear()
    assert (await ask(room, key="again")).votes == ()
    assert (await ask(room, "SOL-USD")).votes == (), "no model speaks of it, so there is nothing to compare"
    assert room.studies.asked == []


async def test_a_kill_ends_the_comparison_too(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE)
    await room.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=room.clock)
    assert (await ask(room)).votes == ()
    assert room.studies.asked == []


async def test_a_strategy_that_only_compares_and_breaks_leaves_what_is_published(ledger: Ledger) -> None:
    room = await a_room(ledger, cast(Outlook, Torn()))
    failed: list[str] = []
    room.desk._verdicts.sideline = room.desk._sideline = sideline = Sideline(failed.append)
    answer = await ask(room)
    assert (answer.strategy, answer.direction) == (V7, BUY)
    assert set(await rows(room)) == {(Book.PRIMARY, V7)}
    assert sideline.failures == 1
    assert failed == ["v6"]
    published = await a_room(ledger, cast(Outlook, Torn()), V6)
    with pytest.raises(ExceptionGroup) as caught:
        await ask(published, "ETH-USD")
    assert caught.group_contains(ZeroDivisionError)


async def test_theories_that_break_leave_what_the_models_publish(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE, V6)
    room.desk._verdicts._library = lambda: 1 // 0  # type: ignore[assignment, return-value]
    assert (await ask(room)).strategy is V6
    assert set(await rows(room)) == {(Book.PRIMARY, V6)}
    assert room.desk._verdicts.sideline.failures == 1


async def test_a_shadow_book_that_cannot_be_stored_leaves_what_is_published(ledger: Ledger, sql: Sql) -> None:
    room = await a_room(ledger, RISE)
    async with ledger.writing() as connection:
        await connection.execute(text("UPDATE accounts SET pack = 'no such pack' WHERE id = 'shadow'"))
    answer = await ask(room)
    assert answer.direction is BUY
    assert sql("SELECT book, strategy FROM signals") == [("primary", "v7")]
    assert room.desk._verdicts.sideline.failures == 1


@dataclass
class Watched:
    """A store of decisions, and who asked it for what."""

    store: StoredDecisions
    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)  # Any: passed through

    def __getattr__(self, name: str) -> Any:  # Any: whatever the store has
        found = getattr(self.store, name)

        async def passed(*arguments: Any, **named: Any) -> Any:
            self.asked.append((name, arguments, named))
            return await found(*arguments, **named)

        return passed


async def test_what_compares_is_asked_for_and_stored_once_a_call(ledger: Ledger, sql: Sql) -> None:
    room = await a_room(ledger, RISE)
    room.desk._decisions = watched = Watched(room.decisions)  # type: ignore[assignment]
    request = GenerateSignalsRequest(symbols=("BTC-USD", "ETH-USD"), slot=NOON)
    published = await room.desk.generate(request, timeout_seconds=PATIENT)
    names = [name for name, _, _ in watched.asked]
    assert names == ["decided", "records_of", "store_snapshots", "decide", "decide", "compare"]
    assert room.quotes.asked == [("BTC-USD", "ETH-USD")]
    stored = sql("SELECT book, strategy, count(*) FROM signals GROUP BY book, strategy ORDER BY book, strategy")
    assert stored == [("primary", "v7", 2), ("shadow", "v6", 2), ("shadow", "vote", 2)]
    sizes = {row.signal.symbol: row.signal.quantity for row in await room.signals.after(0, 200)}
    assert sizes == {each.symbol: each.quantity for each in published.signals}
    # each row has an entry of its own in the chain, whose seal it bears, and its trade the row's number
    assert sql("SELECT count(*) FROM signals JOIN audit_log ON id = subject AND audit_seq = seq") == [(6,)]
    assert sql("SELECT count(*) FROM signals JOIN trades ON signal_id = signals.id AND created_seq = audit_seq") == [
        (6,)
    ]
    assert (await ledger.verify_audit()).problem is None
    for row in await room.signals.after(0, 200):
        whole = await room.signals.whole(row.signal.id)
        assert (whole.stored, "case" in whole.texts) == (row, True)


async def test_a_comparison_that_is_repeated_stores_nothing_twice(ledger: Ledger, sql: Sql) -> None:
    room = await a_room(ledger, RISE)
    room.desk._decisions = watched = Watched(room.decisions)  # type: ignore[assignment]
    await ask(room)
    _, arguments, named = watched.asked[-1]
    entries = (await ledger.audit_head()).entries
    account, judges = arguments
    await room.decisions.compare(account, judges[::-1], **named)
    assert (await ledger.audit_head()).entries == entries
    later = [lambda facts, moment, judge=judge: again(judge(facts, moment)) for judge in judges]
    await room.decisions.compare(account, later, **named)  # the same decisions under other ids: the slot tells them
    assert sql("SELECT count(*) FROM signals") == [(3,)]
    assert sql("SELECT count(*) FROM trades") == [(3,)]


def again(birth: Birth) -> Birth:
    """The same decision under another id."""
    signal = replace(birth.signal.signal, id=f"{birth.signal.signal.id}-again")
    return Birth(replace(birth.signal, signal=signal))


async def test_what_was_booked_on_the_shadow_account_is_not_read(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE)
    seen: list[AccountFacts] = []
    await ask(room)
    await StoredTrades(ledger).book("shadow", [adjustment("loss", "-25000")], by="test", clock=room.clock)

    def judge(facts: AccountFacts, _: Moment) -> Birth:
        seen.append(facts)
        return Birth(NewSignal(decision(7, book=Book.SHADOW, account="shadow"), "test"))

    await room.decisions.compare("shadow", [judge], clock=room.clock)
    assert (seen[0].account.id, seen[0].kill_switch.level) == ("shadow", KillLevel.OFF)
    assert (seen[0].days, seen[0].open_trades) == ((), ())
    with pytest.raises(CrpbotError, match="nowhere"):
        await room.decisions.compare("nowhere", [judge], clock=room.clock)


async def test_equal_orders_on_one_candle_are_simulated_once_and_a_hold_never(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[tuple[str, Direction]] = []
    walk = signal_desk.chance_of_stop_first

    def noted(window: Windows, direction: Direction, levels: Levels) -> float | None:
        walked.append((window.symbols[0], direction))
        return walk(window, direction, levels)

    monkeypatch.setattr(signal_desk, "chance_of_stop_first", noted)
    room = await a_room(ledger, RISE, votes={"ETH-USD": 0.0})
    await ask(room)
    await ask(room, "ETH-USD")
    chances = {
        symbol: {
            each.signal.stop_first for each in await room.signals.after(0, 200, wanted=SignalFilter(symbol=symbol))
        }
        for symbol in ("BTC-USD", "ETH-USD")
    }
    assert sorted(walked) == [("BTC-USD", BUY), ("ETH-USD", BUY)]
    assert len(chances["BTC-USD"]) == 1  # all three say the same
    assert None in chances["ETH-USD"]  # the theories hold
    assert len(chances["ETH-USD"]) == 2


async def test_where_another_server_decided_nothing_is_compared_here(ledger: Ledger) -> None:
    """Its own comparison stands; a second one would compare what never met."""
    first, second = await a_room(ledger, None), await a_room(ledger, RISE)
    theirs: list[Signal] = []
    study = second.studies.study

    async def overtaken(*asked: Any, **named: Any) -> Any:  # Any: passed through
        found = await study(*asked, **named)
        theirs.append(await ask(first))
        return found

    second.studies.study = overtaken  # type: ignore[method-assign]
    assert await ask(second) == theirs[0]
    assert set(await rows(second)) == {(Book.PRIMARY, V7)}


# --- what a row says --------------------------------------------------------------------------------------------------


async def test_a_row_of_the_models_says_what_each_of_them_had_to_do_with_it(ledger: Ledger) -> None:
    room = await a_room(ledger, an_outlook(0.9, None, 0.9), V6)
    row = await ask(room)
    ensemble = row.ensemble
    assert ensemble is not None
    assert (ensemble.raw, ensemble.calibrated, ensemble.coverage, row.coverage) == (0.9, False, 0.6, 0.6)
    told = {each.kind: (each.version, each.weight > 0, each.problem is None) for each in ensemble.members}
    assert told == {
        "lstm": ("lstm-1a2b3c4d", True, True),
        "transformer": ("transformer-1a2b3c4d", False, False),
        "ppo": ("ppo-1a2b3c4d", True, True),
    }
    assert [each for each in row.versions if each in MODELS] == [MODELS[0], MODELS[2]]
    found = await rows(room)
    assert [each for each in found[Book.SHADOW, VOTE].versions if each in MODELS] == [MODELS[0], MODELS[2]]
    assert not set(found[Book.SHADOW, V7].versions) & set(MODELS)
    assert (await room.signals.get(row.id)).signal == row


@pytest.mark.parametrize("mode", Mode)
async def test_what_is_not_calibrated_is_never_above_the_low_tier(ledger: Ledger, mode: Mode) -> None:
    room = await a_room(ledger, an_outlook(0.99, 0.99, 0.99), V6, habits=replace(HABITS, strategy=V6, mode=mode))
    row = await ask(room)
    assert (row.confidence, row.tier) == (CEILING, Tier.LOW)
    # the aggressive profile takes a low tier, the other one does not
    assert row.direction is (BUY if mode is Mode.AGGRESSIVE else HOLD)
    assert row.mode is mode


async def test_the_models_as_published_strategy_hold_and_name_the_remedy_where_none_is_promoted(ledger: Ledger) -> None:
    room = await a_room(ledger, EMPTY, V6)
    row = await ask(room)
    assert (row.strategy, row.direction, row.degraded, row.coverage) == (V6, HOLD, True, 0.0)
    assert row.degradations[0].reason == "no_model"
    assert "make train COIN=BTC, about 3 minutes" in row.degradations[0].detail
    assert set(await rows(room)) == {(Book.PRIMARY, V6)}
    nowhere = await a_room(ledger, None, V6)
    assert (await ask(nowhere, "ETH-USD")).degradations[0].reason == "no_model"


async def test_models_that_are_promoted_and_not_loaded_yet_are_silent_and_not_lacking(ledger: Ledger) -> None:
    room = await a_room(ledger, LOADING, V6)
    row = await ask(room)
    (doubt,) = row.degradations
    assert (doubt.reason, row.direction, row.coverage) == ("models_silent", HOLD, 0.0)
    assert "is promoted and is not loaded yet" in doubt.detail
    assert "make train" not in doubt.detail
    assert {key[1] for key in await rows(room)} == set(Strategy)


async def test_a_failed_language_model_is_a_side_that_is_missing(ledger: Ledger) -> None:
    model = FakeModel(LlmFailure(FailureReason.TIMEOUT, "20 s", attempts=1))
    room = await a_room(ledger, RISE, VOTE, model=model)
    row = await ask(room)
    assert (row.direction, row.coverage, row.strategy) == (BUY, 0.5, VOTE)
    assert "V7 is left out" in row.reasoning
    assert {each.part for each in row.versions} == {"code", "lstm", "transformer", "ppo"}


async def test_what_came_before_anything_was_read_carries_the_published_strategy(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE, V6)
    room.studies.refusals = {"ETH-USD": RefusedSymbol("ETH-USD", "EXCHANGE_DOWN", "the exchange answers 503")}
    unread = await ask(room, "ETH-USD")
    await room.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=room.clock)
    stopped = await ask(room)
    assert [(each.strategy, each.direction, each.book) for each in (unread, stopped)] == [(V6, HOLD, Book.PRIMARY)] * 2
    assert len(await room.signals.after(0, 200)) == 2


async def test_models_decisions_refer_to_their_minutes_too(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE)
    await ask(room)
    found = await rows(room)
    lengths = {
        strategy: [(each.interval, len(each)) for each in (await room.signals.whole(row.id)).candles]
        for (_, strategy), row in found.items()
    }
    both = [("5m", 500), ("1m", CANDLES)]
    assert lengths == {V7: both[:1], V6: both, VOTE: both}
    silent = await a_room(ledger, SILENT)
    await ask(silent, key="k")
    newest = (await room.signals.after(0, 200))[-1].signal
    assert len((await room.signals.whole(newest.id)).candles) == 1  # they read nothing


# --- each slot and each key once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_retry_after_another_strategy_was_set_finds_the_first_decision(ledger: Ledger, key: str | None) -> None:
    first = await ask(await a_room(ledger, RISE), key=key)
    room = await a_room(ledger, RISE, V6)
    before = await rows(room)
    assert await ask(room, key=key) == first
    assert await rows(room) == before


async def test_servers_that_publish_different_strategies_make_one_decision_a_slot(ledger: Ledger) -> None:
    rooms = [await a_room(ledger, RISE, primary) for primary in Strategy]
    answers = await asyncio.gather(*(ask(room) for room in rooms))
    assert answers[0] == answers[1] == answers[2]
    found = await rows(rooms[0])
    assert {strategy for book, strategy in found if book is Book.PRIMARY} == {answers[0].strategy}
    # nothing is compared with itself
    assert {strategy for book, strategy in found if book is Book.SHADOW} == set(Strategy) - {answers[0].strategy}


async def test_ids_follow_from_the_question_alone(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE, VOTE)
    answer = await ask(room)
    found = {key: row.id for key, row in (await rows(room)).items()}
    assert len(set(found.values())) == 3
    assert answer.id == "sig_a28c7bebe227b825cc5fcc1fede9c7"  # whoever decided


# --- the shadow account -----------------------------------------------------------------------------------------------


async def test_strategies_in_the_shadow_neither_take_room_from_each_other_nor_lose_it(ledger: Ledger) -> None:
    """One of these trades alone takes nearly all that the house may have at risk."""
    limits = Limits(20, risk_percent=Decimal("0.1"), max_open_risk_percent=Decimal("0.1"))
    room = await a_room(ledger, RISE, V7, limits=limits)
    published = [await ask(room, symbol) for symbol in ("BTC-USD", "ETH-USD")]
    compared = [each.signal for each in await room.signals.after(0, 200, wanted=SignalFilter(book=Book.SHADOW))]
    assert [each.direction for each in compared] == [BUY] * 4
    sizes = {symbol: {each.quantity for each in compared if each.symbol == symbol} for symbol in ("BTC-USD", "ETH-USD")}
    assert sizes["BTC-USD"] == {published[0].quantity}
    (second,) = sizes["ETH-USD"]
    assert second is not None
    assert published[1].quantity is not None
    assert second > 2 * published[1].quantity  # which had to do with what the first trade left


async def test_a_ruined_shadow_account_still_compares(ledger: Ledger) -> None:
    room = await a_room(ledger, RISE)
    await StoredTrades(room.ledger).book("shadow", [adjustment("loss", "-250000")], by="test", clock=room.clock)
    await ask(room)
    found = await rows(room)
    assert found[Book.SHADOW, V6].direction is BUY
    assert found[Book.SHADOW, V6].quantity is not None
    await room.risk.watch()  # a balance below zero is told, and stops nothing else


# --- the threshold of each strategy -----------------------------------------------------------------------------------


async def lose(ledger: Ledger, strategy: Strategy, count: int) -> None:
    """Published signals of a strategy that ended as losses."""
    for number in range(count):
        stored = await store(ledger, decision(number, strategy=strategy, variant=None))
        lost = SignalResult(stored.signal.id, "loss", -0.3, Decimal(-300), Decimal(49_000), NOON)
        async with ledger.writing() as connection:
            await store_result(connection, lost, created_at=NOON)


@pytest.mark.parametrize("loser", Strategy)
async def test_the_threshold_of_a_strategy_follows_its_own_published_trades(ledger: Ledger, loser: Strategy) -> None:
    room = await a_room(ledger, RISE)
    await lose(ledger, loser, JUDGED_FROM)
    await ask(room, key="k")
    found = {each.signal.strategy: each.signal for each in (await room.signals.after(0, 200))[JUDGED_FROM:]}
    assert {strategy: row.threshold for strategy, row in found.items()} == {
        strategy: 0.75 if strategy is loser else 0.65 for strategy in Strategy
    }


# --- found again ------------------------------------------------------------------------------------------------------


async def test_decisions_are_listed_by_strategy_and_by_model(ledger: Ledger) -> None:
    room = await a_room(ledger, an_outlook(0.9, None, 0.7))
    answer = await ask(room)
    reader = SignalReader(room.signals, room.clock)

    async def listed(**asked: object) -> set[tuple[Book, Strategy]]:
        page = await reader.page(ListSignalsRequest(**asked))  # type: ignore[arg-type]
        return {(each.book, each.strategy) for each in page.signals}

    shadow = Book.SHADOW
    assert await listed(strategy=V7) == {(Book.PRIMARY, V7)} == {(answer.book, answer.strategy)}
    assert await listed(strategy=V6) == set()
    assert await listed(strategy=V6, book=shadow) == {(shadow, V6)}
    assert await listed(model="ppo-1a2b3c4d", book=shadow) == {(shadow, V6), (shadow, VOTE)}
    assert await listed(model="transformer-1a2b3c4d", book=shadow) == set()  # it had no part
    for other in ("ppo-1a2b3c4", "1a2b3c4d", "ppo_1a2b3c4d", "ppo%", ""):
        assert await listed(model=other, book=shadow) == set()


async def test_a_row_keeps_little_of_the_ensemble_and_its_seal_covers_it(ledger: Ledger, sql: Sql) -> None:
    room = await a_room(ledger, RISE, V6)
    row = await ask(room)
    ((kept, names),) = sql("SELECT ensemble, models FROM signals WHERE strategy = 'v6'")
    assert len(kept) < 260
    assert names == " ".join(each.version for each in MODELS)
    assert (await room.signals.whole(row.id)).stored.signal == row
    async with room.ledger.writing() as connection:
        await connection.execute(text("UPDATE signals SET ensemble = replace(ensemble, '0.9', '0.8')"))
    with pytest.raises(CrpbotError, match="is not what was stored"):
        await room.signals.whole(row.id)


def test_a_decision_of_before_the_ensembles_still_bears_its_seal(ledger_url: str) -> None:
    async def each_time(number: int) -> None:
        ledger = await Ledger.open(ledger_url)
        try:
            if number == 0:
                await store(ledger, decision())
            whole = await Signals(ledger).whole(decision().id)
            assert whole.stored.signal == decision()
        finally:
            await ledger.close()

    asyncio.run(each_time(0))
    downgrade(ledger_url, "0006")
    upgrade(ledger_url)
    asyncio.run(each_time(1))


@pytest.mark.parametrize("primary", Strategy)
async def test_what_the_desk_stored_of_every_strategy_is_decided_the_same_again(
    ledger: Ledger, primary: Strategy
) -> None:
    room = await a_room(ledger, an_outlook(0.9, None, 0.7), primary, model=FakeModel(said(confidence=0.9)))
    await ask(room)
    found = await rows(room)
    assert {strategy for _, strategy in found} == set(Strategy)
    for row in found.values():
        again = replay_decision(await room.signals.whole(row.id), Machine("1", ""))
        assert (again.decision, again.differences) == (True, ()), row.strategy
