"""What `crpbot budget` predicts is what the provider bills."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from cli.budget import Scan, count_usage, predict, print_budget, read_budget, sample, slots_of
from core.adapters.chat import purse as chat_purse
from core.adapters.chat.chat import ChatClient
from core.adapters.chat.http import ChatOptions
from core.adapters.chat.prices import load_prices
from core.adapters.exchange_http import Surroundings
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.spend import Spend
from core.fitted import NOTHING_FITTED
from core.llm.asking import Reply, SpendLabel
from core.market import SYMBOLS, milliseconds
from core.risk.account import Moment
from core.settings.declared import Settings
from core.settings.sources import load_settings
from tests.fake_deepseek import KEY, FakeDeepSeek

WORKDAY = datetime(2026, 11, 18, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)
WHOLE_DAY = 288
ASKS_ALL = {"CRPBOT__DECISION__SKIP_UNANIMOUS_HOLD": "false"}


def settings_of(folder: Path, **changes: str) -> Settings:
    return load_settings({"CRPBOT__RUNTIME__STATE_FOLDER": str(folder), **changes}, folder).settings


async def spend_day(settings: Settings, scans: list[Scan], folder: Path) -> tuple[Fraction, Decimal, list[int]]:
    """What the server bills for these scans, what our books say, and how long the replies were."""
    url = f"sqlite:///{folder}/crpbot.db"
    upgrade(url)
    ledger = await Ledger.open(url)
    replies: list[int] = []
    with FakeDeepSeek(now=WORKDAY) as server:
        options = ChatOptions(server.url, settings.llm.model, KEY, settings.llm.extra_body)
        spend = Spend.of(ledger, daily_usd=Decimal(1_000), monthly_usd=Decimal(1_000))
        now = [WORKDAY]
        client = ChatClient(
            options,
            budget=spend,
            prices=load_prices(),
            surroundings=Surroundings(now_ms=lambda: milliseconds(now[0])),
        )
        for scan in scans:
            if not scan.asks:
                continue
            now[0] = server.now = scan.at + timedelta(seconds=2)
            said = await client.ask(scan.prompt, purpose=SpendLabel(scan.symbol, "v7_full_math"))
            assert isinstance(said, Reply)
            assert said.usage is not None
            replies.append(said.usage.completion_tokens)
        await client.close()
        billed = server.billed_usd()
    status = await spend.status(Moment(scans[-1].at, milliseconds(scans[-1].at)))
    await ledger.close()
    return billed, status.day_spent_usd, replies


@pytest.mark.parametrize("samples", [24, pytest.param(WHOLE_DAY, marks=pytest.mark.slow)])
def test_a_day_costs_by_the_bill_what_was_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    for name in ("LEAST_SETTLE_SECONDS", "MOST_SETTLE_SECONDS"):  # a machine that stands still must not change the bill
        monkeypatch.setattr(chat_purse, name, 60.0)
    asks_all = {} if samples == WHOLE_DAY else ASKS_ALL  # a part of a day has too few calls to be weighed
    settings = settings_of(tmp_path, **asks_all)
    slots = slots_of(settings, WORKDAY)
    scans = asyncio.run(sample(settings, slots, library=NOTHING_FITTED, samples=samples))
    lived = len(scans) // len(SYMBOLS)
    billed, booked, replies = asyncio.run(spend_day(settings, scans, tmp_path))
    found = predict(settings, scans, WORKDAY, reply_tokens=round(sum(replies[:10]) / 10))
    assert abs(Fraction(found.day_usd) * lived / len(slots) / billed - 1) < Fraction(2, 100)
    assert 0 <= Fraction(booked) - billed <= Fraction(len(replies), 10**8)  # rounded up, call by call
    assert found.calls * lived / len(slots) == pytest.approx(len(replies))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Scan]:
    settings = settings_of(tmp_path_factory.mktemp("few"), **ASKS_ALL)
    return asyncio.run(sample(settings, slots_of(settings, WORKDAY), library=NOTHING_FITTED, samples=2))


def test_a_day_is_every_candle_of_the_default_schedule(tmp_path: Path) -> None:
    slots = slots_of(settings_of(tmp_path), WORKDAY)
    assert (len(slots), slots[0], slots[1]) == (WHOLE_DAY, WORKDAY, WORKDAY + timedelta(minutes=5))
    assert len(slots_of(settings_of(tmp_path, CRPBOT__SERVING__SCHEDULE_SECONDS="900"), WORKDAY)) == 96


def test_a_working_day_has_seven_dear_hours_and_a_sunday_none(tmp_path: Path, few: list[Scan]) -> None:
    settings = settings_of(tmp_path)
    workday, sunday = predict(settings, few, WORKDAY), predict(settings, few, SUNDAY)
    assert (workday.peak_slots, sunday.peak_slots) == (7 * 12, 0)
    assert workday.peak_call_usd == 2 * workday.call_usd
    assert workday.day_usd == sunday.day_usd > 0  # both samples lie in cheap hours
    at_three = [scan._replace(at=WORKDAY + timedelta(hours=3)) for scan in few]
    assert predict(settings, at_three, WORKDAY).day_usd == 2 * predict(settings, at_three, SUNDAY).day_usd
    mean = Fraction(sunday.day_usd)
    working = sum((WORKDAY + timedelta(days=number)).weekday() < 5 for number in range(1, 30))
    month = mean + working * mean * Fraction(31, 24) + (29 - working) * mean
    assert abs(Fraction(workday.month_usd) / month - 1) < Fraction(1, 1_000)


def test_the_usage_counts_whole_cached_blocks(few: list[Scan]) -> None:
    usage = count_usage(few[0].prompt, 80)
    assert usage.cached_tokens % 64 == 0
    assert 0 < usage.cached_tokens < usage.prompt_tokens
    assert usage.completion_tokens == 80


@pytest.mark.parametrize(
    ("changes", "share"),
    [(ASKS_ALL, 100.0), ({}, None)],
)
def test_what_is_not_asked_is_not_paid(tmp_path: Path, changes: Mapping[str, str], share: float | None) -> None:
    settings = settings_of(tmp_path, **changes)
    scans = asyncio.run(sample(settings, slots_of(settings, WORKDAY), library=NOTHING_FITTED, samples=2))
    found = predict(settings, scans, WORKDAY)
    asked = 100.0 * sum(scan.asks for scan in scans) / len(scans)
    assert found.asked_percent == pytest.approx(asked if share is None else share)
    silent = [scan._replace(asks=False) for scan in scans]
    assert predict(settings, silent, WORKDAY).day_usd == 0


def test_a_server_of_ones_own_costs_nothing(tmp_path: Path, few: list[Scan]) -> None:
    settings = settings_of(tmp_path, LLM_PRICE_FREE="true")
    found = predict(settings, few, WORKDAY)
    assert (found.day_usd, found.month_usd) == (0, 0)


def test_the_table_says_day_and_month_against_the_caps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = read_budget(settings_of(tmp_path), day=WORKDAY, samples=1)
    print_budget(budget)
    shown = capsys.readouterr().out
    assert "What 2026-11-18 will cost" in shown
    assert f"{len(SYMBOLS)} symbols x 288 slots, 84 at peak prices" in shown
    assert "of 5.00 USD" in shown
    assert "of 150.00 USD" in shown
