"""What the language model may cost: the caps hold under any race, over restarts, and for calls that were given up."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from core.adapters.chat.chat import ChatClient
from core.adapters.chat.http import ChatOptions
from core.adapters.chat.prices import load_prices
from core.adapters.exchange_http import Surroundings
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE
from core.adapters.ledger.spend import Spend
from core.errors import CrpbotError
from core.llm.asking import (
    BudgetRefusal,
    FailureReason,
    LlmFailure,
    Prompt,
    RefusedBy,
    Reservation,
    SpendLabel,
    what_follows,
)
from core.llm.budget import Caps, is_alarming, name_periods, next_day, next_month
from core.risk.account import Moment
from tests.core.conftest import PATIENT_SECONDS
from tests.fake_deepseek import KEY, FakeDeepSeek

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STANDING = Surroundings(now_ms=lambda: int(NOON.timestamp() * 1_000))  # no test runs over midnight
BTC = SpendLabel("BTC-USD", "v7_full_math", "signal-1")
ETH = SpendLabel("ETH-USD", "v7_deepseek_only")
CAPS = Caps(month=5_000, day=1_000)
WORKERS = 16
GATEWAYS = 4
LATENCY_SECONDS = 0.3
IMPATIENCE_SECONDS = 0.25  # given up on while the server goes on, and bills
THINKING_OFF = '{"thinking":{"type":"disabled"}}'

# reserve 100 units, say so, and wait to be killed
RESERVE = """
import asyncio, sys
from datetime import UTC, datetime
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.spend import Spend
from core.llm.asking import SpendLabel
from core.llm.budget import Caps
from core.risk.account import Moment

async def reserve(url):
    spend = Spend(await Ledger.open(url, lock_timeout_seconds=60), Caps(1_000, 1_000))
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    print((await spend.reserve(100, Moment(at, 0), SpendLabel("BTC-USD", "v7_full_math"))).id, flush=True)
    await asyncio.sleep(600)

asyncio.run(reserve(sys.argv[1]))
"""


def moment(at: datetime = NOON) -> Moment:
    return Moment(at, 0)


@pytest.fixture
def spend(ledger: Ledger) -> Spend:
    return Spend(ledger, CAPS)


async def take(spend: Spend, units: int, at: datetime = NOON, label: SpendLabel = BTC) -> Reservation:
    answer = await spend.reserve(units, moment(at), label)
    assert isinstance(answer, Reservation), answer
    return answer


async def refusal(spend: Spend, units: int, at: datetime = NOON) -> BudgetRefusal:
    answer = await spend.reserve(units, moment(at), BTC)
    assert isinstance(answer, BudgetRefusal), answer
    return answer


async def spent(spend: Spend, at: datetime = NOON) -> tuple[int, int]:
    """Of the day and of the month, in units."""
    status = await spend.status(moment(at))
    return int(status.day_spent_usd * 10**8), int(status.month_spent_usd * 10**8)


def assert_totals_are_the_sums(sql: Sql) -> None:
    """The totals are nothing but what reservations and settlements say."""
    amounts = sql(
        "SELECT r.day, COALESCE(s.units, r.units) FROM llm_reservations r "
        "LEFT JOIN llm_settlements s ON s.reservation_id = r.id"
    )
    sums: dict[str, list[int]] = {}
    for day, units in amounts:
        for period in (day, day[:7]):
            sums.setdefault(period, [0, 0])
            sums[period] = [sums[period][0] + units, sums[period][1] + 1]
    stored = {period: [units, calls] for period, units, calls in sql("SELECT period, units, calls FROM llm_totals")}
    assert {period: found for period, found in stored.items() if found != [0, 0]} == sums


class TestReserving:
    async def test_a_reservation_counts_until_its_settlement_takes_its_place(self, spend: Spend, sql: Sql) -> None:
        reservation = await take(spend, 400)
        assert (reservation.units, reservation.day) == (400, "2026-11-21")
        assert await spent(spend) == (400, 400)
        assert await spend.settle(reservation, 150, moment()) == 150
        assert await spent(spend) == (150, 150)
        assert_totals_are_the_sums(sql)

    async def test_a_settlement_may_be_more_than_its_reservation(self, spend: Spend) -> None:
        await spend.settle(await take(spend, 400), 900, moment())
        assert await spent(spend) == (900, 900)
        assert (await refusal(spend, 101)).spent_units == 900

    async def test_only_the_first_settlement_counts(self, spend: Spend, sql: Sql) -> None:
        reservation = await take(spend, 400)
        assert await spend.settle(reservation, 150, moment()) == 150
        assert await spend.settle(reservation, 0, moment()) == 150
        assert await spend.abandon(reservation, moment()) == 150
        assert await spent(spend) == (150, 150)
        assert_totals_are_the_sums(sql)

    async def test_what_is_given_up_stays_charged(self, spend: Spend) -> None:
        reservation = await take(spend, 400)
        assert await spend.abandon(reservation, moment()) == 400
        assert await spend.settle(reservation, 1, moment()) == 400
        assert await spent(spend) == (400, 400)

    async def test_the_last_unit_fits_and_one_more_does_not(self, spend: Spend, sql: Sql) -> None:
        await take(spend, 1_000)
        found = await refusal(spend, 1)
        assert found == BudgetRefusal(RefusedBy.DAY, 1, 1_000, 1_000, datetime(2026, 11, 22, tzinfo=UTC))
        assert await spent(spend) == (1_000, 1_000)
        assert_totals_are_the_sums(sql)

    async def test_a_refusal_changes_nothing(self, spend: Spend, sql: Sql) -> None:
        await refusal(spend, 1_001)
        assert await spent(spend) == (0, 0)
        assert sql("SELECT COUNT(*) FROM llm_reservations") == [(0,)]

    async def test_days_begin_anew_and_the_month_goes_on(self, spend: Spend, sql: Sql) -> None:
        for day in range(5):
            await take(spend, 1_000, NOON + timedelta(days=day))
        found = await refusal(spend, 1, NOON + timedelta(days=5))
        assert (found.by, found.spent_units, found.lifts_at) == (
            RefusedBy.MONTH,
            5_000,
            datetime(2026, 12, 1, tzinfo=UTC),
        )
        await take(spend, 1_000, datetime(2026, 12, 1, tzinfo=UTC))
        assert_totals_are_the_sums(sql)

    async def test_a_reservation_belongs_to_the_utc_day_in_which_it_was_made(self, spend: Spend) -> None:
        before = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
        after = before + timedelta(seconds=30)
        reservation = await take(spend, 700, before.astimezone(timezone(timedelta(hours=5))))
        assert await spent(spend, after) == (0, 0)
        await spend.settle(reservation, 200, moment(after))
        assert await spent(spend, before) == (200, 200)
        assert await spent(spend, after) == (0, 0)

    async def test_a_clock_that_goes_back_over_midnight_finds_its_day_as_it_was(self, spend: Spend) -> None:
        await take(spend, 1_000)
        await take(spend, 300, NOON + timedelta(days=1))
        assert (await refusal(spend, 1)).by is RefusedBy.DAY
        assert await spent(spend, NOON + timedelta(days=1)) == (300, 1_300)

    async def test_a_budget_of_nothing_allows_nothing(self, ledger: Ledger) -> None:
        nothing = Spend.of(ledger, daily_usd=Decimal(0), monthly_usd=Decimal(150))
        assert (await refusal(nothing, 1)).by is RefusedBy.DAY

    async def test_a_cap_that_was_lowered_holds_at_once(self, spend: Spend) -> None:
        await take(spend, 900)
        assert (await refusal(Spend(spend.ledger, Caps(5_000, 500)), 1)).spent_units == 900

    @pytest.mark.parametrize("units", [-1, 10**15 + 1])
    async def test_an_amount_that_is_none_is_refused(self, spend: Spend, units: int) -> None:
        with pytest.raises(CrpbotError, match="units"):
            await spend.reserve(units, moment(), BTC)
        reservation = await take(spend, 1)
        with pytest.raises(CrpbotError, match="units"):
            await spend.settle(reservation, units, moment())
        assert await spent(spend) == (1, 1)

    @pytest.mark.parametrize("table", ["llm_reservations", "llm_settlements"])
    @pytest.mark.parametrize("change", ["UPDATE {} SET units = 0", "DELETE FROM {}"])
    async def test_what_was_written_is_not_rewritten(self, spend: Spend, sql: Sql, table: str, change: str) -> None:
        await spend.settle(await take(spend, 400), 150, moment())
        with pytest.raises(DBAPIError, match="append-only"):
            sql(change.format(table))


class TestReports:
    async def test_the_status_says_all(self, spend: Spend) -> None:
        await spend.settle(await take(spend, 400), 150, moment())
        await take(spend, 50, NOON - timedelta(days=1))
        await take(spend, 650)
        status = await spend.status(moment())
        assert (status.day, status.month) == ("2026-11-21", "2026-11")
        assert (status.day_spent_usd, status.day_cap_usd) == (Decimal("0.000008"), Decimal("0.00001"))
        assert (status.month_spent_usd, status.month_cap_usd) == (Decimal("0.0000085"), Decimal("0.00005"))
        assert (status.day_calls, status.month_calls, status.in_flight) == (2, 3, 1)
        assert (status.day_alarm, status.month_alarm) == (True, False)
        assert status.day_resets_at == datetime(2026, 11, 22, tzinfo=UTC)
        assert status.month_resets_at == datetime(2026, 12, 1, tzinfo=UTC)

    async def test_an_empty_ledger_has_spent_nothing(self, spend: Spend) -> None:
        status = await spend.status(moment())
        assert (status.day_spent_usd, status.month_spent_usd, status.in_flight, status.day_alarm) == (0, 0, 0, False)
        assert await spend.lines("symbol", moment()) == []

    async def test_spending_is_told_by_symbol_variant_and_signal(self, spend: Spend) -> None:
        await spend.settle(await take(spend, 400), 150, moment())
        await take(spend, 100)
        await take(spend, 300, label=ETH)
        await take(spend, 40, NOON - timedelta(days=2), ETH)

        async def told(by: Any, period: Any) -> list[tuple[str, int, int]]:
            return [
                (line.name, int(line.spent_usd * 10**8), line.calls)
                for line in await spend.lines(by, moment(), period=period)
            ]

        assert await told("symbol", "day") == [("ETH-USD", 300, 1), ("BTC-USD", 250, 2)]
        assert await told("variant", "month") == [("v7_deepseek_only", 340, 2), ("v7_full_math", 250, 2)]
        assert await told("signal", "day") == [("", 300, 1), ("signal-1", 250, 2)]

    async def test_eighty_percent_is_told_once_a_day_and_once_a_month(
        self, spend: Spend, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        await take(spend, 799)
        assert not caplog.records
        reservation = await take(spend, 1)
        assert [record.message for record in caplog.records] == [
            "language model: 0.000008 of 0.00001 USD are spent in 2026-11-21 (80 %)"
        ]
        await spend.settle(reservation, 0, moment())
        other = Spend(spend.ledger, spend.caps)  # another gateway
        await take(other, 100)
        assert len(caplog.records) == 1
        for day in range(1, 4):
            await take(spend, 1_000, NOON + timedelta(days=day))
        assert [record.message.split(" in ")[1] for record in caplog.records[1:]] == [
            "2026-11-22 (100 %)",
            "2026-11-23 (100 %)",
            "2026-11-24 (100 %)",
        ]
        await take(spend, 101, NOON + timedelta(days=4))
        assert caplog.records[-1].message.endswith("in 2026-11 (80 %)")


class TestDeath:
    async def test_a_process_killed_between_reservation_and_settlement_stays_charged(
        self, spend: Spend, ledger_url: str
    ) -> None:
        command = [sys.executable, "-c", RESERVE, ledger_url]
        with subprocess.Popen(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip().isdecimal()
            process.kill()
        assert await spent(spend) == (100, 100)
        assert (await spend.status(moment())).in_flight == 1
        late = NOON + timedelta(minutes=3)
        assert (await spend.status(moment(late))).in_flight == 0
        assert await spend.expire(moment(late)) == 1
        assert await spend.expire(moment(late)) == 0
        assert await spent(spend) == (100, 100)

    async def test_only_the_dead_expire_and_a_late_settlement_changes_nothing(self, spend: Spend, sql: Sql) -> None:
        dead = await take(spend, 300)
        await spend.settle(await take(spend, 200), 50, moment())
        await take(spend, 100, NOON + timedelta(minutes=2))
        assert await spend.expire(moment(NOON + timedelta(minutes=3))) == 1
        assert await spend.settle(dead, 1, moment()) == 300
        assert await spent(spend) == (450, 450)
        assert sorted(sql("SELECT outcome FROM llm_settlements")) == [("expired",), ("settled",)]

    async def test_a_restart_forgets_nothing(self, spend: Spend, ledger_url: str) -> None:
        await take(spend, 950)
        async with opened(ledger_url) as ledger:
            assert (await refusal(Spend(ledger, spend.caps), 51)).spent_units == 950


class TestRaces:
    async def test_of_many_reservations_at_once_exactly_those_that_fit_are_made(
        self, ledger_url: str, sql: Sql
    ) -> None:
        async with several(ledger_url, GATEWAYS) as spends:
            asked = [spends[number % GATEWAYS].reserve(7, moment(), BTC) for number in range(200)]
            answers = await asyncio.gather(*asked)
        made = [answer for answer in answers if isinstance(answer, Reservation)]
        assert len(made) == 1_000 // 7
        assert len({reservation.id for reservation in made}) == len(made)
        assert_totals_are_the_sums(sql)

    async def test_midnight_reservations_and_settlements_cross_without_a_deadlock(
        self, ledger_url: str, sql: Sql
    ) -> None:
        """Gateways whose clocks differ: days and months interleave, and each settles in the period of its own."""
        midnight = datetime(2026, 12, 1, tzinfo=UTC)

        async def live(spend: Spend, number: int) -> None:
            at = midnight + timedelta(seconds=number % 3 - 1)
            answer = await spend.reserve(number % 5 + 1, moment(at), BTC)
            if isinstance(answer, Reservation) and number % 4:
                await spend.settle(answer, number % 3, moment(midnight))

        async with several(ledger_url, GATEWAYS) as spends:
            await asyncio.gather(*[live(spends[number % GATEWAYS], number) for number in range(160)])
        assert_totals_are_the_sums(sql)

    async def test_one_reservation_settled_many_times_at_once_is_settled_once(self, ledger_url: str, sql: Sql) -> None:
        async with several(ledger_url, GATEWAYS) as spends:
            reservation = await take(spends[0], 500)
            settled = [spends[number % GATEWAYS].settle(reservation, number, moment()) for number in range(40)]
            answers = await asyncio.gather(*settled)
        assert len(set(answers)) == 1
        assert_totals_are_the_sums(sql)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(url, lock_timeout_seconds=PATIENT_SECONDS)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def several(url: str, count: int, caps: Caps = CAPS) -> AsyncIterator[list[Spend]]:
    """So many gateways on one database."""
    async with AsyncExitStack() as stack:
        yield [Spend(await stack.enter_async_context(opened(url)), caps) for _ in range(count)]


async def ask_all(client: ChatClient, number: int, end: float, refusals: int) -> None:
    """A worker who asks without pause and does not always wait for the answer: until so many refusals, or, once
    refused, until the end."""
    turn = refused = 0
    while refused < refusals and (not refused or time.monotonic() < end):
        turn += 1
        patience = IMPATIENCE_SECONDS if (number + turn) % 3 == 0 else PATIENT_SECONDS
        prompt = Prompt("Answer in json. " * 30, f"Worker {number}, question {turn}.")
        answer = await client.ask(prompt, purpose=ETH, deadline_seconds=patience)
        client.reset()  # the breaker would end the attack on the cap
        if isinstance(answer, LlmFailure) and answer.reason is FailureReason.BUDGET_DAY:
            refused += 1
            await asyncio.sleep(0.02)


async def run_gateway(url: str, server_url: str, caps: Caps, seconds: float, refusals: int) -> None:
    """A gateway with its share of the workers."""
    options = ChatOptions(server_url, "deepseek-flash", api_key=KEY, extra_body=THINKING_OFF)
    async with opened(url) as ledger:
        client = ChatClient(options, budget=Spend(ledger, caps), prices=load_prices(), surroundings=STANDING)
        end = time.monotonic() + seconds
        workers = (ask_all(client, number, end, refusals) for number in range(WORKERS // GATEWAYS))
        await asyncio.gather(*workers)
        await client.close()


def run_gateway_process(url: str, server_url: str, caps: Caps, seconds: float, refusals: int) -> None:
    asyncio.run(run_gateway(url, server_url, caps, seconds, refusals))


def assert_bill_is_within(cap_usd: str, server: FakeDeepSeek, sql: Sql) -> None:
    """Billed <= charged <= cap, although calls were given up on; and the cap was reached."""
    cap = Fraction(cap_usd)
    charged = Fraction(sum(units for (units,) in sql("SELECT units FROM llm_totals WHERE length(period) = 10")), 10**8)
    assert server.billed_usd() <= charged <= cap
    assert server.billed_usd() <= cap + server.dearest_usd()
    assert cap - charged < WORKERS * Fraction("0.001")  # no more is left than what was in flight at the end
    assert sql("SELECT COUNT(*) FROM llm_settlements WHERE outcome = 'abandoned'")[0][0] > 0
    assert_totals_are_the_sums(sql)


class TestBill:
    async def test_the_bill_never_passes_the_cap(
        self, ledger_url: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("LEAST_SETTLE_SECONDS", "MOST_SETTLE_SECONDS"):
            monkeypatch.setattr(f"core.adapters.chat.purse.{name}", PATIENT_SECONDS)
        caps = Caps(month=10**9, day=2_000_000)
        with FakeDeepSeek(now=NOON) as server:
            server.latency_seconds = LATENCY_SECONDS
            gateway = (ledger_url, server.url, caps, 600.0, 3)  # the refusals end it
            await asyncio.gather(*(run_gateway(*gateway) for _ in range(GATEWAYS)))
            assert_bill_is_within("0.02", server, sql)

    @pytest.mark.slow
    def test_the_bill_never_passes_the_cap_in_a_minute_of_four_processes(self, ledger_url: str, sql: Sql) -> None:
        caps = Caps(month=10**9, day=10_000_000)
        spawn = multiprocessing.get_context("spawn")
        with FakeDeepSeek(now=NOON) as server:
            server.latency_seconds = LATENCY_SECONDS
            gateway = (ledger_url, server.url, caps, 60.0, 1_000_000)
            processes = [spawn.Process(target=run_gateway_process, args=gateway) for _ in range(GATEWAYS)]
            for process in processes:
                process.start()
            for process in processes:
                process.join(600.0)
                assert process.exitcode == 0
            assert_bill_is_within("0.1", server, sql)


class TestRules:
    @given(st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
    def test_periods_follow_each_other_without_a_gap(self, at: datetime) -> None:
        month, day = name_periods(at)
        second = timedelta(seconds=1)
        assert name_periods(next_day(at) - second).day == day != name_periods(next_day(at)).day
        assert name_periods(next_month(at) - second).month == month != name_periods(next_month(at)).month
        assert next_day(at) <= next_month(at)

    @pytest.mark.parametrize(
        ("spent_units", "cap", "alarm"), [(0, 0, False), (79, 100, False), (80, 100, True), (1, 0, True)]
    )
    def test_the_alarm_begins_at_eighty_percent(self, spent_units: int, cap: int, alarm: bool) -> None:
        assert is_alarming(spent_units, cap) is alarm

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_a_call_that_was_made_and_failed_is_never_replaced_by_the_rule(self, reason: FailureReason) -> None:
        failure = LlmFailure(reason, "why", attempts=1)
        if reason is not FailureReason.BREAKER_OPEN:
            assert what_follows(failure, "rules") == "hold"

    def test_without_key_or_budget_the_rule_decides_and_in_an_outage_the_setting(self) -> None:
        for reason in (FailureReason.NO_KEY, FailureReason.BUDGET_DAY, FailureReason.BUDGET_MONTH):
            assert what_follows(LlmFailure(reason, "why"), "hold") == "rules"
        outage = LlmFailure(FailureReason.BREAKER_OPEN, "why")
        assert (what_follows(outage, "hold"), what_follows(outage, "rules")) == ("hold", "rules")


def test_the_fake_serves_other_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fake_deepseek", "--fault", "status=503"]
    with subprocess.Popen(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.kill()
