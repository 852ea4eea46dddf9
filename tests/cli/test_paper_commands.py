"""`crpbot trades` and `crpbot trade`: what they print, and what a refusal looks like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.paper.commands import trade, trades
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.errors import CrpbotError
from core.market import milliseconds
from tests.api.gateways import Running, all_operations, running_gateway
from tests.core.books import Books, HandClock
from tests.core.decisions import decision
from tests.core.keeper_world import publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("paper")
    upgrade(f"sqlite:///{made}/crpbot.db")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running_gateway(build=partial(all_operations, folder=folder), timeout_seconds=60.0) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def born(server: Running, folder: Path) -> list[str]:
    """The ids of two signals whose trades wait at the quote."""
    body = {"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "1"}
    quote = Decimal(server.rest.post("/v1/risk/check", json=body).json()["entry"])
    at = datetime.now(UTC)
    levels = {"entry": quote, "stop_loss": quote * Decimal("0.97"), "take_profit": quote * Decimal("1.05")}
    plain = {"slot": None, "timestamp": at, "quantity": Decimal("0.001"), "vetoes": (), "degraded": False}

    async def store() -> list[str]:
        ledger = await Ledger.open(f"sqlite:///{folder}/crpbot.db")
        try:
            books = Books(ledger, clock=HandClock(at, milliseconds(at)))
            signals = [decision(id=name, **plain, **levels) for name in ("sig-a", "sig-b")]
            return [(await publish(books, each, counted=False)).id for each in signals]
        finally:
            await ledger.close()

    return asyncio.run(store())


@pytest.fixture
def app(server: Running, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("CRPBOT_URL", f"http://127.0.0.1:{server.gateway.http_port}")
    monkeypatch.setenv("COLUMNS", "200")
    made = typer.Typer()
    made.command()(trades)
    made.add_typer(trade, name="trade")
    return made


def run(app: typer.Typer, *arguments: str) -> str:
    """What a command prints; its refusal is raised as the command line's entry would see it."""
    ended = CliRunner().invoke(app, arguments)
    if isinstance(ended.exception, CrpbotError):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_a_trade_is_opened_closed_and_another_taken_back(app: typer.Typer, born: list[str]) -> None:
    listed = json.loads(run(app, "trades", "--json", "--symbol", "btc-usd", "--state", "pending"))
    assert [each["id"] for each in listed] == born[::-1]
    assert "open" in run(app, "trade", "open", "sig-a")
    closed = json.loads(run(app, "trade", "close", born[0], "--json"))
    assert closed["state"] == "closed"
    assert "cancelled" in run(app, "trade", "cancel", born[1])
    with pytest.raises(CrpbotError, match="is closed since"):
        run(app, "trade", "cancel", born[1])
    table = run(app, "trades")
    assert all(trade_id in table for trade_id in born)
    assert f"{Decimal(closed['pnl']):+,.2f}" in table
    assert table.splitlines()[-1].startswith("1 closed after they were opened, ")
    assert len(json.loads(run(app, "trades", "--json", "--limit", "1"))) == 1


def test_a_list_without_trades_says_so(app: typer.Typer) -> None:
    assert run(app, "trades", "--symbol", "LTC-USD") == "no paper trade\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trade", "open", "sig-nowhere"), "no signal 'sig-nowhere'"),
        (("trade", "close", "paper-nowhere"), "there is no 'paper-nowhere'"),
        (("trades", "--state", "sleeping"), "state"),
        (("trades", "--url", "http://127.0.0.1:9"), "no server answers"),
    ],
)
def test_a_refusal_is_one_clear_sentence(app: typer.Typer, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CrpbotError, match=words):
        run(app, *arguments)
