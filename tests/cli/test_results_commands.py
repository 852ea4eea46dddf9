"""`crpbot performance`, `contribution`, `review` and `record`: what they print, and the pages that they write."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app as crpbot
from cli.results.record import print_record
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.errors import CrpbotError
from core.paper.record import read_json
from core.trade import Direction, Tier
from tests.api.gateways import Running, all_operations, running_gateway
from tests.core.books import seeded
from tests.core.results_world import fill

TRADES, WON = 12, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("results")
    upgrade(f"sqlite:///{made}/crpbot.db")

    async def fill_it() -> None:
        ledger = await Ledger.open(f"sqlite:///{made}/crpbot.db")
        try:
            await seeded(ledger)
            await fill(ledger, TRADES)
        finally:
            await ledger.close()

    asyncio.run(fill_it())
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running_gateway(build=partial(all_operations, folder=folder), timeout_seconds=60.0) as gateway:
        yield gateway


@pytest.fixture
def app(server: Running, folder: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("CRPBOT_URL", f"http://127.0.0.1:{server.gateway.http_port}")
    monkeypatch.setenv("DB_URL", f"sqlite:///{folder}/crpbot.db")
    monkeypatch.setenv("COLUMNS", "200")
    return crpbot


def run(app: typer.Typer, *words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def pictures_in(page: Path) -> list[ElementTree.Element]:
    """Every picture of a page; one that is no XML raises."""
    return [
        ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", page.read_text(), re.DOTALL)
    ]  # our own page


def test_performance_shows_each_figure_with_interval_and_n(app: typer.Typer) -> None:
    printed = run(app, "performance", "--by", "symbol")
    assert f"{TRADES} closed trades" in printed
    assert re.search(r"win rate +75\.0% +42\.8% to 94\.5% +12", printed)
    assert re.search(r"BTC-USD +6 ", printed)
    assert re.search(r"wins more than half: not decidable yet: about \d+ more trades", printed)
    found = json.loads(run(app, "performance", "--symbol", "ETH-USD", "--json"))
    assert found["performance"]["trades"] == TRADES // 2
    assert "no SELL" not in run(app, "performance", "--direction", "SELL")


def test_a_page_holds_the_figures_and_both_pictures(app: typer.Typer, tmp_path: Path) -> None:
    page = tmp_path / "results.html"
    run(app, "performance", "--html", str(page))
    text = page.read_text()
    assert "42.8% to 94.5%" in text
    assert "<script" not in text
    balance, calibration = pictures_in(page)
    line = next(each for each in balance.iter() if each.get("fill") == "none")
    steps = re.findall(r"V([\d.]+)", line.get("d", ""))
    assert len(steps) == TRADES
    assert float(steps[-1]) < float(re.findall(r"M[\d.]+ ([\d.]+)", line.get("d", ""))[0])  # it rose: up is less
    labels = [each.text or "" for each in calibration.iter() if each.tag.endswith("text")]
    assert f"75%, n = {TRADES}" in labels


def test_contribution_names_the_theory_that_made_the_trades(app: typer.Typer, tmp_path: Path) -> None:
    page = tmp_path / "theories.html"
    printed = run(app, "contribution", "--store", "--html", str(page))
    first = next(line for line in printed.splitlines() if "markov_regime" in line)
    assert first.split()[-1] in {"winners", "open"}
    assert f" {TRADES} " in first
    assert "markov_regime" in page.read_text()
    stored = json.loads(run(app, "contribution", "--json"))
    assert stored["theories"][0]["trades_made"] == TRADES


def test_a_stored_evaluation_is_there_to_be_read(app: typer.Typer, server: Running) -> None:
    run(app, "contribution", "--store", "--json")
    found = server.rest.get("/v1/performance/theories?theory=markov_regime&symbol=ALL").json()["evaluations"]
    assert {(each["trades"], each["votes"], each["hits"]) for each in found} == {(TRADES, TRADES, WON)}


def test_the_review_prints_the_rule_and_what_is_missing(app: typer.Typer, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    printed = run(app, "review", "--html", str(page))
    assert "12 closed trades" in printed
    assert re.search(r"win rate +at least 55% +75\.0% .* looks met not decidable yet", printed)
    assert len(pictures_in(page)) == 2
    assert json.loads(run(app, "review", "--json"))["advice"] == "too_few_trades"


def test_the_record_is_exported_and_read_back(app: typer.Typer) -> None:
    learned = read_json(run(app, "record", "--json"))
    assert sum(tally.wins for tally in learned.values()) == WON
    assert sum(tally.losses for tally in learned.values()) == TRADES - WON
    assert {(key.tier, key.direction) for key in learned} == {(Tier.HIGH, Direction.BUY)}
    assert re.search(r"BTC-USD +v7_full_math +high +BUY +6 +0 ", run(app, "record"))
    assert "no closed trade yet" in run(app, "record", "--real")


def test_an_empty_record_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"format": "", "records": []})
    assert "no closed trade yet" in capsys.readouterr().out


def test_a_question_that_is_refused_is_one_sentence(app: typer.Typer) -> None:
    with pytest.raises(CrpbotError, match="unknown account 'nobody'"):
        run(app, "performance", "--account", "nobody")
