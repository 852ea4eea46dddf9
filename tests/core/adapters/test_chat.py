"""The language model's client: every way to fail ends as a value, in time, paid for, and without a secret in it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from core.adapters.chat.answer import Mishap, read_completion
from core.adapters.chat.chat import ChatClient
from core.adapters.chat.http import ChatOptions
from core.adapters.chat.prices import load_prices
from core.adapters.exchange_http import Surroundings
from core.errors import Code, CrpbotError
from core.llm.asking import (
    Budget,
    BudgetRefusal,
    FailureReason,
    LanguageModel,
    LlmFailure,
    Prompt,
    RefusedBy,
    Reply,
    Reservation,
    SpendLabel,
)
from core.risk.account import Moment
from core.settings.declared import Llm
from tests.core.virtual_time import PATIENT, until
from tests.fake_deepseek import KEY, FakeDeepSeek, Slow
from tests.fake_deepseek_answers import Fault
from tests.loopback_server import Wire

THINKING_OFF = '{"thinking":{"type":"disabled"}}'
PROMPT = Prompt("Answer with one json object. " * 20, "Price: 65000. What now?")
LABEL = SpendLabel("BTC-USD", "v7_deepseek_only")
PEAK = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # a Monday
QUIET = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SHORT = 0.4  # a deadline for what never ends, and for nothing else
FOR_EVER = 100_000.0
R = FailureReason


async def pause(seconds: float) -> None:
    """Where there is nothing to wait for, no deadline can pass."""
    if seconds:
        await asyncio.sleep(seconds)


@dataclass
class MemoryBudget:
    """A budget of one process, which also counts what it was asked."""

    cap_units: int = 10**9
    reserve_seconds: float = 0.0
    settle_seconds: float = 0.0
    abandon_seconds: float = 0.0
    broken: set[str] = field(default_factory=set)
    spent: dict[int, int] = field(default_factory=dict)
    closed: dict[int, str] = field(default_factory=dict)

    async def reserve(self, units: int, moment: Moment, label: SpendLabel) -> Reservation | BudgetRefusal:
        await pause(self.reserve_seconds)
        self._fail("reserve")
        if sum(self.spent.values()) + units > self.cap_units:
            return BudgetRefusal(RefusedBy.DAY, units, sum(self.spent.values()), self.cap_units, moment.at)
        number = len(self.spent) + 1
        self.spent[number] = units
        return Reservation(number, units, f"{moment.at:%Y-%m-%d}")

    async def settle(self, reservation: Reservation, charged_units: int, moment: Moment) -> int:
        await pause(self.settle_seconds)
        self._fail("settle")
        self.spent[reservation.id] = charged_units
        self.closed[reservation.id] = "settled"
        return charged_units

    async def abandon(self, reservation: Reservation, moment: Moment) -> int:
        await pause(self.abandon_seconds)
        self.closed[reservation.id] = "abandoned"
        return reservation.units

    def spent_usd(self) -> Fraction:
        return Fraction(sum(self.spent.values()), 10**8)

    def _fail(self, what: str) -> None:
        if what in self.broken:
            raise CrpbotError(Code.UNAVAILABLE, "the disk is full", reason="LEDGER_DISK_FULL")


@dataclass
class World:
    """Clocks of the test's own: the wall stands, the steady one moves by sleeping and by hand."""

    wall: datetime = QUIET
    steady: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.steady += seconds
        await asyncio.sleep(0)

    def surroundings(self) -> Surroundings:
        return Surroundings(
            now_ms=lambda: int(self.wall.timestamp() * 1_000),
            monotonic=lambda: self.steady,
            sleep=self.sleep,
            jitter=lambda most: most,
        )


@dataclass
class Desk:
    """A client, the server it asks, its budget and its clocks."""

    client: ChatClient
    server: FakeDeepSeek
    budget: MemoryBudget
    world: World

    async def ask(self, seconds: float = PATIENT, prompt: Prompt = PROMPT) -> Reply | LlmFailure:
        return await self.client.ask(prompt, purpose=LABEL, deadline_seconds=seconds)

    async def reply(self) -> Reply:
        answer = await self.ask()
        assert isinstance(answer, Reply), answer
        return answer

    async def failure(self, seconds: float = PATIENT) -> LlmFailure:
        answer = await self.ask(seconds)
        assert isinstance(answer, LlmFailure), answer
        return answer


def options_for(server: FakeDeepSeek) -> ChatOptions:
    return ChatOptions(server.url, "deepseek-flash", api_key=KEY, extra_body=THINKING_OFF)


def make_client(
    options: ChatOptions, budget: Budget, world: World | None = None, secrets: tuple[str, ...] = ()
) -> ChatClient:
    surroundings = (world or World()).surroundings()
    return ChatClient(options, budget=budget, prices=load_prices(), secrets=secrets, surroundings=surroundings)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that are the same for every question."""
    monkeypatch.setattr("core.adapters.chat.http.CONNECT_SECONDS", PATIENT)
    monkeypatch.setattr("core.adapters.chat.models.PATIENCE_SECONDS", PATIENT)


@pytest.fixture
def server() -> Iterator[FakeDeepSeek]:
    with FakeDeepSeek(now=QUIET) as running:
        yield running


@pytest.fixture
async def desk(server: FakeDeepSeek) -> AsyncIterator[Desk]:
    budget, world = MemoryBudget(), World()
    client = make_client(options_for(server), budget, world)
    yield Desk(client, server, budget, world)
    await client.close()


class TestQuestion:
    async def test_a_reply_is_what_the_server_wrote_with_what_it_took(self, desk: Desk) -> None:
        desk.server.verdicts.append('{"signal": "HOLD"}')
        reply = await desk.reply()
        assert reply.text == '{"signal": "HOLD"}'
        assert (reply.model, reply.finish_reason, reply.attempts) == ("deepseek-flash", "stop", 1)
        assert reply.request_id == "fake-000001"
        assert reply.usage is not None
        counted = desk.server.seen[0].counted
        assert counted is not None
        told = (reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.completion_tokens)
        assert told == (counted.prompt, counted.hits, counted.completion)

    async def test_the_request_is_short_cold_and_without_thinking(self, desk: Desk) -> None:
        await desk.reply()
        (seen,) = desk.server.seen
        assert dict(seen.body) == {
            "model": "deepseek-flash",
            "messages": [
                {"role": "system", "content": PROMPT.system},
                {"role": "user", "content": PROMPT.user},
            ],
            "max_tokens": 600,
            "stream": False,
            "temperature": 0,
            "response_format": {"type": "json_object"},
            "thinking": {"type": "disabled"},
        }
        assert seen.headers["authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize("wall", [QUIET, PEAK])
    async def test_the_cost_is_the_bill_rounded_up_by_less_than_a_unit_a_call(
        self, server: FakeDeepSeek, wall: datetime
    ) -> None:
        server.now = wall
        budget, world = MemoryBudget(), World(wall)
        desk = Desk(make_client(options_for(server), budget, world), server, budget, world)
        costs = [(await desk.reply()).cost_usd for _ in range(3)]
        assert sum(costs) == Decimal(sum(budget.spent.values())).scaleb(-8)
        assert 0 <= budget.spent_usd() - server.billed_usd() < Fraction(3, 10**8)
        assert costs[1] < costs[0]  # from the second on the beginning of the prompt is in the cache
        await desk.client.close()

    async def test_a_prompt_in_any_language_arrives_as_it_is(self, desk: Desk) -> None:
        odd = Prompt("json", 'účet "€" \\ \n \u2028 😀')
        assert isinstance(await desk.ask(prompt=odd), Reply)
        assert desk.server.seen[0].body["messages"][1]["content"] == odd.user

    async def test_another_base_path_is_kept(self, desk: Desk) -> None:
        options = replace(options_for(desk.server), base_url=f"{desk.server.url}/v1")
        client = make_client(options, desk.budget)
        assert isinstance(await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT), Reply)
        await client.close()

    async def test_a_server_of_ones_own_costs_nothing_and_needs_no_budget(self) -> None:
        with FakeDeepSeek(is_local=True) as local:
            local.refused_fields = {"response_format", "thinking"}
            options = ChatOptions(local.url, "qwen3", api_key="local", has_json_mode=False, is_free=True)
            budget = MemoryBudget(cap_units=0, broken={"reserve"})
            client = make_client(options, budget)
            reply = await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT)
            await client.close()
        assert isinstance(reply, Reply)
        assert reply.text.startswith("```json\n")  # the parser of replies knows what to do with it
        assert (reply.usage, reply.cost_usd) == (None, 0)

    def test_the_client_is_a_language_model(self, desk: Desk) -> None:
        model: LanguageModel = desk.client
        assert model is desk.client

    def test_options_follow_the_settings(self) -> None:
        options = ChatOptions.of(Llm(api_key="sk-of-the-test", supports_json_mode=False, max_tokens=700))
        assert options == ChatOptions(
            "https://api.deepseek.com", "deepseek-flash", "sk-of-the-test", THINKING_OFF, False, 700, False
        )
        assert "sk-of-the-test" not in repr(options)


# what is planned, with which detail -> the reason, and whether it is paid in full
BROKEN = [
    (Fault.STATUS, "400", R.REFUSED_REQUEST, 1),
    (Fault.STATUS, "401", R.UNAUTHORIZED, 1),
    (Fault.STATUS, "402", R.NO_BALANCE, 1),
    (Fault.STATUS, "403", R.UNAUTHORIZED, 1),
    (Fault.STATUS, "404", R.REFUSED_REQUEST, 1),
    (Fault.STATUS, "422", R.REFUSED_REQUEST, 1),
    (Fault.STATUS, "500", R.SERVER_ERROR, 3),
    (Fault.STATUS, "502", R.SERVER_ERROR, 3),
    (Fault.STATUS, "503", R.SERVER_ERROR, 3),
    (Fault.RATE_LIMITED, "", R.RATE_LIMITED, 3),
    (Fault.RATE_LIMITED, "1", R.RATE_LIMITED, 3),
    (Fault.RATE_LIMITED, "600", R.RATE_LIMITED, 1),
    (Fault.REDIRECT, "http://169.254.169.254/", R.BROKEN_TRANSPORT, 1),
    (Fault.HTML, "", R.BROKEN_TRANSPORT, 1),
    (Fault.EMPTY_BODY, "", R.BROKEN_TRANSPORT, 1),
    (Fault.LIST, "", R.BROKEN_TRANSPORT, 1),
    (Fault.DEEP, "", R.BROKEN_TRANSPORT, 1),
    (Fault.NAN, "", R.BROKEN_TRANSPORT, 1),
    (Fault.DUPLICATE_KEYS, "", R.BROKEN_TRANSPORT, 1),
    (Fault.NO_CHOICES, "", R.BROKEN_TRANSPORT, 1),
    (Fault.TWO_CHOICES, "", R.BROKEN_TRANSPORT, 1),
    (Fault.FINISH, "", R.BROKEN_TRANSPORT, 1),
    (Fault.FINISH, "because", R.BROKEN_TRANSPORT, 1),
    (Fault.FINISH, "length", R.TRUNCATED, 1),
    (Fault.FINISH, "content_filter", R.CONTENT_FILTER, 1),
    (Fault.FINISH, "tool_calls", R.TOOL_CALL, 1),
    (Fault.FINISH, "insufficient_system_resource", R.SERVER_ERROR, 1),
    (Fault.TOOL_CALL, "", R.TOOL_CALL, 1),
    (Fault.EMPTY, "", R.BROKEN_CONTENT, 1),
    (Fault.NULL_CONTENT, "", R.BROKEN_CONTENT, 1),
    (Fault.NUL, "", R.BROKEN_CONTENT, 1),
    (Fault.SURROGATE, "", R.BROKEN_CONTENT, 1),
    (Fault.ENDLESS, "", R.BROKEN_CONTENT, 1),
    (Wire.RESET, "", R.UNREACHABLE, 3),
    (Wire.TRUNCATED, "", R.BROKEN_TRANSPORT, 1),
    (Wire.TRUNCATED_JSON, "", R.BROKEN_TRANSPORT, 1),
    (Wire.TRUNCATED_GZIP, "", R.BROKEN_TRANSPORT, 1),
    (Wire.HUGE, "", R.BROKEN_TRANSPORT, 1),
    (Wire.BOMB, "", R.BROKEN_TRANSPORT, 1),
]
ENDLESS = [Wire.HANG, Wire.DRIP, Slow.BLANK_LINES, Slow.SLOW_HEADERS]
CONTENT = [
    Fault.WRONG_SIDE,
    Fault.ABSURD_PRICES,
    Fault.ABSURD_CONFIDENCE,
    Fault.PROSE,
    Fault.INJECTION,
]
USAGES = [
    Fault.NO_USAGE,
    Fault.NULL_USAGE,
    Fault.NEGATIVE_USAGE,
    Fault.HUGE_USAGE,
    Fault.ZERO_USAGE,
    Fault.CROOKED_USAGE,
    Fault.TEXT_USAGE,
]


class TestFaults:
    @pytest.mark.parametrize(("fault", "detail", "reason", "attempts"), BROKEN)
    async def test_a_fault_ends_as_a_value_with_its_reason(
        self, desk: Desk, fault: Fault | Wire, detail: str, reason: FailureReason, attempts: int
    ) -> None:
        desk.server.plan(fault, detail)
        failure = await desk.failure()
        assert sum(desk.world.slept) < PATIENT
        assert (failure.reason, failure.attempts, len(desk.server.seen)) == (reason, attempts, attempts)
        assert failure.charged_usd == Decimal(sum(desk.budget.spent.values())).scaleb(-8)
        assert desk.budget.spent_usd() >= desk.server.billed_usd()
        assert len(desk.budget.closed) == attempts
        assert "trouble" not in failure.detail

    @pytest.mark.parametrize("fault", ENDLESS)
    async def test_what_never_ends_is_given_up_at_the_deadline_and_stays_charged(
        self, desk: Desk, fault: Wire | Slow
    ) -> None:
        desk.server.plan(fault)
        begun = time.monotonic()
        async with asyncio.timeout(PATIENT):
            failure = await desk.failure(SHORT)
        assert time.monotonic() - begun >= SHORT
        assert (failure.reason, failure.attempts) == (R.TIMEOUT, 1)
        assert desk.budget.closed == {1: "abandoned"}
        assert desk.budget.spent_usd() > 0
        assert desk.budget.spent_usd() >= desk.server.billed_usd()

    async def test_the_deadline_holds_over_all_attempts(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.adapters.chat.chat.ATTEMPTS", 10**9)  # only the deadline ends it
        monkeypatch.setattr(desk.world, "sleep", asyncio.sleep)
        monkeypatch.setattr("core.adapters.chat.chat.FIRST_WAIT_SECONDS", 0.0)
        desk.server.latency_seconds = 0.05
        desk.server.plan(Wire.RESET)
        async with asyncio.timeout(PATIENT):
            assert (await desk.failure(SHORT)).reason is R.TIMEOUT
        assert desk.budget.spent_usd() > 0
        assert desk.budget.spent_usd() >= desk.server.billed_usd()

    @pytest.mark.parametrize("fault", CONTENT)
    async def test_what_is_wrong_in_the_text_is_left_to_the_parser_of_replies(self, desk: Desk, fault: Fault) -> None:
        desk.server.plan(fault)
        assert (await desk.reply()).text

    @pytest.mark.parametrize("fault", USAGES)
    async def test_a_usage_that_cannot_be_true_leaves_the_reservation_charged(self, desk: Desk, fault: Fault) -> None:
        desk.server.plan(fault)
        reply = await desk.reply()
        assert reply.usage is None
        assert desk.budget.closed == {1: "abandoned"}
        assert desk.budget.spent_usd() > desk.server.billed_usd()

    async def test_a_server_that_is_not_there_is_tried_three_times_and_costs_nothing(self, desk: Desk) -> None:
        options = replace(options_for(desk.server), base_url="http://127.0.0.1:9")
        client = make_client(options, desk.budget)
        answer = await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT)
        assert isinstance(answer, LlmFailure)
        assert (answer.reason, answer.attempts, answer.charged_usd) == (R.UNREACHABLE, 3, 0)
        assert set(desk.budget.spent.values()) == {0}
        await client.close()

    @pytest.mark.parametrize("name", ["tool_calls", "function_call"])
    def test_a_tool_that_is_called_in_passing_is_found(self, name: str) -> None:
        message = {"content": '{"signal": "BUY"}', name: [{"name": "set_limit"}]}
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE})
        with pytest.raises(Mishap) as caught:
            read_completion(body.encode())
        assert caught.value.reason is R.TOOL_CALL
        assert caught.value.usage is not None

    async def test_blank_lines_before_an_answer_are_no_fault(self) -> None:
        body = b'{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}'
        assert read_completion(b"\n" * 600 + body).text == "4"


class TestPatience:
    async def test_what_passes_is_tried_again_after_waits_that_double(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 503, times=2)
        assert (await desk.reply()).attempts == 3
        assert desk.world.slept == [0.5, 1.0]

    async def test_the_wait_that_the_server_asks_for_is_kept(self, desk: Desk) -> None:
        desk.server.plan(Fault.RATE_LIMITED, 7, times=1)
        assert (await desk.reply()).attempts == 2
        assert desk.world.slept == [7.0]

    async def test_a_wait_past_the_deadline_is_not_begun(self, desk: Desk) -> None:
        desk.server.plan(Fault.RATE_LIMITED, 999_999_999)
        assert (await desk.failure()).reason is R.RATE_LIMITED
        assert desk.world.slept == []

    async def test_a_reset_before_an_answer_is_tried_again_and_each_attempt_is_paid(self, desk: Desk) -> None:
        desk.server.plan(Wire.RESET, times=2)
        reply = await desk.reply()
        assert reply.attempts == 3
        assert desk.budget.closed == {1: "abandoned", 2: "abandoned", 3: "settled"}
        assert reply.cost_usd == Decimal(sum(desk.budget.spent.values())).scaleb(-8)


class TestMoney:
    async def test_without_room_in_the_budget_nobody_is_asked(self, desk: Desk) -> None:
        desk.budget.cap_units = 1
        failure = await desk.failure()
        assert (failure.reason, failure.attempts, failure.lifts_at) == (R.BUDGET_DAY, 0, QUIET)
        assert not desk.server.seen

    async def test_without_room_for_a_retry_the_first_failure_stands(self, desk: Desk) -> None:
        desk.server.plan(Wire.RESET)
        await desk.failure()
        desk.budget.cap_units = sum(desk.budget.spent.values()) + desk.budget.spent[1]
        failure = await desk.failure()
        assert (failure.reason, failure.attempts) == (R.UNREACHABLE, 1)

    async def test_the_reservation_is_never_less_than_the_bill(self, desk: Desk) -> None:
        """Even where each byte is a token, the reply as long as allowed, and the hour the dearest."""
        desk.server.plan(Slow.BLANK_LINES)
        await desk.failure(0.2)
        most = (len(PROMPT.system) + len(PROMPT.user)) * Fraction("0.30") + 600 * Fraction("1.20")
        assert desk.budget.spent_usd() >= most / 10**6

    async def test_a_ledger_that_cannot_reserve_means_that_nobody_is_asked(self, desk: Desk) -> None:
        desk.budget.broken = {"reserve"}
        failure = await desk.failure()
        assert (failure.reason, failure.attempts) == (R.LEDGER, 0)
        assert "LEDGER_DISK_FULL" in failure.detail
        assert not desk.server.seen

    async def test_a_ledger_that_hangs_is_waited_for_until_the_deadline_and_is_not_the_servers_fault(
        self, desk: Desk
    ) -> None:
        desk.budget.reserve_seconds = FOR_EVER
        for _ in range(6):
            failure = await desk.failure(0.02)
            assert (failure.reason, failure.attempts) == (R.LEDGER, 0)
        assert desk.client.standing().failures == 0
        assert not desk.server.seen

    @pytest.mark.parametrize(("broken", "lag"), [({"settle"}, 0.0), (set(), FOR_EVER)])
    async def test_a_ledger_that_cannot_settle_costs_the_reservation_and_not_the_reply(
        self, desk: Desk, broken: set[str], lag: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("core.adapters.chat.purse.MOST_SETTLE_SECONDS", 0.1)
        desk.budget.broken, desk.budget.settle_seconds = broken, lag
        async with asyncio.timeout(PATIENT):
            reply = await desk.reply()
        assert reply.cost_usd == Decimal(desk.budget.spent[1]).scaleb(-8)
        assert desk.budget.closed == {}

    async def test_a_ledger_that_cannot_settle_holds_nobody_much_beyond_the_deadline(self, desk: Desk) -> None:
        desk.budget.settle_seconds = desk.budget.abandon_seconds = FOR_EVER
        desk.server.plan(Wire.HANG)
        async with asyncio.timeout(PATIENT):
            assert (await desk.failure(SHORT)).reason is R.TIMEOUT

    async def test_a_caller_who_goes_away_leaves_the_reservation_charged(self, desk: Desk) -> None:
        desk.server.plan(Wire.HANG)
        asking = asyncio.create_task(desk.ask())
        await until(lambda: desk.server.seen)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert desk.budget.spent_usd() >= desk.server.billed_usd() > 0

    async def test_a_model_without_a_price_is_refused_with_the_remedy(self, server: FakeDeepSeek) -> None:
        options = replace(options_for(server), model="deepseek-chat")
        with pytest.raises(CrpbotError, match="LLM_PRICE_FREE=true") as caught:
            make_client(options, MemoryBudget())
        assert caught.value.reason == "UNKNOWN_LLM_PRICE"

    async def test_a_price_that_is_not_valid_yet_means_that_nobody_is_asked(self, desk: Desk) -> None:
        desk.world.wall = datetime(2026, 1, 1, tzinfo=UTC)
        assert (await desk.failure()).reason is R.UNKNOWN_PRICE
        assert not desk.server.seen


class TestBreaker:
    async def test_after_five_failures_in_a_row_the_server_is_left_alone_for_two_minutes(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 503)
        for _ in range(5):
            assert (await desk.failure()).reason is R.SERVER_ERROR
        asked = len(desk.server.seen)
        refused = await desk.failure()
        assert (refused.reason, refused.attempts, refused.charged_usd) == (R.BREAKER_OPEN, 0, 0)
        assert desk.client.standing().reason is R.SERVER_ERROR
        desk.world.steady += 119.0
        assert (await desk.failure()).reason is R.BREAKER_OPEN
        assert len(desk.server.seen) == asked
        desk.server.heal()
        desk.world.steady += 2.0
        await desk.reply()
        assert not desk.client.standing().is_open

    async def test_a_probe_that_fails_opens_it_again(self, desk: Desk) -> None:
        desk.server.plan(Fault.HTML)
        for _ in range(5):
            await desk.failure()
        desk.world.steady += 121.0
        assert (await desk.failure()).reason is R.BROKEN_TRANSPORT
        assert (await desk.failure()).reason is R.BREAKER_OPEN

    async def test_a_probe_that_fails_otherwise_than_before_opens_it_again_too(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 401, times=1)
        await desk.failure()
        desk.world.steady += 601.0
        desk.server.plan(Fault.STATUS, 503)
        assert (await desk.failure()).reason is R.SERVER_ERROR
        assert (await desk.failure()).reason is R.BREAKER_OPEN

    async def test_only_one_call_probes(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 401, times=1)
        await desk.failure()
        desk.world.steady += 601.0
        desk.server.latency_seconds = 0.1
        answers = await asyncio.gather(*(desk.ask() for _ in range(10)))
        assert sum(isinstance(answer, Reply) for answer in answers) == 1

    @pytest.mark.parametrize("status", [401, 402])
    async def test_a_refused_key_or_an_empty_account_opens_it_at_once_for_ten_minutes(
        self, desk: Desk, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk.server.plan(Fault.STATUS, status)
        await desk.failure()
        desk.world.steady += 599.0
        assert (await desk.failure()).reason is R.BREAKER_OPEN
        assert len(desk.server.seen) == 1
        assert [record.levelname for record in caplog.records if "left alone" in record.message] == ["ERROR"]

    async def test_a_person_closes_it(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 402, times=1)
        await desk.failure()
        desk.client.reset()
        await desk.reply()

    async def test_a_reply_between_failures_begins_the_count_anew(self, desk: Desk) -> None:
        for _ in range(3):
            desk.server.plan(Fault.HTML, times=4)
            for _ in range(4):
                await desk.failure()
            await desk.reply()

    @pytest.mark.parametrize("fault", [Fault.EMPTY, Fault.TOOL_CALL])
    async def test_a_useless_reply_is_not_the_servers_illness(self, desk: Desk, fault: Fault) -> None:
        desk.server.plan(fault)
        for _ in range(7):
            assert (await desk.failure()).reason is not R.BREAKER_OPEN

    async def test_a_probe_whose_caller_goes_away_lets_the_next_one_probe(self, desk: Desk) -> None:
        desk.server.plan(Fault.STATUS, 402, times=1)
        await desk.failure()
        desk.world.steady += 601.0
        desk.server.plan(Wire.HANG, times=1)
        asking = asyncio.create_task(desk.ask())
        await until(lambda: len(desk.server.seen) == 2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await desk.reply()


class TestSecrets:
    @pytest.mark.parametrize(
        "shape",
        [
            str,
            lambda secret: base64.b64encode(f"key={secret}".encode()).decode(),
            lambda secret: base64.urlsafe_b64encode(f"x{secret}".encode()).decode(),
            lambda secret: secret.encode().hex(),
            lambda secret: secret.encode().hex().upper(),
        ],
    )
    @pytest.mark.parametrize("secret", [KEY, "telegram:AAF-0123456789", "line-one-of-key\nline-two-of-key"])
    async def test_a_secret_in_a_reply_is_taken_out(self, server: FakeDeepSeek, secret: str, shape: object) -> None:
        assert callable(shape)
        leak = shape(secret)
        server.verdicts.append(json.dumps({"signal": "HOLD", "reasoning": leak}))
        client = make_client(options_for(server), MemoryBudget(), secrets=("telegram:AAF-0123456789", secret))
        reply = await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT)
        await client.close()
        assert isinstance(reply, Reply)
        assert "[redacted]" in reply.text
        assert leak not in reply.text
        assert json.loads(reply.text)["signal"] == "HOLD"

    async def test_neither_key_nor_prompt_nor_reply_is_logged(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        desk.server.verdicts.append('{"reasoning": "word-of-the-model"}')
        await desk.reply()
        desk.server.plan(Fault.STATUS, 401)
        failure = await desk.failure()
        told = caplog.text + failure.detail
        assert "asked for BTC-USD: reply of deepseek-flash, 1 attempts" in told
        for hidden in (KEY, KEY[-4:], "What now?", "word-of-the-model", "api key: ****"):
            assert hidden not in told

    async def test_a_key_does_not_travel_in_the_clear(self, server: FakeDeepSeek) -> None:
        options = replace(options_for(server), base_url="http://models.example")
        with pytest.raises(CrpbotError, match="not https") as caught:
            make_client(options, MemoryBudget())
        assert caught.value.reason == "INSECURE_BASE_URL"

    @pytest.mark.parametrize("key", ["sk-1\n2", "sk-ž", "sk 1"])
    async def test_a_key_that_is_none_is_refused_unseen(self, server: FakeDeepSeek, key: str) -> None:
        with pytest.raises(CrpbotError) as caught:
            make_client(replace(options_for(server), api_key=key), MemoryBudget())
        assert caught.value.reason == "BAD_LLM_KEY"
        assert key not in str(caught.value)

    async def test_a_redirect_carries_the_key_nowhere(self, desk: Desk) -> None:
        with FakeDeepSeek() as elsewhere:
            desk.server.plan(Fault.REDIRECT, f"{elsewhere.url}/chat/completions")
            assert (await desk.failure()).reason is R.BROKEN_TRANSPORT
            assert not elsewhere.seen

    async def test_proxies_of_the_environment_are_ignored(
        self, server: FakeDeepSeek, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        client = make_client(options_for(server), MemoryBudget())
        assert isinstance(await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT), Reply)
        await client.close()


class TestOptions:
    async def test_without_a_key_nobody_is_asked(self, server: FakeDeepSeek) -> None:
        client = make_client(replace(options_for(server), api_key=None), MemoryBudget())
        failure = await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT)
        await client.close()
        assert isinstance(failure, LlmFailure)
        assert (failure.reason, len(server.seen)) == (R.NO_KEY, 0)

    @pytest.mark.parametrize("stray", ["model", "messages", "max_tokens", "n", "stream", "tools"])
    async def test_extra_fields_cannot_change_who_is_asked_and_what_is_paid(
        self, server: FakeDeepSeek, stray: str
    ) -> None:
        with pytest.raises(CrpbotError, match=f"LLM_EXTRA_BODY.*{stray}"):
            make_client(replace(options_for(server), extra_body=json.dumps({stray: 1})), MemoryBudget())

    async def test_extra_fields_may_change_how_is_sampled(self, server: FakeDeepSeek) -> None:
        extra = '{"thinking":{"type":"disabled"},"temperature":0.2,"top_k":5}'
        client = make_client(replace(options_for(server), extra_body=extra), MemoryBudget())
        await client.ask(PROMPT, purpose=LABEL, deadline_seconds=PATIENT)
        await client.close()
        assert (server.seen[0].body["temperature"], server.seen[0].body["top_k"]) == (0.2, 5)


class TestModels:
    async def test_a_model_that_is_offered_is_found(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        assert (await desk.client.check_models()).is_listed is True
        assert not caplog.records

    async def test_a_retired_model_is_warned_of(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        desk.server.models = ["deepseek-next"]
        found = await desk.client.check_models()
        assert found.is_listed is False
        assert "does not offer 'deepseek-flash'; it offers 'deepseek-next'" in caplog.text

    async def test_a_server_that_lists_nothing_is_not_held_against_it(self, desk: Desk) -> None:
        desk.server.key = "another"
        found = await desk.client.check_models()
        assert (found.is_listed, "401" in found.detail) == (None, True)


USAGE = {"prompt_tokens": 100, "completion_tokens": 9}


class TestUsage:
    @pytest.mark.parametrize(
        ("counted", "cached"),
        [
            (USAGE, 0),
            ({**USAGE, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
            ({**USAGE, "prompt_tokens_details": None}, 0),
            ({**USAGE, "completion_tokens_details": {"reasoning_tokens": None}}, 0),
            ({**USAGE, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
            ({**USAGE, "prompt_cache_hit_tokens": 64, "prompt_tokens_details": {"cached_tokens": 10}}, 10),
        ],
    )
    def test_both_spellings_are_read(self, counted: object, cached: int) -> None:
        usage = read_completion(completion(counted)).usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (100, cached, 9)

    @pytest.mark.parametrize(
        "counted",
        [
            None,
            [],
            "many",
            {},
            {"prompt_tokens": 100},
            {**USAGE, "prompt_tokens": True},
            {**USAGE, "prompt_tokens": 100.0},
            {**USAGE, "completion_tokens": 2**64},
            {**USAGE, "completion_tokens": 0},
            {**USAGE, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 64},
            {**USAGE, "prompt_cache_hit_tokens": -1},
            {**USAGE, "completion_tokens_details": {"reasoning_tokens": 10}},
            {**USAGE, "completion_tokens_details": {"reasoning_tokens": "few"}},
        ],
    )
    def test_what_cannot_be_true_counts_as_none(self, counted: object) -> None:
        assert read_completion(completion(counted)).usage is None


def completion(counted: object) -> bytes:
    choice = {"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": counted}).encode()
