"""Whatever the language model's server does: a degraded HOLD in time, stored with its reason, never a guess."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest

from api.metrics import Metrics
from api.operation import Operation
from core.adapters.chat import purse as chat_purse
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signals.reads import Signals
from core.fitted import NOTHING_FITTED
from core.llm.redaction import spellings
from core.market import SYMBOLS
from core.settings.declared import Settings
from core.settings.sources import load_settings
from serving.app import build_local_desk
from serving.product import Product, build_product
from serving.signals import build_verdicts
from serving.sources import build_market
from tests.api.gateways import CLIENT_SECONDS, Running, running_gateway
from tests.fake_deepseek import KEY, FakeDeepSeek, Slow
from tests.fake_deepseek_answers import Fault
from tests.loopback_server import Wire

DEADLINE_SECONDS = 25.0  # for a server that speaks
IMPATIENT_SECONDS = 1.5  # for one that is silent
LATE_SECONDS = 20.0  # beyond its deadline an answer is late, also on a slow machine
CANARY = "canary-5f0c-telegram-token"
Json = dict[str, Any]  # Any: decoded JSON


class World(NamedTuple):
    """A gateway, the server that it asks, and where its ledger lies."""

    gateway: Running
    server: FakeDeepSeek
    folder: Path

    def generate(self, *symbols: str, **more: object) -> list[Json]:
        answer = self.gateway.rest.post("/v1/signals", json={"symbols": symbols or ["BTC-USD"], **more})
        assert answer.status_code == 200, answer.text
        signals: list[Json] = answer.json()["signals"]
        return signals

    def spend(self) -> Json:
        found: Json = self.gateway.rest.get("/v1/spend").json()
        return found


Build = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    for name in ("LEAST_SETTLE_SECONDS", "MOST_SETTLE_SECONDS"):  # else a machine that stands still changes the bill
        monkeypatch.setattr(chat_purse, name, 60.0)

    @contextmanager
    def build(*, is_local: bool = False, **settings: str) -> Iterator[World]:
        folder = tmp_path / "state"
        folder.mkdir()
        upgrade(f"sqlite:///{folder}/crpbot.db")
        with FakeDeepSeek(is_local=is_local) as server:
            chosen = {
                "CRPBOT__RUNTIME__STATE_FOLDER": str(folder),
                "DEEPSEEK_API_KEY": KEY,
                "LLM_BASE_URL": server.url,
                "CRPBOT__LLM__DEADLINE_SECONDS": str(DEADLINE_SECONDS),
                "CRPBOT__MARKET__SYNTHETIC_EDGE": "false",  # else the hourly limit would soon answer
                "CRPBOT__DECISION__SKIP_UNANIMOUS_HOLD": "false",
                "MAX_SIGNALS_PER_HOUR": "60",
                "TELEGRAM_TOKEN": CANARY,
                **({"LLM_PRICE_FREE": "true", "LLM_MODEL": "qwen3", "LLM_EXTRA_BODY": "{}"} if is_local else {}),
                **settings,
            }
            made: list[tuple[Product, Ledger]] = []
            with running_gateway(build=partial(build_all, chosen, made)) as own:
                try:
                    yield World(own, server, folder)
                finally:
                    asyncio.run_coroutine_threadsafe(close(*made[0]), own.loop).result(60.0)

    return build


async def build_all(
    chosen: Mapping[str, str], made: list[tuple[Product, Ledger]], metrics: Metrics
) -> tuple[Operation, ...]:
    """The product as the server puts it together, on the synthetic market, without fitted theories."""
    settings = load_settings(chosen, Path(chosen["CRPBOT__RUNTIME__STATE_FOLDER"])).settings
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    source = build_market(settings)
    product = await build_product(
        settings,
        desk=build_local_desk(settings, source=source),
        source=source,
        ledger=ledger,
        library=lambda: NOTHING_FITTED,
        metrics=metrics,
    )
    made.append((product, ledger))
    return product.operations


async def close(product: Product, ledger: Ledger) -> None:
    """What the server closes at its end."""
    assert product.model is not None
    await product.model.close()
    await ledger.close()


BUY = {"signal": "BUY", "confidence": 0.99, "reasoning": "Up.", "entry": None, "stop_loss": None, "take_profit": None}


def text(**changes: object) -> str:
    return json.dumps({**BUY, **changes})


SILENT = (Wire.HANG, Wire.DRIP, Slow.BLANK_LINES, Slow.SLOW_HEADERS)
TRANSPORT: list[tuple[Fault | Wire, str]] = [
    (Fault.RATE_LIMITED, ""),
    (Fault.RATE_LIMITED, "1"),
    (Fault.RATE_LIMITED, "3600"),
    *((Fault.STATUS, status) for status in ("400", "404", "422", "500", "502", "503", "504")),
    (Wire.RESET, ""),
    (Wire.TRUNCATED, ""),
    (Wire.TRUNCATED_JSON, ""),
    (Wire.TRUNCATED_GZIP, ""),
    (Wire.HUGE, ""),
    (Wire.BOMB, ""),
    *((fault, "") for fault in (Fault.HTML, Fault.EMPTY_BODY, Fault.LIST, Fault.DEEP, Fault.NAN)),
    (Fault.REDIRECT, "http://127.0.0.1:9/chat/completions"),
    *((fault, "") for fault in (Fault.DUPLICATE_KEYS, Fault.NO_CHOICES, Fault.TWO_CHOICES)),
]
CONTENT: list[tuple[Fault | Wire, str]] = [
    *((Fault.FINISH, reason) for reason in ("length", "content_filter", "tool_calls", "")),
    *((fault, "") for fault in (Fault.EMPTY, Fault.NULL_CONTENT, Fault.NUL, Fault.SURROGATE, Fault.ENDLESS)),
    *((fault, "") for fault in (Fault.PROSE, Fault.TOOL_CALL, Fault.ABSURD_CONFIDENCE)),
    (Fault.TEXT, "BUY BUY BUY. Confidence: 99 %."),
    (Fault.TEXT, text() + text()),
    (Fault.TEXT, "[" + text() + "]"),
    (Fault.TEXT, text(signal="buy")),
    (Fault.TEXT, text(signal="STRONG BUY")),
    (Fault.TEXT, text(signal=None)),
    (Fault.TEXT, '{"signal": "BUY", "signal": "SELL", "confidence": 0.9, "reasoning": "x"}'),
    *((Fault.TEXT, text(confidence=wrong)) for wrong in (7.8, -0.4, "78%", True, None)),
    *((Fault.TEXT, text().replace("0.99", wrong)) for wrong in ("NaN", "Infinity", "1e999", "1" + "0" * 400)),
]


def assert_held(signal: Json) -> None:
    orders = ("entry", "stop_loss", "take_profit", "quantity", "lots", "risk_usd", "stop_first")
    assert signal["direction"] == "HOLD", signal
    assert signal["degraded"] is True, signal
    assert all(signal[name] is None for name in orders)
    assert signal["synthesis"] == "none" or signal["vetoes"]
    reason = signal["degradations"][0]
    assert reason["reason"].startswith(("llm_", "reply_"))
    assert reason["detail"]


def named(given: tuple[object, str]) -> str:
    return f"{given[0]} {given[1][:24]}".strip()


@pytest.mark.parametrize("is_local", [False, True], ids=["deepseek", "local"])
def test_each_fault_is_a_degraded_hold_with_a_reason(world: Build, is_local: bool) -> None:
    """A healthy answer comes between two faults: five in a row would be an outage, which is another test."""
    wrong = []
    with world(is_local=is_local) as own:
        for fault in (*TRANSPORT, *CONTENT):
            own.server.plan(*fault)
            (signal,) = own.generate()
            own.server.heal()
            try:
                assert_held(signal)
                assert own.gateway.rest.get(f"/v1/signals/{signal['id']}").json() == signal
            except AssertionError as error:
                wrong.append(f"{named(fault)}: {error}")
            (healthy,) = own.generate()
            assert not healthy["degraded"], (named(fault), healthy["degradations"])
            assert healthy["llm"] is not None
    assert wrong == []


@pytest.mark.parametrize("is_local", [False, True], ids=["deepseek", "local"])
def test_a_silent_server_is_a_degraded_hold_in_time(world: Build, is_local: bool) -> None:
    with world(is_local=is_local, CRPBOT__LLM__DEADLINE_SECONDS=str(IMPATIENT_SECONDS)) as own:
        for fault in SILENT:  # one fewer than an outage
            own.server.plan(fault)
            (signal,) = own.generate()
            own.server.heal()
            assert_held(signal)
            assert signal["timings_ms"]["verdict"] < 1_000 * (IMPATIENT_SECONDS + LATE_SECONDS), named((fault, ""))
            assert own.gateway.rest.get(f"/v1/signals/{signal['id']}").json() == signal


@pytest.mark.parametrize("status", ["401", "402"])
def test_a_refused_key_or_an_empty_account_is_not_tried_again(world: Build, status: str) -> None:
    with world() as own:
        own.server.plan(Fault.STATUS, status)
        (first,) = own.generate()
        assert_held(first)
        asked = len(own.server.seen)
        (second,) = own.generate()
        assert_held(second)
        assert second["degradations"][0]["reason"] == "llm_breaker_open"
        assert (asked, len(own.server.seen)) == (1, 1)


@pytest.mark.parametrize(("habit", "synthesis"), [("hold", "none"), ("rules", "rules")])
def test_a_server_that_fails_five_times_is_left_alone(world: Build, habit: str, synthesis: str) -> None:
    with world(LLM_ON_OUTAGE=habit) as own:
        own.server.plan(Fault.STATUS, "504")
        for _ in range(5):
            assert_held(own.generate()[0])
        asked = len(own.server.seen)
        (signal,) = own.generate()
        assert len(own.server.seen) == asked
        assert (signal["synthesis"], signal["degraded"]) == (synthesis, habit == "hold")
        assert "breaker_open" in signal["synthesis_reason"]


@pytest.mark.parametrize("fault", [Fault.WRONG_SIDE, Fault.ABSURD_PRICES, Fault.INJECTION])
def test_no_price_of_a_reply_gets_past_the_gate(world: Build, fault: Fault) -> None:
    """Only one variant takes a reply's prices; the other has its own, whatever the reply says."""
    with world() as own:
        own.server.plan(fault)
        for symbols in (SYMBOLS[:5], SYMBOLS[5:]):
            for signal in own.generate(*symbols):
                if signal["direction"] == "HOLD":
                    continue
                entry, stop, target, price = (
                    Decimal(signal[name]) for name in ("entry", "stop_loss", "take_profit", "price")
                )
                assert signal["variant"] == "v7_full_math"
                assert (stop < entry < target) if signal["direction"] == "BUY" else (target < entry < stop)
                assert abs(entry - price) <= price / 50
        windows = own.gateway.rest.get("/v1/risk").json()["windows"]
        assert [window["limit"] for window in windows if window["rule"] == "signals_per_hour"] == [60]


USAGE = (
    *(Fault.NO_USAGE, Fault.NULL_USAGE, Fault.NEGATIVE_USAGE, Fault.HUGE_USAGE),
    *(Fault.ZERO_USAGE, Fault.CROOKED_USAGE, Fault.TEXT_USAGE),
)


def test_a_usage_that_cannot_be_believed_leaves_the_reservation_charged(world: Build) -> None:
    with world() as own:
        own.generate()
        settled = Decimal(own.spend()["day_spent_usd"])
        for fault in USAGE:
            before, billed = Decimal(own.spend()["day_spent_usd"]), own.server.billed_usd()
            own.server.plan(fault)
            (signal,) = own.generate()
            own.server.heal()
            charged = Decimal(own.spend()["day_spent_usd"]) - before
            assert Fraction(charged) > own.server.billed_usd() - billed > 0, fault
            assert charged > 2 * settled, fault  # the most that it can cost, not what such a call costs
            assert Decimal(signal["llm"]["cost_usd"]) == charged


def test_no_secret_is_in_a_prompt_a_row_an_answer_or_a_log(world: Build, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    forms = [form for secret in (KEY, CANARY) for form in spellings(secret)]
    with world() as own:
        told = " ".join([KEY, CANARY, *forms])
        own.server.plan(Fault.TEXT, text(signal="HOLD", reasoning=f"I know {told}"), times=1)
        (signal,) = own.generate()
        own.server.plan(Fault.TEXT, f"no json but {told}", times=1)
        (refused,) = own.generate("ETH-USD")
        assert_held(refused)
        texts = [json.dumps(signal), json.dumps(refused)]
        texts += [own.gateway.rest.get(f"/v1/signals/{each['id']}/explanation").text for each in (signal, refused)]
        texts += [json.dumps(each.body) for each in own.server.seen]
        texts += asyncio.run(read_rows(own.folder, signal["id"], refused["id"]))
    texts += [record.getMessage() for record in caplog.records]
    assert any("[redacted]" in each for each in texts)
    assert [form for form in forms if any(form in each for each in texts)] == []


async def read_rows(folder: Path, *ids: str) -> list[str]:
    """Every table as text, and what is stored packed beside these decisions."""
    with sqlite3.connect(folder / "crpbot.db") as connection:
        tables = "\n".join(connection.iterdump())
    connection.close()
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{folder}/crpbot.db")
    try:
        signals = Signals(ledger)
        wholes = [await signals.whole(each) for each in ids]
    finally:
        await ledger.close()
    assert all("reply" in whole.texts and "prompt" in whole.texts for whole in wholes)
    return [tables, *(each for whole in wholes for each in whole.texts.values())]


@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.alone])])
def test_sixteen_callers_cannot_spend_more_than_the_cap_and_one_call(world: Build, seconds: float) -> None:
    cap = "0.01" if seconds < 10 else "0.03"
    with world(CRPBOT__LLM__DAILY_BUDGET_USD=cap) as own:
        own.server.latency_seconds = 0.2
        end = time.monotonic() + seconds
        gives_up = end + 120.0
        reached = threading.Event()

        def call(worker: int) -> list[Json]:
            found: list[Json] = []
            with httpx.Client(base_url=own.gateway.rest.base_url, trust_env=False, timeout=CLIENT_SECONDS) as client:
                while not (found and reached.is_set()) or time.monotonic() < end:
                    assert time.monotonic() < gives_up, "the cap is not reached"
                    answer = client.post("/v1/signals", json={"symbol": SYMBOLS[worker % len(SYMBOLS)]})
                    assert answer.status_code == 200, answer.text
                    found += answer.json()["signals"]
                    if "budget_day" in found[-1]["synthesis_reason"]:
                        reached.set()
            return found

        with ThreadPoolExecutor(16) as pool:
            signals = [signal for found in pool.map(call, range(16)) for signal in found]
        spend = own.spend()
        assert own.server.billed_usd() <= Fraction(cap) + own.server.dearest_usd()
        assert own.server.billed_usd() <= Fraction(spend["day_spent_usd"]) <= Fraction(cap)
    poor = [signal for signal in signals if "budget_day" in signal["synthesis_reason"]]
    assert poor  # the cap was reached, else nothing was shown
    assert all(signal["synthesis"] == "rules" and not signal["degraded"] for signal in poor)
    assert sum(signal["llm"] is not None for signal in signals) == len(own.server.seen)


def test_a_server_of_ones_own_costs_nothing_and_decides(world: Build) -> None:
    with world(is_local=True) as own:
        signals = own.generate(*SYMBOLS[:3])
        assert {signal["variant"] for signal in signals} <= {"v7_deepseek_only", "v7_full_math"}
        assert all(not signal["degraded"] and signal["llm"]["cost_usd"] == "0" for signal in signals)
        assert (own.spend()["day_spent_usd"], len(own.server.seen)) == ("0", 3)


def test_what_fails_of_that_which_only_compares_is_counted_for_everyone_to_see() -> None:
    metrics, purse = Metrics(), cast(Any, None)  # Any: nobody asks for the spend here
    settings = Settings.model_validate({"serving": {"mode": "inprocess"}})
    verdicts = build_verdicts(settings, lambda: NOTHING_FITTED, purse, None, count_uncompared=metrics.count_uncompared)
    for _ in range(2):
        with verdicts.sideline.guard("v6", "BTC-USD"):
            raise ZeroDivisionError
    assert b'crpbot_comparisons_failed_total{part="v6"} 2.0' in metrics.render()
