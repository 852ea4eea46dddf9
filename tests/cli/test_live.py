"""What `crpbot doctor --live` says of an exchange and of the sources of facts, against fakes on the loopback."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.doctor import live
from cli.doctor.finding import Finding
from cli.doctor.live import examine_live
from core.market import SYMBOLS
from serving.processes import free_ports
from tests.cli.conftest import Crpbot
from tests.fake_coinbase import FakeCoinbase, Reply
from tests.fake_coinbase_market import Flaw
from tests.fake_coingecko import FakeCoinGecko
from tests.fake_coingecko import Reply as FactsReply

NAMES = ("CRPBOT__COINBASE__BASE_URL", "CRPBOT__COINGECKO__BASE_URL", "CRPBOT__COINGECKO__FEAR_GREED_URL")


class Scene:
    """Both fakes, and the settings that lead to them."""

    def __init__(self, exchange: FakeCoinbase, site: FakeCoinGecko) -> None:
        self.exchange = exchange
        self.site = site
        addresses = (exchange.url, site.coingecko_url, site.url)
        self.settings = {**dict(zip(NAMES, addresses, strict=True)), "CRPBOT__COINBASE__REQUESTS_PER_SECOND": "30"}

    def look(self, *, facts_seconds: float = 60.0) -> dict[str, Finding]:
        return {finding.check: finding for finding in examine_live(facts_seconds=facts_seconds)}


@pytest.fixture
def scene(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with FakeCoinbase(public_per_second=1_000) as exchange, FakeCoinGecko() as site:
        opened = Scene(exchange, site)
        for name, value in opened.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(live, "ANSWER_SECONDS", 60.0)
        yield opened


def test_every_line_says_what_was_seen_and_nothing_is_kept(scene: Scene, empty_folder: Path) -> None:
    found = scene.look()
    assert {finding.state for finding in found.values()} == {"ok"}, found
    assert found["exchange"].found == f"{scene.exchange.url}, without a key: none is needed"
    assert re.search(r"this machine's clock is [+-][0-4]\.\d\d s off", found["exchange clock"].found)
    assert found["products"].found == "10 of 10 symbols trade"
    assert " s old; bid " in found["BTC-USD ticker"].found
    assert found["newest 5m candles"].found.startswith("10 of 10 symbols; BTC-USD closed at ")
    assert found["offers"].found.startswith("10 of 10 symbols have a bid and an ask; the widest spread is ")
    dominance = rf"Bitcoin {scene.site.dominance_percent:.1f} % of it, fetched \d+ s ago$"
    assert re.search(dominance, found["coingecko: market cap and dominance"].found)
    assert f"at {scene.site.fear_greed} of 100" in found["alternative.me: Fear & Greed index"].found
    assert scene.site.credits == 2
    assert list(empty_folder.iterdir()) == []


def test_what_is_halted_stale_or_one_sided_is_named_with_a_remedy(scene: Scene) -> None:
    scene.exchange.halted = {"XRP-USD"}
    scene.exchange.one_sided = {"ADA-USD"}
    scene.exchange.plan(Flaw.STALE, part="LTC-USD/candles", times=99)
    found = scene.look()
    assert found["products"].found == "9 of 10 symbols trade; halted: XRP-USD"
    assert found["newest 5m candles"].found.startswith("8 of 10 symbols;")
    assert "the exchange has halted trading" in found["XRP-USD 5m candle"].found
    assert found["LTC-USD 5m candle"].state == "bad"
    assert "8 of 10 symbols have a bid and an ask" in found["offers"].found
    assert "ADA-USD quote: there is no ask" in found["offers"].found
    assert all((each.remedy == "") == (each.state == "ok") for each in found.values())


def test_a_clock_that_is_off_is_bad(scene: Scene) -> None:
    scene.exchange.now_ms = time.time_ns() // 1_000_000 - 20_000
    clock = scene.look()["exchange clock"]
    assert clock.state == "bad"
    assert re.search(r"clock is \+2\d\.\d\d s off; 5 s are the limit", clock.found)
    assert "Set this machine's clock" in clock.remedy


def test_sources_that_fail_are_remarks_and_the_reason_is_told_without_waiting(scene: Scene) -> None:
    scene.site.plan(FactsReply.STATUS, 503, part="/fng/")
    begun = time.monotonic()
    found = scene.look(facts_seconds=600.0)
    assert time.monotonic() - begun < 60.0
    mood = found["alternative.me: Fear & Greed index"]
    assert mood.state == "warn"
    assert "503" in mood.found
    assert "asked again" not in mood.found
    assert found["coingecko: changes of the followed coins"].state == "ok"


def test_facts_that_are_switched_off_are_not_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRPBOT__COINGECKO__ENABLED", "false")
    assert scene.look()["market facts"].state == "ok"
    assert not scene.site.seen


def test_an_answer_that_is_none_is_a_row_and_the_other_rows_are_told(scene: Scene) -> None:
    scene.exchange.plan(Reply.HTML, part="/ticker", times=99)
    found = scene.look()
    assert found["BTC-USD ticker"].state == found["offers"].state == "bad"
    assert len([symbol for symbol in SYMBOLS if symbol in found["offers"].found]) == len(SYMBOLS)
    assert found["newest 5m candles"].state == "ok"


def test_half_a_key_is_told_as_a_setting(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINBASE_API_KEY_NAME", "organizations/one/apiKeys/two")
    (finding,) = examine_live()
    assert (finding.check, finding.state) == ("settings", "bad")
    assert "set both, or neither" in finding.found


def test_the_command_prints_the_table_and_its_status_tells(scene: Scene, crpbot: Crpbot) -> None:
    well = crpbot("doctor", "--live", "--json", **scene.settings)
    assert (well.returncode, well.stderr) == (0, "")
    assert {row["state"] for row in json.loads(well.stdout)} == {"ok"}
    (port,) = free_ports(1)
    nowhere = dict.fromkeys(NAMES, f"http://127.0.0.1:{port}")
    ill = crpbot("doctor", "--live", **nowhere)
    assert (ill.returncode, ill.stderr) == (1, "")
    words = " ".join(ill.stdout.split())
    assert "does not answer from here" in words
    assert "Connect this machine to the internet" in words
    assert "Traceback" not in ill.stdout
