"""From a question to stored decisions, on both databases: the order of checks, room for the surest, each slot once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from api.operation import Call as OperationCall
from api.operation import Operation, perform, remember
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.results import SignalResult, store_result
from core.adapters.ledger.trades import StoredTrades
from core.analysis import RefusedSymbol
from core.deciding.confidence import JUDGED_FROM, TierRecord
from core.deciding.variants import assign
from core.errors import Code, CrpbotError
from core.idempotency import LEASE_MS, Attempt, Call, Started
from core.llm.asking import FailureReason, LlmFailure
from core.market import SYMBOLS
from core.risk.account import Account, AccountKind, KillLevel, Report
from core.signal import Degradation, Signal, Synthesis, Variant
from core.signals.case_file import read_case
from core.signals.ports import Study
from core.signals.requests import GenerateSignalsRequest, GenerateSignalsResponse
from core.trade import Book, Direction, Tier
from tests.core.books import HOUR_MS, NOON, adjustment
from tests.core.conftest import Sql
from tests.core.decisions import decision, store
from tests.core.signal_cases import HABITS, SURE, UNSURE, FakeModel, FakeStudies, Room, hourly, said

PATIENT = 60.0  # seconds; no machine is so busy
OTHER_VARIANT = {Variant.V7_FULL_MATH: Variant.V7_DEEPSEEK_ONLY, Variant.V7_DEEPSEEK_ONLY: Variant.V7_FULL_MATH}


async def ask(
    room: Room,
    *symbols: str,
    slot: datetime | None = None,
    key: str | None = None,
    attempt: Attempt | None = None,
    account: str | None = None,
) -> tuple[Signal, ...]:
    request = GenerateSignalsRequest(symbols=symbols or ("BTC-USD",), slot=slot, account=account)
    answer = await room.desk.generate(request, timeout_seconds=PATIENT, key=key, attempt=attempt)
    return answer.signals


def emitted(signals: Sequence[Signal]) -> list[str]:
    return [signal.symbol for signal in signals if signal.direction is not Direction.HOLD]


def rules(signal: Signal) -> list[str]:
    return [veto.rule for veto in signal.vetoes]


async def rows(room: Room) -> list[Signal]:
    return [stored.signal for stored in await room.signals.after(0, 200)]


async def emissions(room: Room, account: str = "paper") -> int:
    opens = room.clock.steady_ms - HOUR_MS
    return len((await room.accounts.facts(account, since_steady_ms=opens)).emissions)


# --- the order of checks ----------------------------------------------------------------------------------------------


Forbid = Callable[[Room], Awaitable[str]]


async def forbid_by_switch(room: Room) -> str:
    await room.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=room.clock)
    return "kill_switch"


async def forbid_by_headroom(room: Room) -> str:
    trades = StoredTrades(room.ledger)
    await trades.book("paper", [adjustment("loss", "-4500")], by="test", clock=room.clock)
    return "daily_stop"


async def forbid_by_rate(room: Room) -> str:
    await ask(room, "BTC-USD", "ETH-USD", "SOL-USD")
    room.studies.asked.clear()
    assert room.model is not None
    room.model.asked.clear()
    return "signals_per_hour"


@pytest.mark.parametrize("forbid", [forbid_by_switch, forbid_by_headroom, forbid_by_rate])
async def test_nothing_is_read_or_paid_for_what_may_not_be_published(ledger: Ledger, forbid: Forbid) -> None:
    room = await Room(ledger, model=FakeModel(said(confidence=0.9))).open()
    rule = await forbid(room)
    before = len(await rows(room))
    signals = await ask(room, "XRP-USD", "ADA-USD")
    assert room.model is not None
    assert (room.studies.asked, room.model.asked) == ([], [])
    for signal in signals:
        assert (signal.direction, signal.synthesis, signal.votes) == (Direction.HOLD, Synthesis.NONE, ())
        assert rule in rules(signal)
        assert signal.ftmo_compliant is (rule in {"kill_switch", "signals_per_hour"})
    assert (await rows(room))[before:] == sorted(signals, key=lambda each: each.symbol)


async def test_every_scan_is_a_row_as_it_was_answered(ledger: Ledger, sql: Sql) -> None:
    room = Room(ledger, votes={"ETH-USD": 0.0, "SOL-USD": 0.2})
    await room.open()
    room.studies.refusals = {"XRP-USD": RefusedSymbol("XRP-USD", "EXCHANGE_DOWN", "the exchange answers 503")}
    room.studies.doubts = {"ADA-USD": (Degradation("candles_late", "11 minutes old"),)}
    signals = await ask(room, "BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", key="k")
    assert emitted(signals) == ["BTC-USD"]
    assert {signal.symbol for signal in signals if signal.degraded} == {"XRP-USD", "ADA-USD"}
    stored = {signal.symbol: signal for signal in await rows(room)}
    assert stored == {signal.symbol: signal for signal in signals}
    assert sql("SELECT count(*) FROM audit_log WHERE action = 'signal.store'") == [(5,)]
    assert sql("SELECT DISTINCT idempotency_key FROM signals") == [("k",)]
    whole = await room.signals.whole(signals[0].id)
    assert len(whole.candles[0]) == 500
    assert set(whole.texts) == {"case"}


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
async def test_the_surest_gets_the_last_room_whatever_the_order_of_the_list(ledger: Ledger, order: int) -> None:
    room = await Room(ledger, votes={"XRP-USD": SURE, "BTC-USD": 0.7, "ETH-USD": 0.6}, limits=hourly(1)).open()
    signals = await ask(room, *["BTC-USD", "ETH-USD", "XRP-USD"][::order])
    assert emitted(signals) == ["XRP-USD"]
    assert {rule for signal in signals for rule in rules(signal)} == {"signals_per_hour"}


async def test_three_an_hour_are_three_an_hour_over_all_symbols_and_calls(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    answers = await asyncio.gather(*(ask(room, *SYMBOLS[start::2]) for start in (0, 1)), ask(room, *SYMBOLS))
    assert sum(len(emitted(signals)) for signals in answers) == 3
    assert await emissions(room) == 3
    room.clock.pass_time(3_599)
    assert emitted(await ask(room, *SYMBOLS)) == []
    room.clock.pass_time(1)
    assert len(emitted(await ask(room, *SYMBOLS))) == 3


async def test_the_window_holds_over_a_restart_and_a_clock_that_was_set_back(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    assert len(emitted(await ask(room, *SYMBOLS))) == 3
    again = Room(ledger)
    again.clock.at = NOON - timedelta(hours=3)
    again.clock.steady_ms = room.clock.steady_ms - 1_000
    assert emitted(await ask(again, *SYMBOLS, key="after")) == []


# --- each slot and each key once --------------------------------------------------------------------------------------


async def test_two_schedulers_with_different_lists_make_one_decision_a_slot(ledger: Ledger) -> None:
    room, other = await Room(ledger).open(), Room(ledger)
    mine, theirs = ("BTC-USD", "ETH-USD", "SOL-USD"), ("SOL-USD", "ADA-USD", "BTC-USD")
    first, second = await asyncio.gather(ask(room, *mine, slot=NOON), ask(other, *theirs, slot=NOON))
    stored = {signal.symbol: signal for signal in await rows(room)}
    assert sorted(stored) == ["ADA-USD", "BTC-USD", "ETH-USD", "SOL-USD"]
    assert first == tuple(stored[symbol] for symbol in mine)
    assert second == tuple(stored[symbol] for symbol in theirs)
    assert await emissions(room) == 3


async def test_schedulers_of_which_one_has_no_model_make_one_decision_a_slot(ledger: Ledger) -> None:
    """The one is decided by a variant, the other by the rule alone: still it is one slot."""
    asking = await Room(ledger, model=FakeModel(said(confidence=0.9), seconds=0.05)).open()
    plain = Room(ledger)
    both = await asyncio.gather(ask(asking, "BTC-USD", slot=NOON), ask(plain, "BTC-USD", slot=NOON))
    assert both[0] == both[1]
    assert len(await rows(plain)) == 1


async def test_a_slot_that_is_decided_is_neither_read_nor_paid_again(ledger: Ledger) -> None:
    room = await Room(ledger, model=FakeModel()).open()
    first = await ask(room, "BTC-USD", "ETH-USD", slot=NOON)
    asked = len(room.studies.asked)
    assert await ask(room, "ETH-USD", "BTC-USD", slot=NOON, key="another") == first[::-1]
    assert room.model is not None
    assert (len(room.studies.asked), len(room.model.asked)) == (asked, 2)


@pytest.mark.parametrize(
    ("slot", "reason"),
    [
        (NOON + timedelta(minutes=5), "SLOT_IN_FUTURE"),
        (NOON - timedelta(minutes=20), "SLOT_TOO_OLD"),
        (NOON - timedelta(seconds=1), "INVALID_FIELD"),
    ],
)
async def test_a_slot_is_a_grid_time_of_now(ledger: Ledger, slot: datetime, reason: str) -> None:
    room = await Room(ledger).open()
    with pytest.raises(CrpbotError) as caught:
        await ask(room, slot=slot)
    assert caught.value.reason == reason
    assert await rows(room) == []


async def begin(ledger: Ledger, room: Room, key: str) -> Attempt:
    call = Call("SignalService.GenerateSignals", key, "0" * 64)
    outcome = await Idempotency(ledger).begin(call, room.clock())
    assert isinstance(outcome, Started)
    return outcome.attempt


async def test_an_attempt_after_a_candle_closed_finds_what_the_dead_one_stored(ledger: Ledger) -> None:
    """By then another variant is drawn, and the budget may be gone: what is stored stands."""
    room = await Room(ledger, model=FakeModel(said(confidence=0.9))).open()
    slots = [NOON + timedelta(minutes=5 * number) for number in range(20)]
    flips = next(at for at in slots[1:] if assign("BTC-USD", at) is not assign("BTC-USD", NOON))
    first = await ask(room, "BTC-USD", key="k", attempt=await begin(ledger, room, "k"))
    room.clock.pass_time((flips - NOON).total_seconds())
    second = await ask(room, "BTC-USD", "ETH-USD", key="k", attempt=await begin(ledger, room, "k"))
    room.clock.pass_time(600)
    plain = Room(ledger, clock=room.clock)
    third = await ask(plain, "ETH-USD", "BTC-USD", key="k", attempt=await begin(ledger, plain, "k"))
    assert first[0] == second[0] == third[1]
    assert second[1] == third[0]
    assert len(await rows(room)) == 2


async def test_a_dead_attempt_that_wakes_leaves_no_trace(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    dead = await begin(ledger, room, "k")
    room.clock.pass_time(LEASE_MS / 1_000)
    living = await begin(ledger, room, "k")
    with pytest.raises(CrpbotError) as caught:
        await ask(room, "BTC-USD", "ETH-USD", key="k", attempt=dead)
    assert (caught.value.code, caught.value.reason) == (Code.ABORTED, "LEASE_LOST")
    assert (await rows(room), await emissions(room)) == ([], 0)
    assert len(await ask(room, "BTC-USD", "ETH-USD", key="k", attempt=living)) == 2
    with pytest.raises(CrpbotError):
        await ask(room, "BTC-USD", "SOL-USD", key="k", attempt=dead)
    assert {signal.symbol for signal in await rows(room)} == {"BTC-USD", "ETH-USD"}


async def test_a_caller_that_gives_up_leaves_whole_decisions_and_its_key_free(ledger: Ledger) -> None:
    room = await Room(ledger, model=FakeModel(said(confidence=0.9), seconds=30.0)).open()
    keys = Idempotency(ledger)
    attempt = await begin(ledger, room, "k")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask(room, "BTC-USD", "ETH-USD", key="k", attempt=attempt)
    await keys.release(attempt)
    assert room.model is not None
    room.model.seconds = 0.0
    again = await ask(room, "BTC-USD", "ETH-USD", key="k", attempt=await begin(ledger, room, "k"))
    assert {signal.symbol: signal for signal in await rows(room)} == {signal.symbol: signal for signal in again}


@pytest.mark.parametrize("repetitions", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_key_repeated_at_once_and_later_makes_nothing_twice(ledger: Ledger, sql: Sql, repetitions: int) -> None:
    """As the faces do it: the key is taken, the answer stored, and every repetition gets that answer."""
    room = await Room(ledger).open()
    request = GenerateSignalsRequest(symbols=("BTC-USD", "ETH-USD"))
    calls = Operation(
        "SignalService",
        "GenerateSignals",
        "POST",
        "/v1/signals",
        request=GenerateSignalsRequest,
        answer=GenerateSignalsResponse,
        run=lambda asked, call: room.desk.generate(
            asked, timeout_seconds=PATIENT, key=call.idempotency_key, attempt=call.attempt
        ),
        summary="",
        creates=True,
    )
    keyed = remember(calls, Idempotency(ledger), room.clock)

    async def repeat(asked: GenerateSignalsRequest = request) -> GenerateSignalsResponse:
        while True:
            try:
                found: GenerateSignalsResponse = await perform(keyed, asked, OperationCall(PATIENT, "same"))
                return found
            except CrpbotError as error:
                if error.reason != "IN_PROGRESS":
                    raise
                await asyncio.sleep(0.01)

    answers = [await repeat() for _ in range(repetitions // 10)]
    for _ in range(9):
        answers += await asyncio.gather(*(repeat() for _ in range(repetitions // 10)))
    assert len(answers) == repetitions
    assert all(answer == answers[0] for answer in answers)
    assert len(await rows(room)) == 2
    assert sql("SELECT count(*) FROM trades") == [(2,)]
    with pytest.raises(CrpbotError) as caught:
        await repeat(GenerateSignalsRequest(symbols=("BTC-USD",)))
    assert caught.value.reason == "KEY_REUSED"
    assert len(await rows(room)) == 2


# --- who decides ------------------------------------------------------------------------------------------------------


async def test_a_pair_is_two_rows_on_one_candle_and_one_call(ledger: Ledger) -> None:
    habits = replace(HABITS, compare_variants=True)
    room = await Room(ledger, model=FakeModel(said(confidence=0.9)), habits=habits).open()
    (signal,) = await ask(room, "BTC-USD", slot=NOON)
    assert room.model is not None
    assert len(room.model.asked) == 1
    primary, shadow = await rows(room)
    assert primary == signal
    assert (primary.account, shadow.account, shadow.book) == ("paper", "shadow", Book.SHADOW)
    assert primary.variant is assign("BTC-USD", NOON)
    assert shadow.variant is OTHER_VARIANT[primary.variant]
    assert (primary.as_of, primary.votes) == (shadow.as_of, shadow.votes)
    assert primary.llm is not None
    assert shadow.llm is None  # charged once
    assert (await emissions(room), await emissions(room, "shadow")) == (1, 0)
    assert await ask(room, "BTC-USD", slot=NOON) == (signal,)
    assert len(await rows(room)) == 2


async def test_the_shadow_goes_on_where_the_primary_book_is_full(ledger: Ledger) -> None:
    habits = replace(HABITS, compare_variants=True)
    room = await Room(ledger, model=FakeModel(said(confidence=0.9)), habits=habits, limits=hourly(1)).open()
    signals = await ask(room, "BTC-USD", "ETH-USD", slot=NOON)
    assert len(emitted(signals)) == 1
    shadows = [row for row in await rows(room) if row.book is Book.SHADOW]
    assert emitted(shadows) == ["BTC-USD", "ETH-USD"]


async def test_nobody_publishes_on_the_account_of_the_shadow_book(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    with pytest.raises(CrpbotError) as caught:
        await ask(room, "BTC-USD", account="shadow")
    assert "shadow only compares" in caught.value.detail
    assert await rows(room) == []


async def test_a_unanimous_hold_asks_no_model(ledger: Ledger) -> None:
    room = await Room(ledger, votes={"BTC-USD": 0.0}, model=FakeModel()).open()
    (signal,) = await ask(room, "BTC-USD")
    assert room.model is not None
    assert room.model.asked == []
    assert (signal.direction, signal.synthesis, signal.variant) == (Direction.HOLD, Synthesis.RULES, None)
    assert signal.synthesis_reason.startswith("unanimous_hold")
    curious = Room(ledger, votes={"BTC-USD": 0.0}, model=FakeModel(), habits=replace(HABITS, skip_unanimous_hold=False))
    await ask(curious, "BTC-USD")
    assert curious.model is not None
    assert len(curious.model.asked) == 1


OUTAGE = LlmFailure(FailureReason.BREAKER_OPEN, "left alone for 90 s")


@pytest.mark.parametrize(
    ("failure", "habit", "published"),
    [
        (OUTAGE, "hold", False),
        (OUTAGE, "rules", True),
        (LlmFailure(FailureReason.TIMEOUT, "20 s", attempts=1), "rules", False),
        (LlmFailure(FailureReason.BUDGET_DAY, "5 of 5 USD"), "hold", True),
        (LlmFailure(FailureReason.BUDGET_DAY, "5 of 5 USD", attempts=1), "hold", False),
    ],
)
async def test_what_follows_a_failed_call_is_a_habit_only_while_the_server_is_left_alone(
    ledger: Ledger, failure: LlmFailure, habit: str, published: bool
) -> None:
    habits = replace(HABITS, on_outage=habit)
    room = await Room(ledger, model=FakeModel(failure), habits=habits).open()
    (signal,) = await ask(room, "BTC-USD")
    assert (signal.direction is not Direction.HOLD) is published
    assert signal.degraded is not published
    assert signal.synthesis is (Synthesis.RULES if published else Synthesis.NONE)
    assert failure.reason.value in signal.synthesis_reason


async def test_a_tier_that_lost_raises_the_threshold(ledger: Ledger) -> None:
    room = await Room(ledger, votes=dict.fromkeys(SYMBOLS, UNSURE), limits=hourly(100)).open()
    (before,) = await ask(room, "BTC-USD")
    assert (before.direction, before.tier, before.threshold) == (Direction.BUY, Tier.MEDIUM, 0.65)
    await lose(ledger, JUDGED_FROM - 1)
    (unjudged,) = await ask(room, "BTC-USD")
    assert unjudged.threshold == 0.65
    await lose(ledger, 1, first=JUDGED_FROM)
    (after,) = await ask(room, "BTC-USD")
    assert (after.direction, after.threshold, rules(after)) == (Direction.HOLD, 0.75, ["confidence_threshold"])
    (other,) = await ask(room, "ETH-USD")
    assert other.direction is Direction.BUY  # each symbol has its own record


@pytest.mark.parametrize("change", [{"book": Book.SHADOW, "account": "shadow"}, {"synthetic": False}])
async def test_what_was_not_published_or_of_another_kind_of_market_judges_no_tier(
    ledger: Ledger, change: dict[str, object]
) -> None:
    room = await Room(ledger, votes=dict.fromkeys(SYMBOLS, UNSURE), limits=hourly(100)).open()
    await lose(ledger, JUDGED_FROM, **change)
    (after,) = await ask(room, "BTC-USD")
    assert after.threshold == 0.65


async def lose(ledger: Ledger, count: int, *, first: int = 0, **changes: object) -> None:
    """Signals of the rule on BTC-USD that ended as losses."""
    for number in range(first, first + count):
        stored = await store(ledger, decision(number, variant=None, **changes))
        lost = SignalResult(stored.signal.id, "loss", -0.3, Decimal(-300), Decimal(49_000), NOON)
        async with ledger.writing() as connection:
            await store_result(connection, lost, created_at=NOON)


# --- the account has the last word ------------------------------------------------------------------------------------


async def test_a_reported_account_that_fell_silent_is_a_hold_with_its_rule(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    made = Account(
        "mine", "mine", AccountKind.REPORTED, Book.PRIMARY, "ftmo-1step", "Europe/Prague", Decimal(100_000), NOON
    )
    await room.accounts.create(made, by="test")
    (silent,) = await ask(room, "BTC-USD", account="mine")
    assert (silent.direction, rules(silent), room.studies.asked) == (Direction.HOLD, ["stale"], [])
    even = Decimal(100_000)
    await room.accounts.report("mine", Report(NOON, even, even, even, "2026-11-21", 1), by="test")
    (told,) = await ask(room, "BTC-USD", account="mine")
    assert (told.direction, told.account) == (Direction.BUY, "mine")
    room.clock.pass_time(24 * 3_600)
    (old,) = await ask(room, "BTC-USD", account="mine")
    assert (old.direction, rules(old)) == (Direction.HOLD, ["stale"])


class KillingStudies:
    """While markets are read somebody pulls the switch."""

    def __init__(self, room: Room) -> None:
        self._room, self._inner = room, room.studies

    async def study(
        self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
    ) -> list[Study | RefusedSymbol]:
        found = await self._inner.study(symbols, interval, timeout_seconds=timeout_seconds)
        await self._room.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=self._room.clock)
        return found


async def test_a_switch_pulled_between_check_and_commit_lets_nothing_out(ledger: Ledger) -> None:
    room = await Room(ledger).open()
    room.with_studies(KillingStudies(room))
    signals = await ask(room, "BTC-USD", "ETH-USD")
    assert [rules(signal) for signal in signals] == [["kill_switch"], ["kill_switch"]]
    assert all(signal.votes for signal in signals)  # what was found out stays on record
    assert await emissions(room) == 0


async def test_when_a_kill_call_has_returned_nothing_new_is_published(ledger: Ledger) -> None:
    room = await Room(ledger, limits=hourly(1_000)).open()
    asking = [asyncio.create_task(ask(room, *SYMBOLS, key=f"k{number}")) for number in range(8)]
    await asyncio.sleep(0.05)
    await room.switch.set(KillLevel.PAUSE, by="test", reason="drill", clock=room.clock)
    published = await emissions(room)
    await asyncio.gather(*asking)
    assert await emissions(room) == published
    assert len(await rows(room)) == 8 * len(SYMBOLS)


async def test_the_threshold_reads_the_closed_trades_that_the_theories_were_told(ledger: Ledger) -> None:
    room = await Room(ledger, votes={"BTC-USD": UNSURE}).open()
    losing = {None: {Tier.MEDIUM: TierRecord(2, 30, 0.5, 2.0, 30.0)}}

    class Told(FakeStudies):
        async def study(
            self, symbols: Sequence[str], interval: str | None, *, timeout_seconds: float
        ) -> list[Study | RefusedSymbol]:
            found = await FakeStudies.study(self, symbols, interval, timeout_seconds=timeout_seconds)
            return [replace(each, records=losing) if isinstance(each, Study) else each for each in found]

    room.with_studies(Told(room.clock, room.votes))
    (signal,) = await ask(room, "BTC-USD")
    assert (signal.direction, signal.threshold) == (Direction.HOLD, 0.75)
    case, _ = read_case((await room.signals.whole(signal.id)).texts["case"])
    assert case.record == TierRecord(2, 30, 0.5, 2.0, 30.0)
